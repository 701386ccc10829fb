"""Migration 1 on every backend: rows as code of before the collector wrote them, and pushes beside it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from chalicelib.aws.keys import blob_key, repository_key
from chalicelib.aws.unmarked_store import DynamoUnmarkedStore
from chalicelib.registry.changes import CountLink
from chalicelib.registry.migrations import SETTLE_SECONDS, Migrations, Progress, Schema, SchemaStore
from chalicelib.registry.unmarked import BLOBS, LINKS, MANIFESTS, MarkUnused, Unmarked
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import SCHEMA, Deployment

HOUR = 3600
MOST_CALLS = 60
Item = dict[str, Any]


class KilledError(BaseException):
    """What `kill -9` leaves: nothing after it runs."""


@dataclass
class Old:
    """Rows of one blob, with the attributes that code of before the collector gave them."""

    deployment: Deployment
    repository: Repository

    def __post_init__(self) -> None:
        self.key = blob_key(self.repository, os.urandom(16).hex(), "w")
        self.digest = Digest.of(self.key.encode())
        self.scope = repository_key(self.repository)

    def _put(self, table: str, item: Item) -> None:
        name = getattr(self.deployment._tables, table).Meta.table_name
        self.deployment.dynamodb.put_item(TableName=name, Item=item)

    def link(self, references: int = 0) -> None:
        self._put(
            LINKS,
            {
                "repository": {"S": self.scope},
                "digest": {"S": self.digest},
                "size": {"N": "3"},
                "storage_key": {"S": self.key},
                "references": {"N": str(references)},
                "touched": {"S": "2026-01-01T00:00:00.000000+0000"},
            },
        )

    def blob(self, links: int = 1) -> None:
        self.deployment.services.blobs.objects.put(self.key, b"old")
        self.deployment.quota.usage(self.repository.account)
        self._put(
            BLOBS,
            {
                "account": {"S": self.repository.account},
                "digest": {"S": self.digest},
                "size": {"N": "3"},
                "storage_key": {"S": self.key},
                "links": {"N": str(links)},
            },
        )

    def manifest(self, state: str) -> None:
        self._put(
            MANIFESTS,
            {
                "repository": {"S": self.scope},
                "digest": {"S": self.digest},
                "media_type": {"S": "application/vnd.oci.image.manifest.v1+json"},
                "size": {"N": "2"},
                "state": {"S": state},
                "raw": {"B": b"{}"},
                "holds": {"S": ""},
                "held": {"N": "0"},
                "tags": {"N": "0"},
                "parents": {"N": "0"},
            },
        )

    def referrer(self) -> None:
        self._put(
            MANIFESTS,
            {
                "repository": {"S": self.scope},
                "digest": {"S": f"referrers#{self.digest}#{self.digest}"},
                "descriptor": {"S": "{}"},
            },
        )

    def read(self, table: str) -> Item | None:
        name = getattr(self.deployment._tables, table).Meta.table_name
        hash_key = {BLOBS: "account"}.get(table, "repository")
        scope = self.repository.account if table == BLOBS else self.scope
        key = {hash_key: {"S": scope}, "digest": {"S": self.digest}}
        found = self.deployment.dynamodb.get_item(TableName=name, Key=key, ConsistentRead=True)
        return found.get("Item")

    def is_marked(self, table: str) -> bool:
        item = self.read(table)
        assert item is not None
        assert ("idle" in item) == ("shard" in item)
        return "idle" in item


@pytest.fixture
def old(deployment: Deployment, repository: Repository) -> Iterator[Callable[[], Old]]:
    """Tables that no migration has seen."""
    _forget(deployment)
    yield lambda: Old(deployment, repository)
    _forget(deployment)


def _forget(deployment: Deployment) -> None:
    kept = deployment.policies.get("#", "schema")
    if kept is not None:
        deployment.policies.remove(kept)


def migrations(deployment: Deployment, page: int = 500) -> Migrations:
    """As of an hour that has passed since somebody saw them waiting."""
    times = itertools.count(deployment.clock() + HOUR, 0)

    def clock() -> float:
        return next(times)

    store = DynamoUnmarkedStore(deployment.dynamodb, deployment._tables, deployment.clock, page)
    deployment.schema.follow(deployment.schema.read(), Schema(since=int(deployment.clock())))
    return Migrations(deployment.schema, (MarkUnused(store),), clock)


def migrated(deployment: Deployment, page: int = 500) -> Progress:
    progress = migrations(deployment, page).run(float("inf"))
    assert progress.is_complete
    return progress


def collected(deployment: Deployment, account: str) -> int:
    """Blobs: a link goes in the first run, its blob in the second, a day later, and its object at the latest
    in the third: what is buried in a shard that was passed waits.
    """
    freed = 0
    for days in (2, 4, 6):
        ahead = days * 24 * HOUR
        late = Deployment(deployment.settings, clock=lambda ahead=ahead: deployment.clock() + ahead)  # type: ignore[misc]
        freed += late.collector.run(float("inf"), account).total.blobs
    return freed


def test_what_was_left_unused_before_the_collector_is_freed_once_it_is_migrated(
    deployment: Deployment, old: Callable[[], Old]
) -> None:
    """A link that no manifest names with its blob, and a blob whose last link was deleted."""
    linked, unlinked = old(), old()
    linked.link()
    linked.blob()
    unlinked.blob(links=0)
    account = linked.repository.account
    assert collected(deployment, account) == 0
    assert linked.read(BLOBS)
    assert unlinked.read(BLOBS)
    assert migrated(deployment).schema.applied == SCHEMA
    assert collected(deployment, account) == 2
    assert (linked.read(LINKS), linked.read(BLOBS), unlinked.read(BLOBS)) == (None, None, None)
    bucket = deployment._bucket
    assert not bucket.has(linked.key)
    assert not bucket.has(unlinked.key)


def test_what_is_used_and_what_is_marked_stays_as_it_is(
    deployment: Deployment, old: Callable[[], Old]
) -> None:
    used, live, marked = old(), old(), old()
    used.link(references=2)
    used.blob(links=1)
    live.manifest("live")
    live.referrer()
    marked.link()
    migrated(deployment)
    before = [used.read(LINKS), used.read(BLOBS), live.read(MANIFESTS), marked.read(LINKS)]
    assert before[3] is not None
    assert "idle" in before[3]
    assert not any("idle" in (item or {}) for item in before[:3])
    _forget(deployment)
    assert migrated(deployment).changed == 0
    assert [used.read(LINKS), used.read(BLOBS), live.read(MANIFESTS), marked.read(LINKS)] == before


@pytest.mark.parametrize("state", ["staging", "releasing"])
def test_a_push_or_deletion_that_died_before_the_collector_comes_into_its_lists(
    deployment: Deployment, old: Callable[[], Old], state: str
) -> None:
    died = old()
    died.manifest(state)
    migrated(deployment)
    assert died.is_marked(MANIFESTS)


@pytest.mark.parametrize("page", [1, 2, 500])
def test_pages_of_any_size_pass_nothing_over(
    deployment: Deployment, old: Callable[[], Old], page: int
) -> None:
    olds = [old() for _ in range(5)]
    for one in olds:
        one.link()
        one.blob(links=0)
        one.manifest("staging")
    migrated(deployment, page)
    assert all(one.is_marked(table) for one in olds for table in (LINKS, BLOBS, MANIFESTS))


def test_what_a_push_names_meanwhile_is_not_marked(
    deployment: Deployment, old: Callable[[], Old], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the page that shows it unused and its mark."""
    named, unlinked, gone = old(), old(), old()
    named.link()
    unlinked.blob(links=0)
    gone.link()
    mark = DynamoUnmarkedStore.mark

    def raced(self: DynamoUnmarkedStore, table: str, row: Unmarked) -> bool:
        scope = named.repository
        if row.range_key == named.digest:
            assert not deployment.services.blobs.transactions.write([CountLink(scope, named.digest, 1)])
        if row.range_key == unlinked.digest:
            assert deployment.services.blobs.relink(scope, unlinked.digest)
        if row.range_key == gone.digest:
            table_ = deployment._tables.links
            table_(repository_key(scope), gone.digest).delete()
        return mark(self, table, row)

    monkeypatch.setattr(DynamoUnmarkedStore, "mark", raced)
    migrated(deployment)
    assert not named.is_marked(LINKS)
    assert not unlinked.is_marked(BLOBS)
    assert gone.read(LINKS) is None


def killed(deployment: Deployment, going: Migrations, when: str, calls: int) -> bool:
    """Whether `calls` to DynamoDB were too few: the last one before it is sent, or after it was answered."""
    left = calls

    def kill(**_: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KilledError

    events = deployment.dynamodb.meta.events
    events.register(f"{when}.dynamodb", kill)
    try:
        going.run(float("inf"))
    except KilledError:
        return True
    finally:
        events.unregister(f"{when}.dynamodb", kill)
    return False


@pytest.mark.parametrize("when", ["before-send", "after-call"])
def test_a_kill_between_any_two_calls_is_gone_on_with(
    deployment: Deployment, old: Callable[[], Old], when: str
) -> None:
    is_killed, calls = True, 0
    while is_killed:
        assert calls < MOST_CALLS
        one = old()
        one.link()
        one.blob(links=0)
        _forget(deployment)
        going = migrations(deployment)
        is_killed = killed(deployment, going, when, calls)
        assert going.run(float("inf")).is_complete
        assert one.is_marked(LINKS)
        assert one.is_marked(BLOBS)
        calls += 1
    assert calls > 4


def test_any_number_may_run_it_beside_pushes(on_engines: Deployment, repository: Repository) -> None:
    deployment = on_engines
    _forget(deployment)
    olds = [Old(deployment, repository) for _ in range(40)]
    for one in olds:
        one.link()
    runs = [migrations(deployment, page=7) for _ in range(4)]

    def push(one: Old) -> None:
        assert not deployment.services.blobs.transactions.write([CountLink(repository, one.digest, 1)])

    with ThreadPoolExecutor(8) as pool:
        ran = [pool.submit(one.run, float("inf")) for one in runs]
        pushed = [pool.submit(push, one) for one in olds[::2]]
        assert all(one.result().is_complete for one in ran)
        for one in pushed:
            one.result()
    assert all(one.is_marked(LINKS) for one in olds[1::2])
    for one in olds[::2]:
        # Marked before the push or not at all; the collector takes such a mark away.
        item = one.read(LINKS)
        assert item is not None
        assert item["references"] == {"N": "1"}
    _forget(deployment)


def test_the_deployment_waits_migrates_and_then_reads_one_row(
    deployment: Deployment, old: Callable[[], Old]
) -> None:
    unlinked = old()
    unlinked.blob(links=0)
    assert not deployment.migrate(900).is_complete
    assert not unlinked.is_marked(BLOBS)
    late = Deployment(deployment.settings, clock=lambda: deployment.clock() + SETTLE_SECONDS)
    assert late.migrate(900).is_complete
    assert unlinked.is_marked(BLOBS)
    assert SchemaStore(late.policies).read() == Schema(applied=SCHEMA)
