"""Ends upload sessions of both kinds that have expired, with every byte that any request of theirs left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from chalicelib.registry.changes import TRANSACTION_LIMIT, BuryObject, Change, ExpireSession, Transactions
from chalicelib.registry.stores import DirectRow, DirectStore, LinkStore, UploadRow, UploadStore
from chalicelib.spec.reference import Repository

DIRECT: Final = "direct-"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """As S3 lists it; `at` is when it was written, in epoch seconds."""

    key: str
    at: int
    size: int


@dataclass(frozen=True, slots=True)
class OpenMultipart:
    key: str
    multipart_id: str
    at: int


class Bucket(Protocol):
    """What S3 has under a prefix, and the end of its multipart uploads."""

    def objects(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        """In the order of their keys, each after `after`."""
        ...

    def has(self, key: str) -> bool: ...
    def multiparts(self, prefix: str) -> Iterator[OpenMultipart]: ...
    def abort(self, key: str, multipart_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Expiry:
    """`prefix_of` is what every key of a session begins with, but that of what comes in."""

    uploads: UploadStore
    direct: DirectStore
    links: LinkStore
    bucket: Bucket
    transactions: Transactions
    prefix_of: Callable[[Repository, str], str]
    clock: Callable[[], float] = time.time

    def end(self, session: str, account: str | None = None) -> str | None:
        """The account whose session it was; None: it lives, or is another's than `account`.

        A row and what it names are final from the moment it goes: nothing of an expired session that
        nobody writes to will be published any more.
        """
        is_direct = session.startswith(DIRECT)
        row = self.direct.get(session) if is_direct else self.uploads.get(session)
        now = int(self.clock())
        if row is None or row.expires >= now or account not in {None, row.repository.account}:
            return None
        prefix = self.prefix_of(row.repository, session)
        keys = {one.key for one in self.bucket.objects(prefix)} | self._incoming(row)
        buried = sorted(keys - self._published(row))
        room = TRANSACTION_LIMIT - 1
        changes: list[Change] = [ExpireSession(session, row.expires, now), *map(BuryObject, buried[:room])]
        if self.transactions.write(changes):
            return None
        for first in range(room, len(buried), room):
            self.transactions.write([BuryObject(key) for key in buried[first : first + room]])
        self._abort(row, prefix)
        return row.repository.account

    def _incoming(self, row: UploadRow | DirectRow) -> set[str]:
        return {row.key} if isinstance(row, DirectRow) else set()

    def _published(self, row: UploadRow | DirectRow) -> set[str]:
        """A direct upload's row outlives its publication. Read after the listing, and no longer changed."""
        if not isinstance(row, DirectRow):
            return set()
        kept = self.links.blob(row.repository.account, row.digest)
        return {kept.storage_key} if kept else set()

    def _abort(self, row: UploadRow | DirectRow, prefix: str) -> None:
        """Those that no row ever named too: of requests that died as they began."""
        for one in self.bucket.multiparts(prefix):
            self.bucket.abort(one.key, one.multipart_id)
        if isinstance(row, DirectRow) and row.multipart_id and not row.key.startswith(prefix):
            self.bucket.abort(row.key, row.multipart_id)
