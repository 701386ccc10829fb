"""Files that are made from the code: written, or by `--check` compared with what it says now."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def kept(made: Mapping[Path, str], arguments: Sequence[str], stale: str) -> int:
    """An exit code. `stale` is what is said where a file is not what is `made` of it."""
    if "--check" not in arguments:
        for path, text in made.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return 0
    if all(path.exists() and path.read_text() == text for path, text in made.items()):
        return 0
    print(stale, file=sys.stderr)
    return 1
