"""Numbers of bytes as people write and read them: 20GB, 512 MiB, 1000."""

from __future__ import annotations

import re
from typing import Annotated, Final

import typer

_FORM: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]i?b?|b)?", re.IGNORECASE)
_POWERS: Final = {"k": 1, "m": 2, "g": 3, "t": 4}


def size(count: int) -> str:
    """In binary units."""
    amount, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:g} {unit}" if amount == int(amount) else f"{amount:.1f} {unit}"


def parsed(text: str | int) -> int:
    """GB are powers of 1000, GiB of 1024."""
    match = _FORM.fullmatch(str(text).strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no size: write 20GB, 512MiB, or a number of bytes")
    unit = (match[2] or "b").lower()
    base = 1024 if "i" in unit else 1000
    return (
        int(float(match[1]) * base ** _POWERS.get(unit[0], 0))
        if "." in match[1]
        else (int(match[1]) * base ** _POWERS.get(unit[0], 0))
    )


Size = Annotated[
    int | None,
    typer.Option(
        "--limit",
        parser=parsed,
        metavar="SIZE",
        help="How much it may store: 20GB, 512MiB, or a number of bytes.",
        show_default=False,
    ),
]
