"""How slowly a client may send: whoever holds a connection, or a thread, has to use it."""

from __future__ import annotations

from typing import Final

WINDOW_SECONDS: Final = 60
FLOOR_BYTES: Final = 256 * 1024


class Pace:
    """Counts the seconds in which a client was waited for, and the bytes that came in them."""

    def __init__(self) -> None:
        self._waited = 0.0
        self._size = 0

    def left(self) -> float:
        """Seconds until the next look."""
        return WINDOW_SECONDS - self._waited

    def is_kept(self, seconds: float, size: int) -> bool:
        """Add a wait and what it brought; False when a window had less than `FLOOR_BYTES`."""
        self._waited += seconds
        self._size += size
        if self._waited < WINDOW_SECONDS:
            return True
        kept = self._size >= FLOOR_BYTES
        self._waited, self._size = 0.0, 0
        return kept
