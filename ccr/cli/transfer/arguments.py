"""What `ccr push` and `ccr pull` take alike."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import typer

JOBS: Final = 6


class Compression(StrEnum):
    """Of layers that a Docker archive has plain."""

    GZIP = "gzip"
    NONE = "none"


Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, help="How many parts travel at once.")]
Platform = Annotated[
    str,
    typer.Option(
        metavar="OS/ARCH",
        help="Of an index only the image of this platform: linux/arm64, linux/arm/v7.",
        show_default=False,
    ),
]
