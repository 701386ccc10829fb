"""How a source is read: what it is told, whom it tells, and the files it holds open until all is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from ccr.cli.transfer.arguments import Compression

Moved = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Reading:
    """Of one source."""

    compression: Compression
    environ: Mapping[str, str]
    held: ExitStack
    moved: Moved = field(default=lambda _: None)
