"""Gzip of a layer, the same bytes for the same layer on every machine and any number of cores.

Blocks of one size, each deflated by itself and flushed to a whole byte, make one gzip member.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from ccr.cli.transfer.archives import spool
from ccr.cli.transfer.content import Blob, Region
from ccr.cli.transfer.reading import Reading

LEVEL: Final = 6
_BLOCK: Final = 1024 * 1024
# No name and no time in it: those would be other bytes tomorrow.
_HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@dataclass(frozen=True, slots=True)
class Compressed:
    """`plain` is the digest of what was compressed."""

    blob: Blob
    plain: str


def compress(region: Region, reading: Reading) -> Compressed:
    """Into a spool; at most two blocks for each core in memory."""
    out, plain, packed, checksum = spool(reading), hashlib.sha256(), hashlib.sha256(), 0
    cores = os.cpu_count() or 1

    def write(piece: bytes) -> None:
        packed.update(piece)
        out.write(piece)

    write(_HEAD)
    with ThreadPoolExecutor(cores, "gzip") as pool:
        waiting: deque[Future[bytes]] = deque()
        for block in _copies(region):
            plain.update(block)
            checksum = zlib.crc32(block, checksum)
            waiting.append(pool.submit(_deflate, block))
            if len(waiting) > 2 * cores:
                write(waiting.popleft().result())
            reading.moved(len(block))
        for one in waiting:
            write(one.result())
    write(zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS).flush())
    write(struct.pack("<II", checksum, region.size & 0xFFFFFFFF))
    out.flush()
    size = out.tell()
    return Compressed(
        Blob(f"sha256:{packed.hexdigest()}", size, Region(out, 0, size)), f"sha256:{plain.hexdigest()}"
    )


def _copies(region: Region) -> Iterator[bytes]:
    """Blocks of exactly one size, whatever reads give."""
    for start in range(0, region.size, _BLOCK):
        yield region.part(start, min(_BLOCK, region.size - start)).read(_BLOCK)


def _deflate(block: bytes) -> bytes:
    machine = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return machine.compress(block) + machine.flush(zlib.Z_SYNC_FLUSH)
