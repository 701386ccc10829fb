"""Digests, and the bytes they are of: pieces of files that any number of threads read and write at once."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from ccr.cli.exits import CliError, Exit

# Small enough that a slow line sends one before it times out, large enough that Python is not the limit.
BLOCK: Final = 256 * 1024
_ALGORITHMS: Final = {"sha256": 64, "sha512": 128}
_DIGEST: Final = re.compile(r"(sha256|sha512):([0-9a-f]+)")


class DamagedError(CliError):
    """What is read is not what it says it is."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Exit.DAMAGED)


@dataclass(frozen=True, slots=True)
class Region:
    """`size` bytes of a file, at `offset`; of one held open, or of one that is opened for each use."""

    place: Path | IO[bytes]
    offset: int
    size: int

    @contextmanager
    def opened(self, flags: int = os.O_RDONLY) -> Iterator[int]:
        """Its file descriptor."""
        if not isinstance(self.place, Path):
            yield self.place.fileno()
            return
        descriptor = os.open(self.place, flags)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def part(self, start: int, size: int) -> Region:
        return Region(self.place, self.offset + start, size)

    def blocks(self, size: int = BLOCK) -> Iterator[memoryview]:
        """One after the other in the same memory: done with a block before the next. Raises DamagedError."""
        memory = memoryview(bytearray(min(size, max(self.size, 1))))
        with self.opened() as descriptor:
            at = 0
            while at < self.size:
                got = os.preadv(descriptor, [memory[: self.size - at]], self.offset + at)
                if got == 0:
                    raise DamagedError(f"{self._name} ends before its {self.size} bytes are read")
                yield memory[:got]
                at += got

    def read(self, limit: int) -> bytes:
        """All of it. Raises DamagedError where that is more than `limit`."""
        if self.size > limit:
            raise DamagedError(f"a document of {self.size} bytes; at most {limit} are one")
        return b"".join(bytes(block) for block in self.blocks())

    def digest(self, algorithm: str = "sha256") -> str:
        state = hashlib.new(algorithm)
        for block in self.blocks():
            state.update(block)
        return f"{algorithm}:{state.hexdigest()}"

    @property
    def _name(self) -> str:
        return str(self.place if isinstance(self.place, Path) else getattr(self.place, "name", "the file"))


@dataclass(frozen=True, slots=True)
class Blob:
    """A layer or a config."""

    digest: str
    size: int
    region: Region


def check_digest(text: Any) -> str:
    """Raises DamagedError for what is no digest."""
    found = _DIGEST.fullmatch(text) if isinstance(text, str) else None
    if found is None or len(found[2]) != _ALGORITHMS[found[1]]:
        raise DamagedError(f"{text!r} is no digest")
    return found[0]


def algorithm_of(digest: str) -> str:
    return digest.partition(":")[0]


def hexadecimal(digest: str) -> str:
    return digest.partition(":")[2]


def digest_of(raw: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, raw).hexdigest()}"


def short(digest: str) -> str:
    """For a person."""
    return hexadecimal(digest)[:12]


def verified(raw: bytes, digest: str, what: str) -> bytes:
    """Raises DamagedError."""
    found = digest_of(raw, algorithm_of(digest))
    if found != digest:
        raise DamagedError(f"{what} is not what its digest says: it should be {digest} and is {found}")
    return raw
