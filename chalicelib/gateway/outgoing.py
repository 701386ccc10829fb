"""The sending side of a connection: who hung up is sent nothing, who does not read is not waited for."""

from __future__ import annotations

import asyncio
from typing import Any, Final

# A system's own buffer empties by steps: over less time, a slow client would look like one that stopped.
STALL_SECONDS: Final = 120
STALL_BYTES: Final = 64 * 1024


class Outgoing(asyncio.Transport):
    """A transport that breaks off when a client takes less than `STALL_BYTES` in `STALL_SECONDS`.

    What has been written holds memory until it is read, also behind a connection that is closed.
    """

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._inner = inner
        self._loop = loop
        self._written = 0
        self._taken = 0
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nothing where the connection has ended already: a client may leave at any moment."""
        if self._inner.is_closing():
            return
        if not self._inner.get_write_buffer_size():
            self._taken, self._since = self._written, self._loop.time()
        self._written += len(data)
        self._inner.write(data)
        if self._timer is None and self._inner.get_write_buffer_size():
            self._timer = self._loop.call_at(self._since + STALL_SECONDS, self._check)

    def lost(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        self._timer = None
        waiting = self._inner.get_write_buffer_size()
        if not waiting:
            return
        if self._loop.time() >= self._since + STALL_SECONDS:
            taken = self._written - waiting
            if taken - self._taken < STALL_BYTES:
                self._inner.abort()
                return
            self._taken, self._since = taken, self._loop.time()
        self._timer = self._loop.call_at(self._since + STALL_SECONDS, self._check)

    def close(self) -> None:
        self._inner.close()

    def abort(self) -> None:
        self._inner.abort()

    def is_closing(self) -> bool:
        return self._inner.is_closing()

    def can_write_eof(self) -> bool:
        return not self._inner.is_closing() and self._inner.can_write_eof()

    def write_eof(self) -> None:
        self._inner.write_eof()

    def get_write_buffer_size(self) -> int:
        return self._inner.get_write_buffer_size()

    def pause_reading(self) -> None:
        if not self._inner.is_closing():
            self._inner.pause_reading()

    def resume_reading(self) -> None:
        if not self._inner.is_closing():
            self._inner.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._inner.get_extra_info(name, default)
