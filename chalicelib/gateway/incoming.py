"""The body of one request as the server hands it over, which knows whether all of it has come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from chalicelib.gateway.body import BodyPipe, too_slow
from chalicelib.gateway.pace import Pace

READ_SECONDS: Final = 60
DRAIN_SECONDS: Final = 30

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Disconnected(Exception):  # noqa: N818 - not an error: clients may leave
    """The client left before its request was complete."""


class Incoming:
    """Only one of its methods may be waiting at a time."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def next(self) -> bytes:
        """What came since. Raises Disconnected."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._ended = True
            raise Disconnected
        self._ended = not message.get("more_body", False)
        return bytes(message.get("body", b""))

    async def read(self, limit: int) -> bytes:
        """The body, or its first `limit` bytes and one more. Raises Disconnected, SIZE_INVALID (408)."""
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(READ_SECONDS):
                while not self._ended and size <= limit:
                    chunks.append(await self.next())
                    size += len(chunks[-1])
        except TimeoutError as error:
            raise too_slow() from error
        return b"".join(chunks)[: limit + 1]

    async def pump(self, pipe: BodyPipe) -> None:
        """Hand the body to the thread that reads `pipe`, from when it reads: it may not want it."""
        await pipe.wanted.wait()
        pace = Pace()
        try:
            while not self._ended:
                body, kept = await self._next_in(pace)
                if not kept:
                    pipe.give_up(too_slow())
                    return
                if body:
                    await pipe.feed(body)
            pipe.end()
        except Disconnected:
            pipe.hang_up()

    async def _next_in(self, pace: Pace) -> tuple[bytes, bool]:
        """What came since, and whether it came fast enough."""
        loop = asyncio.get_running_loop()
        began, body = loop.time(), b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pace.left()):
                body = await self.next()
        return body, pace.is_kept(loop.time() - began, len(body))

    async def drain(self) -> None:
        """Throw the rest away, while it comes: some clients read no answer before they have sent all."""
        with contextlib.suppress(Disconnected, TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self._ended:
                    await self.next()

    async def gone(self) -> None:
        """Return once the client has left."""
        with contextlib.suppress(Disconnected):
            while True:
                await self.next()
