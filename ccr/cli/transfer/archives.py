"""Tar files, plain or under gzip or zstd: their members as pieces of a file, without unpacking them."""

from __future__ import annotations

import gzip
import os
import posixpath
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Final, cast

from ccr.cli.transfer.content import DamagedError, Region
from ccr.cli.transfer.reading import Reading
from ccr.cli.transfer.zstd import ZstdError, open_zstd

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
_OTHERS: Final = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
_MEBIBYTE: Final = 1024 * 1024
_LINKS: Final = 8
# Of a long name or what else stands before a member: tarfile reads it whole, as long as it says it is.
_HEADER: Final = 1024 * 1024
BROKEN: Final = (EOFError, gzip.BadGzipFile, zlib.error, ZstdError)


def spool(reading: Reading) -> IO[bytes]:
    """A file without a name: it goes when we do, however that is."""
    return reading.held.enter_context(tempfile.TemporaryFile(dir=spool_folder()))


def spool_folder() -> str | None:
    """Not /tmp, which may be memory."""
    own = "/var/tmp"  # noqa: S108 - files there have names that nobody guesses, or none
    return os.environ.get("TMPDIR") or (own if Path(own).is_dir() else None)


def unpacked(place: Path, reading: Reading) -> IO[bytes]:
    """A file with the plain tar: the archive itself where it is one. Raises DamagedError."""
    archive = reading.held.enter_context(place.open("rb"))
    unpacker = unpacking(archive.read(8))
    archive.seek(0)
    if unpacker is None:
        return archive
    with unpacker(archive) as stream:
        return copied(stream, str(place), reading)


def unpacking(head: bytes) -> Callable[[IO[bytes]], IO[bytes]] | None:
    """By the first bytes; None for what is not compressed. Raises DamagedError."""
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            raise DamagedError(f"it is compressed by {name}: unpack it first; gzip and zstd are read as is")
    if head.startswith(GZIP):
        return lambda source: gzip.open(source, "rb")  # type: ignore[return-value]
    return open_zstd if head.startswith(ZSTD) else None


def copied(stream: IO[bytes], name: str, reading: Reading) -> IO[bytes]:
    """All of `stream` in a spool. Raises DamagedError."""
    out = spool(reading)
    try:
        while block := stream.read(_MEBIBYTE):
            out.write(block)
            reading.moved(len(block))
        out.flush()
        out.seek(0)
    except BROKEN as error:
        raise DamagedError(f"{name} is damaged or cut off: {error}") from error
    return out


def members(archive: IO[bytes], name: str) -> Mapping[str, Region]:
    """Every file by its path, links followed. Raises DamagedError."""
    size = os.fstat(archive.fileno()).st_size
    files: dict[str, Region] = {}
    links: dict[str, str] = {}
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", _Headers(archive)), mode="r:") as tar:
            for entry in tar:
                path = posixpath.normpath(entry.name).lstrip("/")
                if entry.isreg() and not entry.issparse():
                    if entry.offset_data + entry.size > size:
                        raise DamagedError(f"{name} is cut off within {path}")
                    files[path] = Region(archive, entry.offset_data, entry.size)
                elif entry.issym():
                    links[path] = posixpath.normpath(posixpath.join(posixpath.dirname(path), entry.linkname))
                elif entry.islnk():
                    links[path] = posixpath.normpath(entry.linkname)
    except (tarfile.TarError, ValueError) as error:
        raise DamagedError(f"{name} is no tar, or is cut off: {error}") from error
    for path in links:
        target = _followed(path, links)
        if target in files:
            files[path] = files[target]
    return files


class _Headers:
    """A tar of which nobody reads more than a header at once."""

    def __init__(self, archive: IO[bytes]) -> None:
        self.seek, self.tell = archive.seek, archive.tell
        self._archive = archive

    def read(self, size: int) -> bytes:
        if size > _HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._archive.read(size)


def _followed(path: str, links: Mapping[str, str]) -> str:
    for _ in range(_LINKS):
        if path not in links:
            return path
        path = links[path]
    return ""
