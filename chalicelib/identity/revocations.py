"""What was taken away while tokens for it still live: read at most once in `FRESH_SECONDS`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

FRESH_SECONDS: Final = 20


class RevocationStore(Protocol):
    def revoked(self) -> Mapping[str, int]:
        """The generation that each credential changed lately has now; a deleted one, one more than it had.

        For a registry that was deleted or moved, when that was (epoch milliseconds).
        """
        ...


def registry_id(name: str) -> str:
    """Beside the ids of credentials, none of which has a slash."""
    return f"registry/{name}"


@dataclass(slots=True)
class Revocations:
    """A process looks again after `FRESH_SECONDS`, so a revoked credential stops within that time."""

    store: RevocationStore
    # Not the monotonic clock, which may stand still while a function is frozen.
    clock: Callable[[], float] = time.time
    _known: Mapping[str, int] = field(default_factory=dict)
    _read: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def stand(self, id_: str, generation: int) -> bool:
        """Whether what was issued to that generation of the credential still counts."""
        return generation >= self._current().get(id_, 0)

    def reach(self, registry: str, issued: int) -> bool:
        """Whether what was looked at then still counts in the registry."""
        return issued >= self._current().get(registry_id(registry), 0)

    def _current(self) -> Mapping[str, int]:
        if self._is_stale():
            with self._lock:
                if self._is_stale():
                    # From before the read on: what is written meanwhile may be missing from it.
                    began = self.clock()
                    self._known, self._read = self.store.revoked(), began
        return self._known

    def _is_stale(self) -> bool:
        return self._read is None or not 0 <= self.clock() - self._read <= FRESH_SECONDS
