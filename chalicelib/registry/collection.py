"""Online garbage collection: what nothing needs goes, in small conditional steps, from lists of what may go.

Any number of collectors run at once, beside every push and delete, and may be killed at any point.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Final, Protocol

from chalicelib.registry.blobs import GRACE_SECONDS
from chalicelib.registry.changes import CountBlob, RemoveLink, SettleBlob, SettleLink
from chalicelib.registry.expiry import Expiry
from chalicelib.registry.staging import Staging
from chalicelib.registry.steps import URL_SECONDS, Step, Steps, blob_removal
from chalicelib.registry.stores import LIVE, RELEASING, Link, ManifestStore
from chalicelib.registry.trash import Trash
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository

STAGED_SECONDS: Final = 24 * 3600
RELEASING_SECONDS: Final = 600
# Of one run: then something is wrong that the next run may not meet.
FAILURES_LIMIT: Final = 100
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IdleRow:
    """A manifest or a deleted one by its time in a list: it may have gone on since."""

    repository: Repository
    digest: Digest
    at: int


@dataclass(frozen=True, slots=True)
class IdleLink:
    repository: Repository
    digest: Digest
    idle: int
    references: int


@dataclass(frozen=True, slots=True)
class IdleBlob:
    """`is_used`: something linked or kept it when the list was written."""

    account: str
    digest: Digest
    idle: int
    size: int
    storage_key: str
    is_used: bool


Pages = Iterator[list[Any]]


class Collectable(Protocol):
    """What may go, of one shard, oldest first, no later than `before`: lists that follow the rows in time.

    An iterator of pages, each one query.
    """

    def trash(self, shard: str, before: int) -> Pages: ...
    def manifests(self, shard: str, before: int) -> Pages: ...
    def links(self, shard: str, before: int) -> Pages: ...
    def blobs(self, shard: str, before: int) -> Pages: ...
    def sessions(self, shard: str, before: int) -> Pages: ...
    def buried(self, shard: str) -> Pages: ...


class Graveyard(Protocol):
    """Where buried objects go for good."""

    def delete_all(self, keys: Sequence[str]) -> list[str]:
        """Those that S3 has not deleted."""
        ...

    def forget(self, keys: Sequence[str]) -> None:
        """Their rows, once S3 has them no more."""
        ...


@dataclass(slots=True)
class Freed:
    """Of one account; `objects` left S3, the rest are rows."""

    bytes: int = 0
    blobs: int = 0
    links: int = 0
    manifests: int = 0
    trash: int = 0
    uploads: int = 0
    objects: int = 0

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) for one in fields(self))

    def add(self, other: Freed) -> None:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


@dataclass(slots=True)
class Report:
    """What one run freed. `is_complete`: it came to the end of every list; `failures` are what raised."""

    accounts: dict[str, Freed] = field(default_factory=dict)
    is_complete: bool = True
    failures: int = 0

    def of(self, account: str) -> Freed:
        return self.accounts.setdefault(account, Freed())

    @property
    def total(self) -> Freed:
        total = Freed()
        for one in self.accounts.values():
            total.add(one)
        return total


@dataclass(slots=True)
class _Run:
    until: float
    account: str | None
    report: Report = field(default_factory=Report)

    def wants(self, account: str) -> bool:
        return self.account in {None, account}


Work = Callable[[_Run, list[Any]], None]


@dataclass(frozen=True, slots=True)
class Collector:
    """`grace` is how long a blob stays in a repository that has no manifest for it (yet, or any more)."""

    found: Collectable
    graves: Graveyard
    manifests: ManifestStore
    staging: Staging
    trash: Trash
    expiry: Expiry
    steps: Steps
    shards: str
    account_of: Callable[[str], str]
    # Of an account whose bytes were freed: brings its level in line, and never raises.
    settle: Callable[[str], object]
    grace: int = GRACE_SECONDS
    url_seconds: int = URL_SECONDS
    clock: Callable[[], float] = time.time

    def run(self, until: float, account: str | None = None) -> Report:
        """Free what is due, of one account or of all, until the clock says `until`."""
        run = _Run(until, account)
        run.report.is_complete = self._run(run)
        for owner, freed in run.report.accounts.items():
            if freed.bytes:
                self.settle(owner)
        return run.report

    def _run(self, run: _Run) -> bool:
        """False: it did not come to the end of every list."""
        for shard in random.sample(self.shards, len(self.shards)):
            for pages, work in self._lists(shard):
                if not self._work(run, pages, work):
                    return False
        return True

    def _lists(self, shard: str) -> Iterator[tuple[Callable[[], Pages], Work]]:
        """In the order in which one makes work for the next."""
        now, found = int(self.clock()), self.found
        yield partial(found.trash, shard, now), self._trash
        yield partial(found.manifests, shard, now - RELEASING_SECONDS), self._manifests
        yield partial(found.links, shard, now - self.grace), self._links
        yield partial(found.blobs, shard, now - self.url_seconds), self._blobs
        yield partial(found.sessions, shard, now), self._sessions
        yield partial(found.buried, shard), self._objects

    def listed(self, account: str) -> Iterator[IdleBlob | IdleLink | IdleRow]:
        """What of an account is due now, and was not in use when the lists were written."""
        now = int(self.clock())
        for shard in self.shards:
            for page in self.found.blobs(shard, now - self.url_seconds):
                yield from (one for one in page if one.account == account and not one.is_used)
            for page in self.found.links(shard, now - self.grace):
                yield from (one for one in page if one.repository.account == account and not one.references)
            for page in self.found.trash(shard, now):
                yield from (one for one in page if one.repository.account == account)

    def _work(self, run: _Run, pages: Callable[[], Pages], work: Work) -> bool:
        """False: time is up, or too much fails."""
        listed = pages()
        while self.clock() < run.until and run.report.failures < FAILURES_LIMIT:
            page: list[Any] | None = None
            try:
                page = next(listed, None)
                if page is None:
                    return True
                work(run, page)
            except Exception:  # noqa: BLE001 - whatever it is, the rest of the garbage goes
                _LOG.exception("something could not be collected at once")
                run.report.failures += 1
                if page is None:
                    return True
                self._one_by_one(run, page, work)
        return False

    def _one_by_one(self, run: _Run, page: list[Any], work: Work) -> None:
        """What fails is left to the next run, and keeps nothing else from going."""
        for one in page:
            if run.report.failures >= FAILURES_LIMIT:
                return
            try:
                work(run, [one])
            except Exception:  # noqa: BLE001 - as above
                _LOG.exception("%s could not be collected yet", one)
                run.report.failures += 1

    def _trash(self, run: _Run, page: list[IdleRow]) -> None:
        for one in page:
            if not run.wants(one.repository.account):
                continue
            row = self.trash.rows.get(one.repository, one.digest)
            # As the list has it: what was deleted again since is due later.
            if row is not None and row.due == one.at and self.trash.release(one.repository, row, one.at):
                run.report.of(one.repository.account).trash += 1

    def _manifests(self, run: _Run, page: list[IdleRow]) -> None:
        for one in page:
            if not run.wants(one.repository.account):
                continue
            row = self.manifests.get(one.repository, one.digest)
            if row is None or row.state == LIVE:
                continue
            is_due = row.state == RELEASING or one.at <= self.clock() - STAGED_SECONDS
            if is_due and self.staging.drop(one.repository, row):
                run.report.of(one.repository.account).manifests += 1

    def _links(self, run: _Run, page: list[IdleLink]) -> None:
        mine = {(one.repository, one.digest): one for one in page if run.wants(one.repository.account)}

        def removed(one: IdleLink) -> None:
            run.report.of(one.repository.account).links += 1

        used = self.steps.write(
            [*map(_link_removal, (one for one in mine.values() if not one.references))], removed
        )
        used += [one for one in mine.values() if one.references]
        self.steps.write(map(_link_settling, used), _nothing)

    def _blobs(self, run: _Run, page: list[IdleBlob]) -> None:
        mine = {(one.account, one.digest): one for one in page if run.wants(one.account)}

        def removed(one: IdleBlob) -> None:
            freed = run.report.of(one.account)
            freed.blobs += 1
            freed.bytes += one.size

        used = self.steps.write(
            [*map(_blob_removal, (one for one in mine.values() if not one.is_used))], removed
        )
        used += [one for one in mine.values() if one.is_used]
        self.steps.write(map(_blob_settling, used), _nothing)

    def _sessions(self, run: _Run, page: list[str]) -> None:
        for session in page:
            account = self.expiry.end(session, run.account)
            if account is not None:
                run.report.of(account).uploads += 1

    def _objects(self, run: _Run, page: list[str]) -> None:
        """The bytes first: until they are gone, the row remembers them."""
        mine = [key for key in page if run.wants(self.account_of(key))]
        if not mine:
            return
        left = set(self.graves.delete_all(mine))
        gone = [key for key in mine if key not in left]
        self.graves.forget(gone)
        for key in gone:
            run.report.of(self.account_of(key)).objects += 1
        run.report.failures += len(left)


def _link_removal(one: IdleLink) -> Step:
    count = CountBlob(one.repository.account, one.digest, links=-1)
    return Step(one, (RemoveLink(one.repository, one.digest, one.idle), count))


def _link_settling(one: IdleLink) -> Step:
    return Step(one, (SettleLink(one.repository, one.digest, one.idle),))


def _blob_removal(one: IdleBlob) -> Step:
    return blob_removal(one.account, Link(one.digest, one.size, one.storage_key, idle=one.idle), one)


def _blob_settling(one: IdleBlob) -> Step:
    return Step(one, (SettleBlob(one.account, one.digest, one.idle),))


def _nothing(_subject: object) -> None: ...
