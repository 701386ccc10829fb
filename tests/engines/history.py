"""What was written, when it was acknowledged, and what may be found after a kill."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

ALWAYS = float("-inf")
Kind = Literal["tag", "manifest", "blob"]


@dataclass(frozen=True, order=True)
class Subject:
    """A tag, a manifest or a blob of one repository; one thread alone writes to it."""

    repository: str
    kind: Kind
    name: str


@dataclass
class Write:
    """`digest` is what the subject is to be, None where it is deleted."""

    digest: str | None
    acknowledged: float | None = None


@dataclass
class History:
    """The writes to each subject, in order; `unfinished` are blobs of which not every byte was sent."""

    writes: dict[Subject, list[Write]] = field(default_factory=lambda: defaultdict(list))
    unfinished: set[tuple[str, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def writing(self, wanted: dict[Subject, str | None]) -> Iterator[None]:
        """Acknowledged when the block ends; one that raises may have been done or not."""
        made = [Write(digest) for digest in wanted.values()]
        with self._lock:
            for subject, write in zip(wanted, made, strict=True):
                self.writes[subject].append(write)
        yield
        now = time.monotonic()
        for write in made:
            write.acknowledged = now

    def acknowledged(self) -> int:
        """The writes that were acknowledged since the last `settle`."""
        every = [write for writes in self.writes.values() for write in writes]
        return sum(write.acknowledged not in {None, ALWAYS} for write in every)

    def repositories(self) -> list[str]:
        return sorted({subject.repository for subject in self.writes})

    def settle(self, found: dict[Subject, str | None]) -> None:
        """What was found is what must be there from now on."""
        for subject, digest in found.items():
            self.writes[subject] = [Write(digest, ALWAYS)]


def durable(writes: list[Write], before: float) -> int:
    """How many of `writes` must have been kept: the last acknowledged by `before`, and those ahead of it."""
    kept = [
        number
        for number, write in enumerate(writes, start=1)
        if write.acknowledged is not None and write.acknowledged < before
    ]
    return max(kept, default=0)


def allowed(writes: list[Write], before: float) -> set[str | None]:
    """What the subject may be after a kill that spares everything acknowledged by `before`."""
    kept = durable(writes, before)
    floor = writes[kept - 1].digest if kept else None
    return {floor, *(write.digest for write in writes[kept:])}


def lost(writes: list[Write], found: str | None) -> list[Write]:
    """The acknowledged writes that came after the newest one which explains `found`."""
    explained = max((n for n, write in enumerate(writes, start=1) if write.digest == found), default=0)
    return [write for write in writes[explained:] if write.acknowledged is not None]
