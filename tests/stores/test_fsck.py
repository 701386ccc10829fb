"""fsck finds each thing that is broken by hand, and it alone; its plan mends what can be mended."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from chalicelib.aws.keys import shard_of
from chalicelib.registry import windows
from chalicelib.registry.fsck import Fsck
from chalicelib.registry.manifests import Push
from chalicelib.registry.proof import Finding, Mend, Place, Value, exactly
from chalicelib.registry.uploads import Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.engines.backends import BACKENDS, EMBEDDED, Engines, deployed
from tests.properties.documents import BLOBS, INDEX, OTHER, SIGNATURE, SMALL, Document
from tests.properties.memory_rows import MemoryRowStore
from tests.properties.registry_in_memory import RegistryInMemory, small_limits

MEMORY = "memory"


@dataclass
class Registry:
    """The verbs, and rows to be written past them."""

    verbs: Any
    fsck: Fsck
    repository: Repository
    other: Repository = field(init=False)

    def __post_init__(self) -> None:
        self.other = Repository(self.repository.account, f"{self.repository.registry}/other")

    @property
    def account(self) -> str:
        return self.repository.account

    def upload(self, content: bytes, repository: Repository | None = None) -> Digest:
        repository, uploads = repository or self.repository, self.verbs.uploads
        session = uploads.open(repository).session
        return uploads.close(repository, session, Digest.of(content), Chunk([content])).digest  # type: ignore[no-any-return]

    def push(self, document: Document, *tags: str, repository: Repository | None = None) -> None:
        push = Push(repository or self.repository, document.manifest, document.digest, tags)
        self.verbs.manifests.put(push)

    def fill(self) -> None:
        for content in BLOBS[:4]:
            self.upload(content)
        for document in (SMALL, OTHER, INDEX, SIGNATURE):
            self.push(document, document.name)
        self.push(OTHER, "another")
        self.upload(BLOBS[0], self.other)
        self.upload(BLOBS[1], self.other)
        self.push(SMALL, "v1", repository=self.other)
        self.verbs.manifests.delete(self.other, SMALL.digest)

    def at(self, table: str, key: str, repository: Repository | None = None) -> Place:
        if table in {"blobs", "usage"}:
            return Place(table, self.account, key)
        return Place(table, "" if table == "buried" else self._scope(repository or self.repository), key)

    @staticmethod
    def _scope(repository: Repository) -> str:
        return f"{repository.account}/{repository.name}"

    def value(self, place: Place, name: str) -> Value:
        return self.fsck.rows.together([place])[place].values.get(name)

    def change(self, place: Place, **put: Value) -> None:
        assert self.fsck.rows.mend([Mend(place, {}, put)])

    def add(self, place: Place, **put: Value) -> None:
        assert self.fsck.rows.mend([Mend(place, None, put)])

    def remove(self, place: Place) -> None:
        assert self.fsck.rows.mend([Mend(place, {})])

    def findings(self) -> list[Finding]:
        made = self.fsck.run(self.account)
        assert made.unsettled == 0
        return made.findings

    def codes(self) -> list[tuple[str, str]]:
        return codes_of(self.findings())

    def mend(self, findings: list[Finding]) -> None:
        """By a plan, and by a second where a finding of the first was on a row that another took away."""
        for _ in range(2):
            held = []
            for finding in findings:
                assert finding.mends, finding
                held.append(self.fsck.apply(finding.mends))
            assert held[0]
            findings = self.findings()
            if not findings:
                return
        raise AssertionError(findings)


def codes_of(findings: list[Finding]) -> list[tuple[str, str]]:
    return sorted((one.code, one.place.key) for one in findings)


@pytest.fixture(scope="module", params=[MEMORY, *BACKENDS])
def kind(request: pytest.FixtureRequest, engines: Engines) -> Iterator[Deployment | None]:
    if request.param == MEMORY:
        yield None
        return
    with deployed(request.param, engines) as deployment:
        yield deployment


@pytest.fixture
def registry(kind: Deployment | None) -> Iterator[Registry]:
    with ExitStack() as stack:
        if kind is None:
            stack.enter_context(small_limits())
            verbs = RegistryInMemory()
            rows = MemoryRowStore(verbs.memory)
            fsck = Fsck(rows, shard_of, lambda _: 10**9, verbs.manifests, lambda: verbs.now)
            made = Registry(verbs, fsck, Repository("account", "registry/app"))
        else:
            made = of_deployment(kind)
        made.fill()
        yield made


def of_deployment(deployment: Deployment) -> Registry:
    name = os.urandom(6).hex()
    repository = Repository(f"account-{name}", f"registry-{name}/app")
    return Registry(deployment.services, deployment.fsck, repository)


BLOB, UNUSED = Digest.of(BLOBS[1]), Digest.of(BLOBS[3])


def _unmark(table: str, key: str) -> Callable[[Registry], None]:
    return lambda r: r.change(r.at(table, key), idle=None, shard=None)


def _drop_usage(r: Registry) -> None:
    r.remove(r.at("usage", ""))


def _forget_edge(r: Registry) -> None:
    r.remove(r.at("manifests", f"referrers#{SMALL.digest}#{SIGNATURE.digest}"))


def _dangling_edge(r: Registry) -> None:
    r.add(r.at("manifests", f"referrers#{SMALL.digest}#{UNUSED}"), descriptor="{}")


def _bury(r: Registry) -> None:
    r.add(r.at("buried", str(r.value(r.at("blobs", BLOB), "storage_key"))))


def _history(r: Registry) -> None:
    move = f"small#{9_000_000_000_000:015d}-00000000"
    r.add(r.at("history", move), digest=OTHER.digest, previous=None, action="push")


# What breaks it, and what fsck says.
MENDED: dict[str, tuple[Callable[[Registry], None], list[tuple[str, str]]]] = {
    "a link counts a manifest more": (
        lambda r: r.change(r.at("links", BLOB), references=9),
        [("link-count", BLOB)],
    ),
    "a link counts no manifest": (
        lambda r: r.change(r.at("links", BLOB), references=0, idle=1, shard=shard_of(BLOB)),
        [("link-count", BLOB)],
    ),
    "an unused link is not marked": (_unmark("links", UNUSED), [("link-unmarked", UNUSED)]),
    "a manifest counts a tag less": (
        lambda r: r.change(r.at("manifests", OTHER.digest), tags=1),
        [("manifest-count", OTHER.digest)],
    ),
    "a manifest counts no index": (
        lambda r: r.change(r.at("manifests", OTHER.digest), parents=0),
        [("manifest-count", OTHER.digest)],
    ),
    "a blob counts a repository more": (
        lambda r: r.change(r.at("blobs", BLOB), links=7),
        [("blob-count", BLOB)],
    ),
    "a blob is kept by nobody": (
        lambda r: r.change(r.at("blobs", BLOB), kept=0),
        [("blob-count", BLOB)],
    ),
    "the account uses less": (lambda r: r.change(r.at("usage", ""), bytes=1), [("usage", "")]),
    "the account has more free": (lambda r: r.change(r.at("usage", ""), free=10**15), [("usage", "")]),
    "nobody counts what the account uses": (_drop_usage, [("usage-missing", "")]),
    "a tag says another size": (
        lambda r: r.change(r.at("tags", "small"), size=1),
        [("tag-differs", "small")],
    ),
    "a referrer is not listed": (_forget_edge, [("referrer-missing", SIGNATURE.digest)]),
    "something is listed as a referrer": (
        _dangling_edge,
        [("referrer-dangling", f"referrers#{SMALL.digest}#{UNUSED}")],
    ),
    "what is linked is to be deleted": (_bury, [("object-buried", BLOB)]),
    "the history of a tag ends elsewhere": (_history, [("tag-history", "small")]),
    "a tag names nothing": (
        lambda r: r.change(r.at("tags", "another"), digest=UNUSED),
        [
            ("manifest-count", OTHER.digest),
            ("tag-dangling", "another"),
            ("tag-history", "another"),
        ],
    ),
}


ELSEWHERE = {
    "a link counts a manifest more",
    "a blob is kept by nobody",
    "nobody counts what the account uses",
    "a referrer is not listed",
    "a tag names nothing",
}


@pytest.fixture(params=MENDED)
def name(request: pytest.FixtureRequest) -> str:
    """All of it in memory and on one engine; on the others something of each table."""
    if request.node.callspec.params["kind"] not in {MEMORY, EMBEDDED} and request.param not in ELSEWHERE:
        pytest.skip("seen in memory and on the embedded engines")
    return str(request.param)


def test_what_is_broken_by_hand_is_found_and_mended(name: str, registry: Registry) -> None:
    break_it, codes = MENDED[name]
    break_it(registry)
    findings = registry.findings()
    assert codes_of(findings) == sorted(codes)
    registry.mend(findings)


def test_what_nobody_broke_is_whole(registry: Registry) -> None:
    assert registry.codes() == []


def test_plan_that_has_become_stale_changes_nothing(registry: Registry) -> None:
    registry.change(registry.at("links", BLOB), references=9)
    (finding,) = registry.findings()
    registry.upload(BLOBS[4])
    registry.change(registry.at("links", BLOB), references=8)
    assert not registry.fsck.apply(finding.mends)
    assert registry.value(registry.at("links", BLOB), "references") == 8


def test_a_write_holds_while_the_row_is_as_it_was_found(registry: Registry) -> None:
    rows, place = registry.fsck.rows, registry.at("links", BLOB)
    nowhere = registry.at("links", Digest.of(b"nowhere"))
    found = rows.together([place])[place]
    assert not rows.mend([Mend(place, None, {"size": 1})]), "it is there"
    assert not rows.mend([Mend(nowhere, {}, {"references": 1})]), "it is not there"
    assert not rows.mend([Mend(nowhere, {})])
    assert not rows.mend([Mend(place, {**exactly(found), "references": 9}, {"references": 1})])
    registry.change(place, idle=1, shard=shard_of(BLOB))
    assert not rows.mend([Mend(place, exactly(found), {"references": 1})]), "it has a mark by now"
    now = rows.together([place])[place]
    assert rows.mend([Mend(place, exactly(now), {"references": 1})])


def test_rows_of_before_are_given_their_marks(registry: Registry) -> None:
    """No mark, no count of what is kept, no usage: what an update from an older version finds."""
    places = [registry.at("links", UNUSED), registry.at("usage", "")]
    registry.change(places[0], idle=None, shard=None)
    registry.remove(places[1])
    if not isinstance(registry.fsck.rows, MemoryRowStore):
        registry.change(registry.at("blobs", UNUSED), kept=None)
    registry.mend(registry.findings())
    assert registry.value(places[0], "idle")
    assert registry.value(registry.at("blobs", UNUSED), "kept") == 0
    assert registry.value(places[1], "bytes") == sum(map(len, BLOBS[:4]))


def test_bytes_that_are_gone_are_found(registry: Registry) -> None:
    registry.verbs.blobs.objects.delete(str(registry.value(registry.at("blobs", BLOB), "storage_key")))
    (finding,) = registry.findings()
    assert (finding.code, finding.place.key, finding.mends) == ("object-missing", BLOB, ())


def test_manifest_whose_blob_and_child_are_gone_is_found(registry: Registry) -> None:
    registry.remove(registry.at("links", BLOB))
    registry.remove(registry.at("manifests", OTHER.digest))
    found = {one.code for one in registry.findings()}
    assert {"manifest-blob-missing", "manifest-child-missing", "tag-dangling", "blob-count"} <= found


def test_link_and_deleted_manifest_whose_blob_is_gone_are_found(registry: Registry) -> None:
    registry.remove(registry.at("blobs", BLOB))
    found = sorted({one.code for one in registry.findings()})
    assert found == ["link-dangling", "trash-blob-missing", "usage"]


def test_slices_of_any_size_find_the_same(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.change(registry.at("links", BLOB), references=9)
    registry.change(registry.at("blobs", UNUSED), links=5)
    whole = registry.findings()
    monkeypatch.setattr(windows, "WINDOW", 2)
    monkeypatch.setattr(windows, "PAGE", 1)
    found: list[Finding] = []
    state: dict[str, Any] | None = registry.fsck.begin(registry.account)
    slices = 0
    while state is not None:
        made = registry.fsck.slice(state, 0)
        found, state, slices = found + made.findings, made.state, slices + 1
    assert [one.document() for one in found] == [one.document() for one in whole]
    assert slices > 20


def test_blobs_of_a_repository_that_never_had_a_manifest_are_counted(registry: Registry) -> None:
    """It is in no list; its links are in the collector's."""
    loose = Repository(registry.account, f"{registry.repository.registry}/loose")
    digest = registry.upload(b"in no other repository", loose)
    assert registry.findings() == []
    registry.change(registry.at("links", digest, loose), size=1)
    assert [code for code, _ in registry.codes()] == ["link-differs"]


def test_one_repository_can_be_checked_alone(registry: Registry) -> None:
    registry.change(registry.at("links", BLOB), references=9)
    registry.change(registry.at("links", Digest.of(BLOBS[0]), registry.other), references=9)
    scope = f"{registry.account}/{registry.other.name}"
    (finding,) = registry.fsck.run(registry.account, scope).findings
    assert finding.place.scope == scope


@pytest.fixture(scope="module", params=[EMBEDDED])
def live(request: pytest.FixtureRequest, engines: Engines) -> Iterator[Registry]:
    with deployed(request.param, engines) as deployment:
        yield of_deployment(deployment)


def test_nothing_is_reported_beside_pushes_and_deletions(
    live: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.fill()
    monkeypatch.setattr(windows, "WINDOW", 2)
    monkeypatch.setattr(windows, "PAGE", 2)
    until, rounds = threading.Event(), []

    def change(repository: Repository) -> None:
        while not until.is_set():
            for content in BLOBS[:3]:
                live.upload(content, repository)
            live.push(SMALL, "moving", repository=repository)
            live.push(OTHER, "moving", repository=repository)
            for document in (SMALL, OTHER):
                live.verbs.manifests.delete(repository, document.digest)
            live.verbs.blobs.delete(repository, Digest.of(BLOBS[2]))
            rounds.append(repository)

    busy = [Repository(live.account, f"{live.repository.registry}/busy{number}") for number in range(2)]
    threads = [threading.Thread(target=change, args=[one]) for one in busy]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            assert live.fsck.run(live.account).findings == []
    finally:
        until.set()
        for thread in threads:
            thread.join()
    assert len(rounds) > 3
    assert live.codes() == []
