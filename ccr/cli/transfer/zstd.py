"""Zstandard as the standard library has it from Python 3.14 on, and as its backport before."""

from __future__ import annotations

import sys
from typing import IO, Final, cast

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError, ZstdFile
else:
    from backports.zstd import ZstdError, ZstdFile

__all__: Final = ["ZstdError", "open_zstd"]


def open_zstd(source: IO[bytes]) -> IO[bytes]:
    """For reading."""
    return cast("IO[bytes]", ZstdFile(source, "rb"))
