"""How much memory the bodies take that are read whole, before anybody knows who sent them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from chalicelib.spec.manifest import SIZE_LIMIT

# Each is there several times over while it is answered: as bytes, as base64 in its event, decoded again.
ROOM_BYTES: Final = 32 * 1024 * 1024
# What fits into the buffer of its connection needs no room, so that logins never wait for manifests.
SMALL_BYTES: Final = 64 * 1024
# Four bytes for each character that the management API takes.
_MANAGEMENT_BYTES: Final = 256 * 1024
_MANAGEMENT: Final = "/api/"


class Room:
    """Given whole or not at all, in the order asked: part of it would let two bodies wait for each other."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Waits for it; until then the body stays with the client."""
        wanted = size if size > SMALL_BYTES else 0
        await self._take(wanted)
        try:
            yield
        finally:
            self._free += wanted
            self._let_in()

    async def _take(self, size: int) -> None:
        if not size or (size <= self._free and not self._waiting):
            self._free -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._free += size
            self._let_in()
            raise

    def _let_in(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done():
                if size > self._free:
                    return
                self._free -= size
                turn.set_result(None)
            self._waiting.popleft()


def body_limit(method: str, path: str) -> int:
    """What is read of a body: manifests are the only large ones, all else is a form or none."""
    if path.startswith(_MANAGEMENT):
        return _MANAGEMENT_BYTES
    return SIZE_LIMIT if method == "PUT" else SMALL_BYTES


def expected(headers: Iterable[tuple[bytes, bytes]], limit: int) -> int:
    """How many bytes of a body are going to be held."""
    named = dict(headers)
    if b"transfer-encoding" in named:
        return limit
    return min(int(named.get(b"content-length", b"0")), limit)
