"""A request's body on its way from the event loop to the thread that writes it to S3."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Final

from chalicelib.spec.errors import ErrorCode, RegistryError

HIGH_WATER: Final = 1024 * 1024


class BodyPipe:
    """Holds at most `HIGH_WATER` bytes and one message more; the sender waits for the rest to go."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.wanted = asyncio.Event()
        self._changed = threading.Condition()
        self._room = asyncio.Event()
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = False
        self._broken: RegistryError | None = None

    async def feed(self, chunk: bytes) -> None:
        with self._changed:
            self._chunks.append(chunk)
            self._size += len(chunk)
            full = self._size >= HIGH_WATER
            if full:
                self._room.clear()
            self._changed.notify()
        if full:
            await self._room.wait()

    def end(self) -> None:
        """No more will come."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def hang_up(self) -> None:
        """The client went away before it had sent everything."""
        self.give_up(RegistryError(ErrorCode.SIZE_INVALID, "the body ended early; send it again"))

    def give_up(self, error: RegistryError) -> None:
        """No more will come, and whoever reads is told why."""
        with self._changed:
            self._broken = self._broken or error
            self._changed.notify()

    def __iter__(self) -> Iterator[bytes]:
        """Raises SIZE_INVALID: 400 when the client hangs up, 408 when it sends too slowly."""
        self._loop.call_soon_threadsafe(self.wanted.set)
        while chunks := self._take():
            yield from chunks

    def _take(self) -> list[bytes]:
        with self._changed:
            self._changed.wait_for(self._may_go_on)
            if self._broken is not None:
                raise self._broken
            chunks, self._chunks, self._size = self._chunks, [], 0
        self._loop.call_soon_threadsafe(self._room.set)
        return chunks

    def _may_go_on(self) -> bool:
        return bool(self._chunks) or self._ended or self._broken is not None


def too_slow() -> RegistryError:
    """What was kept before stands: an upload goes on from there."""
    message = "the body came too slowly; ask the upload how far it got, or send the request again"
    return RegistryError(ErrorCode.SIZE_INVALID, message, status=408)
