"""What is kept and not counted gives way to pushes: the oldest first, each with its bytes in one transaction.

What counts as free is what the collector would free: nothing links it, nor did in the last hour. See ADR 18.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from chalicelib.registry.changes import NOBODY, Change, CountBlob, WriteAudit
from chalicelib.registry.steps import URL_SECONDS, blob_removal, merged
from chalicelib.registry.stores import STAGING, GivingRow, Link, LinkStore, TrashRow
from chalicelib.registry.trash import Trash
from chalicelib.spec.digest import Digest

# Of one request: each is a read and a transaction, and whoever pushes waits.
PURGES_LIMIT: Final = 32
# So many deleted manifests are looked at for what can give way.
LOOK_AT: Final = 1000
TOGETHER: Final = 16
TRIES: Final = 8
ACTION: Final = "purge-for-room"


@dataclass(frozen=True, slots=True)
class Plan:
    """`rows` are what is to go, the oldest first, for `bytes` to come free."""

    rows: tuple[GivingRow, ...] = ()
    bytes: int = 0


@dataclass(slots=True)
class _Tally:
    """What comes free of an account as one row after the other goes."""

    blobs: dict[Digest, Link] = field(default_factory=dict)
    left: dict[Digest, int] = field(default_factory=dict)
    freed: set[Digest] = field(default_factory=set)
    bytes: int = 0

    def add(self, found: dict[Digest, Link]) -> None:
        self.blobs |= found
        self.left |= {digest: blob.kept for digest, blob in found.items()}

    def take(self, row: GivingRow, is_free: Callable[[Link], bool]) -> None:
        for digest in self.left.keys() & set(row.blobs):
            self.left[digest] -= 1
            if not self.left[digest] and is_free(self.blobs[digest]):
                self.freed.add(digest)
                self.bytes += self.blobs[digest].size


@dataclass(frozen=True, slots=True)
class Eviction:
    """`trash` and `links` are those of all accounts."""

    trash: Trash
    links: LinkStore
    url_seconds: int = URL_SECONDS
    clock: Callable[[], float] = time.time

    def plan(self, account: str, needed: float = math.inf) -> Plan:
        """What would go for `needed` bytes, or all that can where that is less. It changes nothing."""
        tally, chosen = _Tally(), list[GivingRow]()
        giving = islice(self.trash.rows.giving(account), LOOK_AT)
        while some := list(islice(giving, TOGETHER)):
            unknown = {digest for row in some for digest in row.blobs} - tally.left.keys()
            tally.add(self.links.blobs(account, unknown))
            for row in some:
                chosen.append(row)
                tally.take(row, self._is_free)
                if tally.bytes >= needed:
                    return Plan(_useful(chosen, tally.freed), tally.bytes)
        return Plan(_useful(chosen, tally.freed), tally.bytes)

    def purge(self, row: GivingRow) -> bool:
        """Its manifest, and what nothing else needs of its blobs. False: it does not give way any more."""
        repository = row.repository
        for _ in range(TRIES):
            found = self.trash.rows.get(repository, row.digest)
            if found is None or not found.gives_way or found.state == STAGING:
                return False
            told = WriteAudit(repository, NOBODY, ACTION, row.digest, _why(found))
            if self.trash.release(repository, found, found.due, told, to_push=self._let_go):
                return True
        return False

    def _let_go(self, account: str, blobs: Sequence[Digest]) -> list[Change]:
        found = self.links.blobs(account, blobs)
        freed = [blob_removal(account, blob, kept=1) for blob in found.values() if self._is_last(blob)]
        changes = [change for change, _ in merged(freed)]
        for digest in blobs:
            blob = found.get(digest)
            if blob is None or not self._is_last(blob):
                is_shared = blob is not None and bool(blob.references or blob.kept > 1)
                changes.append(CountBlob(account, digest, kept=-1, is_shared=is_shared))
        return changes

    def _is_last(self, blob: Link) -> bool:
        return blob.kept == 1 and self._is_free(blob)

    def _is_free(self, blob: Link) -> bool:
        """Nothing links it, and whoever got a URL for it then has had the time to use it."""
        return not blob.references and blob.idle <= self.clock() - self.url_seconds


def _useful(rows: Iterable[GivingRow], freed: set[Digest]) -> tuple[GivingRow, ...]:
    """Those that keep something of what comes free, and the indexes that name them: no use without them."""
    every = list(rows)
    gone = {(row.repository, row.digest) for row in every if not freed.isdisjoint(row.blobs)}
    while True:
        above = {
            (row.repository, row.digest)
            for row in every
            if any((row.repository, child) in gone for child in row.children)
        }
        if above <= gone:
            return tuple(row for row in every if (row.repository, row.digest) in gone)
        gone |= above


def _why(row: TrashRow) -> dict[str, object]:
    return {"reason": "a push needed its room", "tags": list(row.tags), "deleted": row.deleted}
