"""Paths of the management API, from what people write."""

from __future__ import annotations

from urllib.parse import quote

import typer


def path(*segments: str) -> str:
    """Each is one segment, whatever is in it. Raises BadParameter for what no path can say."""
    for one in segments:
        if one in {"", ".", ".."}:
            raise typer.BadParameter(f"{one!r} is no name")
    return "".join(f"/{quote(one, safe='')}" for one in segments)
