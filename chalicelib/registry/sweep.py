"""Looks through the bucket for what no row names: objects and multipart uploads of requests that died.

It goes in the order of the keys, as long as it may, and goes on another time where it stopped. What it finds
is buried, so that the collector deletes it. Of blobs without their object it only tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from chalicelib.registry.changes import TRANSACTION_LIMIT, BuryObject, Transactions
from chalicelib.registry.expiry import DIRECT, Bucket, StoredObject
from chalicelib.registry.stores import DirectStore, LinkStore, ManifestStore, TrashStore, UploadStore
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository

# Twice as long as a session lives.
OLD_SECONDS: Final = 48 * 3600
MISSING_LIMIT: Final = 1000


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob's row by its storage key, as an index has it: it may have gone since, or not be there yet."""

    account: str
    digest: Digest
    storage_key: str


class SweepStore(Protocol):
    def blobs(self, account: str, kind: str, after: str) -> Iterator[StoredBlob]:
        """Those whose storage key begins with `kind` and comes after `after`, in the order of the keys."""
        ...

    def cursor(self) -> str:
        """The key up to which the last sweep came; '' at the beginning."""
        ...

    def remember(self, cursor: str) -> None: ...


@dataclass(slots=True)
class SweepReport:
    """`missing` are storage keys that a blob's row names and S3 has not."""

    looked_at: int = 0
    buried: int = 0
    aborted: int = 0
    missing: list[str] = field(default_factory=list)
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class Sweep:
    """The three functions read what an S3 key says."""

    rows: SweepStore
    bucket: Bucket
    uploads: UploadStore
    direct: DirectStore
    links: LinkStore
    manifests: ManifestStore
    trash: TrashStore
    transactions: Transactions
    account_of: Callable[[str], str]
    session_of: Callable[[str], str]
    manifest_of: Callable[[str], tuple[Repository, Digest] | None]
    clock: Callable[[], float] = time.time

    def run(self, until: float) -> SweepReport:
        """From the cursor on. Two at once do the same work twice, and no harm."""
        report, cursor = SweepReport(), self.rows.cursor()
        if not cursor:
            self._abort(report)
        orphans: list[str] = []
        joined = _Joined(self.rows, self.account_of, cursor)
        for one in self.bucket.objects("", cursor):
            if self.clock() >= until:
                break
            report.looked_at += 1
            is_named = joined.names(one.key)
            if not is_named and self._is_orphan(one):
                orphans.append(one.key)
            self._tell_missing(report, joined)
            cursor = one.key
            if len(orphans) == TRANSACTION_LIMIT:
                self._bury(report, orphans)
                self.rows.remember(cursor)
        else:
            joined.finish()
            self._tell_missing(report, joined)
            report.is_complete, cursor = True, ""
        self._bury(report, orphans)
        self.rows.remember(cursor)
        return report

    def _is_orphan(self, one: StoredObject) -> bool:
        """Read consistently, and only of what is so old that nobody is still about to name it."""
        if one.at >= self.clock() - OLD_SECONDS:
            return False
        manifest = self.manifest_of(one.key)
        if manifest is not None:
            return not self._names_manifest(*manifest, one.key)
        session = self.session_of(one.key)
        return bool(session) and not self._lives(session)

    def _names_manifest(self, repository: Repository, digest: Digest, key: str) -> bool:
        """The manifest first: its deletion hands the bytes on to the trash."""
        row = self.manifests.get(repository, digest)
        if row is not None and row.storage_key == key:
            return True
        deleted = self.trash.get(repository, digest)
        return deleted is not None and deleted.storage_key == key

    def _lives(self, session: str) -> bool:
        is_direct = session.startswith(DIRECT)
        return (self.direct.get(session) if is_direct else self.uploads.get(session)) is not None

    def _bury(self, report: SweepReport, orphans: list[str]) -> None:
        if orphans:
            self.transactions.write([BuryObject(key) for key in orphans])
        report.buried += len(orphans)
        orphans.clear()

    def _abort(self, report: SweepReport) -> None:
        for one in self.bucket.multiparts(""):
            session = self.session_of(one.key)
            is_old = one.at < self.clock() - OLD_SECONDS
            if is_old and session and not self._lives(session):
                self.bucket.abort(one.key, one.multipart_id)
                report.aborted += 1

    def _tell_missing(self, report: SweepReport, joined: _Joined) -> None:
        """Looked at again: row and object may have come and gone between two pages."""
        for blob in joined.take_unmatched():
            now = self.links.blob(blob.account, blob.digest)
            is_same = now is not None and now.storage_key == blob.storage_key
            if is_same and not self.bucket.has(blob.storage_key) and len(report.missing) < MISSING_LIMIT:
                report.missing.append(blob.storage_key)


class _Joined:
    """The rows of blobs beside the keys of the bucket, both in the same order."""

    def __init__(self, rows: SweepStore, account_of: Callable[[str], str], after: str) -> None:
        self._rows, self._account_of, self._after = rows, account_of, after
        self._group = ("", "")
        self._waiting: Iterator[StoredBlob] = iter(())
        self._next: StoredBlob | None = None
        self._unmatched: list[StoredBlob] = []

    def names(self, key: str) -> bool:
        """Whether a row names this key, which comes after all those asked for before."""
        group = key.partition("/")[0] + "/", self._account_of(key)
        if group != self._group:
            self.finish()
            self._group = group
            after = self._after if self._after.startswith(group[0]) else ""
            self._waiting = self._rows.blobs(group[1], group[0], after)
            self._next = next(self._waiting, None)
        while self._next is not None and self._next.storage_key < key:
            self._pass()
        if self._next is None or self._next.storage_key != key:
            return False
        self._next = next(self._waiting, None)
        return True

    def finish(self) -> None:
        while self._next is not None:
            self._pass()

    def take_unmatched(self) -> list[StoredBlob]:
        found, self._unmatched = self._unmatched, []
        return found

    def _pass(self) -> None:
        assert self._next is not None  # noqa: S101 - asked for just before
        self._unmatched.append(self._next)
        self._next = next(self._waiting, None)
