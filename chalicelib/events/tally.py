"""What became of what was told, counted until somebody takes the counts."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, fields


@dataclass(frozen=True, slots=True)
class Told:
    """`failed` are attempts; `given_up` are events that a target never got."""

    delivered: int = 0
    failed: int = 0
    given_up: int = 0

    def __add__(self, other: Told) -> Told:
        return Told(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Told)))

    def __bool__(self) -> bool:
        return self != Told()


@dataclass(slots=True)
class Tally:
    """Any thread may add to it, and what is taken is taken once."""

    _told: Told = field(default_factory=Told)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, told: Told) -> None:
        with self._lock:
            self._told += told

    def take(self) -> Told:
        with self._lock:
            taken, self._told = self._told, Told()
        return taken
