"""Durations as people write them: 90s, 15m, 1h, 90d, 2w."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_FORM: Final = re.compile(r"([0-9]{1,9})([smhdw])")


def seconds(text: str) -> int:
    """Raises ValueError."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration: 90s, 15m, 1h, 90d or 2w")
    return int(found[1]) * _UNITS[found[2]]
