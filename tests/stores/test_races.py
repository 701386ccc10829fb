"""Verbs that race on real engines: one order or the other, and every count right afterwards."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial

import pytest

from chalicelib.registry.changes import Change, CountManifest, PutBlob, PutLink, PutManifest, PutTag
from chalicelib.registry.manifests import Precondition, Push
from chalicelib.registry.parts import PART_SIZE
from chalicelib.registry.stores import Link
from chalicelib.registry.uploads import Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.manifest import parse_manifest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.invariants import broken
from tests.stores.race import race
from tests.stores.rows import FAR, a_manifest, a_tag, an_upload, write
from tests.support import content
from tests.support.content import Document

ROUNDS = 4
THREADS = 6


@dataclass
class Registry:
    """The verbs as a client has them; everything it touched is in `repositories`."""

    deployment: Deployment
    repository: Repository
    repositories: set[Repository] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.repositories.add(self.repository)

    def neighbour(self, name: str) -> Repository:
        other = Repository(self.repository.account, f"{self.repository.name}/{name}")
        self.repositories.add(other)
        return other

    def push_blob(self, blob: bytes, repository: Repository | None = None) -> Digest:
        repository, uploads = repository or self.repository, self.deployment.services.uploads
        session = uploads.open(repository).session
        return uploads.close(repository, session, Digest.of(blob), Chunk([blob])).digest

    def push(self, document: Document, *tags: str, precondition: Precondition | None = None) -> Digest:
        manifest = parse_manifest(document.raw, document.media_type)
        digest = Digest(document.digest)
        push = Push(self.repository, manifest, digest, tags, precondition=precondition or Precondition())
        self.deployment.services.manifests.put(push)
        return digest

    def pushed_image(self, *tags: str) -> Document:
        document = content.image(os.urandom(100))
        for blob in document.blobs:
            self.push_blob(blob)
        self.push(document, *tags)
        return document

    def delete_manifest(self, digest: str) -> None:
        self.deployment.services.manifests.delete(self.repository, Digest(digest))

    def delete_blob(self, blob: bytes) -> None:
        self.deployment.services.blobs.delete(self.repository, Digest.of(blob))

    def tag(self, tag: str) -> Digest | None:
        row = self.deployment.services.discovery.tags.get(self.repository, tag)
        return None if row is None else row.digest

    def is_live(self, digest: str) -> bool:
        try:
            self.deployment.services.manifests.get(self.repository, Digest(digest))
        except RegistryError:
            return False
        return True

    def check(self) -> None:
        assert broken(self.deployment, self.repositories) == []


@pytest.fixture
def registry(on_engines: Deployment, repository: Repository) -> Registry:
    return Registry(on_engines, repository)


def refusal(result: object) -> ErrorCode | None:
    """The code of a refusal; None for what was done. Anything else is not an answer."""
    if isinstance(result, RegistryError):
        return result.code
    assert not isinstance(result, Exception), result
    return None


def test_one_of_many_writers_acquires_a_session(registry: Registry) -> None:
    sessions = registry.deployment.services.uploads.sessions
    for _ in range(ROUNDS):
        row = an_upload(registry.repository)
        sessions.create(row)
        results = race(
            [partial(sessions.acquire, row.session, f"w{n}", now=1, lease=FAR) for n in range(THREADS)]
        )
        assert sorted(results, key=str) == sorted([row, *[None] * (THREADS - 1)], key=str)


def test_one_of_many_writers_takes_over_a_session_whose_lease_ran_out(registry: Registry) -> None:
    sessions = registry.deployment.services.uploads.sessions
    row = an_upload(registry.repository)
    sessions.create(row)
    sessions.acquire(row.session, "gone", now=1, lease=2)
    results = race(
        [partial(sessions.acquire, row.session, f"w{n}", now=3, lease=FAR) for n in range(THREADS)]
    )
    (winner,) = [number for number, result in enumerate(results) if result == row]
    assert sessions.save(row, f"w{winner}")


def test_one_of_many_chunks_for_the_same_place_is_taken(registry: Registry) -> None:
    uploads = registry.deployment.services.uploads
    session = uploads.open(registry.repository).session
    chunks = [os.urandom(1000) for _ in range(THREADS)]
    results = race(
        [
            partial(uploads.append, registry.repository, session, Chunk([chunk], 1000, 0, 999))
            for chunk in chunks
        ]
    )
    refused = [refusal(result) for result in results]
    assert refused.count(None) == 1
    assert set(refused) == {None, ErrorCode.BLOB_UPLOAD_INVALID}
    taken = chunks[refused.index(None)]
    uploads.close(registry.repository, session, Digest.of(taken), Chunk([]))
    registry.check()


def test_one_of_many_transactions_moves_a_tag_from_where_it_was(registry: Registry) -> None:
    repository = registry.repository
    old, new = a_manifest(tags=1), [a_manifest() for _ in range(THREADS)]
    write(registry.deployment, *(PutManifest(repository, row) for row in [old, *new]))
    write(registry.deployment, PutTag(repository, a_tag("v1", old.digest), None))

    def move(target: Digest) -> list[Change]:
        moved = PutTag(repository, a_tag("v1", target, 2), old.digest)
        counts = [CountManifest(repository, old.digest, tags=-1), CountManifest(repository, target, tags=1)]
        return registry.deployment.services.blobs.transactions.write([moved, *counts])

    results = race([partial(move, row.digest) for row in new])
    (winner,) = [row.digest for row, result in zip(new, results, strict=True) if result == []]
    for row, result in zip(new, results, strict=True):
        if row.digest != winner:
            assert result == [PutTag(repository, a_tag("v1", row.digest, 2), old.digest)]
    assert registry.deployment.services.discovery.tags.get(repository, "v1") == a_tag("v1", winner, 2)
    registry.check()


def test_every_push_to_one_tag_is_done_in_some_order(registry: Registry) -> None:
    first = registry.pushed_image("v1")
    documents = [registry.pushed_image() for _ in range(THREADS)]
    results = race([partial(registry.push, document, "v1") for document in documents])
    assert [refusal(result) for result in results] == [None] * THREADS
    row = registry.deployment.services.discovery.tags.get(registry.repository, "v1")
    assert row is not None
    assert row.digest in {document.digest for document in documents}
    assert row.version == 1 + THREADS
    assert registry.is_live(first.digest)
    registry.check()


def test_one_of_many_pushes_with_a_precondition_wins(registry: Registry) -> None:
    first = registry.pushed_image("v1")
    documents = [registry.pushed_image() for _ in range(THREADS)]
    unchanged = Precondition((first.digest,))
    results = race([partial(registry.push, one, "v1", precondition=unchanged) for one in documents])
    refused = [refusal(result) for result in results]
    assert sorted(refused, key=str) == sorted([None, *[ErrorCode.MANIFEST_INVALID] * (THREADS - 1)], key=str)
    assert registry.tag("v1") == documents[refused.index(None)].digest
    registry.check()


def test_pushes_of_one_image_all_succeed(registry: Registry) -> None:
    layers = [os.urandom(100) for _ in range(3)]
    document = content.image(*layers)

    def push(tag: str) -> Digest:
        for blob in document.blobs:
            registry.push_blob(blob)
        return registry.push(document, tag)

    results = race([partial(push, f"v{number % 3}") for number in range(THREADS)])
    assert results == [document.digest] * THREADS
    assert registry.deployment.services.discovery.tags.page(registry.repository, "", 10) == ["v0", "v1", "v2"]
    registry.check()


@pytest.mark.parametrize("size", [2000, PART_SIZE + 2000], ids=["small", "multipart"])
def test_a_blob_pushed_by_many_is_stored_once(registry: Registry, size: int) -> None:
    blob = os.urandom(size)
    targets = [registry.repository, registry.neighbour("second"), registry.neighbour("third")] * 2
    results = race([partial(registry.push_blob, blob, target) for target in targets])
    assert results == [Digest.of(blob)] * len(targets)
    links = [registry.deployment.services.blobs.find(target, Digest.of(blob)) for target in targets]
    assert len({link.storage_key for link in links}) == 1
    assert registry.deployment.services.blobs.objects.get(links[0].storage_key) == blob
    registry.check()


def test_pushing_and_deleting_one_blob_leaves_it_whole_or_away(registry: Registry) -> None:
    for _ in range(ROUNDS):
        blob = os.urandom(200)
        registry.push_blob(blob)
        pushed, deleted = race([partial(registry.push_blob, blob), partial(registry.delete_blob, blob)])
        assert (refusal(pushed), refusal(deleted)) == (None, None)
    registry.check()


def test_mounting_from_where_the_blob_is_deleted_leaves_it_whole_or_away(registry: Registry) -> None:
    target = registry.neighbour("target")
    blobs = registry.deployment.services.blobs
    for _ in range(ROUNDS):
        blob = os.urandom(200)
        digest = registry.push_blob(blob)
        mounted, deleted = race(
            [
                partial(blobs.mount, target, digest, registry.repository),
                partial(registry.delete_blob, blob),
            ]
        )
        assert refusal(deleted) is None
        if mounted is True:
            assert blobs.objects.get(blobs.find(target, digest).storage_key) == blob
        else:
            assert mounted is False
            assert blobs.links.get(target, digest) is None
    registry.check()


def test_manifest_or_the_deletion_of_its_blob_wins(registry: Registry) -> None:
    for number in range(ROUNDS):
        document = content.image(os.urandom(100))
        for blob in document.blobs:
            registry.push_blob(blob)
        layer = document.blobs[-1]
        pushed, deleted = race(
            [partial(registry.push, document, f"v{number}"), partial(registry.delete_blob, layer)]
        )
        refused = (refusal(pushed), refusal(deleted))
        assert refused in {(None, ErrorCode.DENIED), (ErrorCode.MANIFEST_BLOB_UNKNOWN, None)}
        assert registry.is_live(document.digest) == (refused[0] is None)
    registry.check()


def test_tag_put_while_its_manifest_is_deleted_never_dangles(registry: Registry) -> None:
    """The PUT carries the manifest, so it may bring it back: then both are done, and both are there."""
    for number in range(ROUNDS):
        document = registry.pushed_image(f"old{number}")
        tagged, deleted = race(
            [
                partial(registry.push, document, f"new{number}"),
                partial(registry.delete_manifest, document.digest),
            ]
        )
        assert (refusal(tagged), refusal(deleted)) == (None, None)
        assert (registry.tag(f"new{number}") is not None) == registry.is_live(document.digest)
        assert registry.tag(f"old{number}") is None
    registry.check()


def test_index_or_the_deletion_of_its_child_wins(registry: Registry) -> None:
    for number in range(ROUNDS):
        child = registry.pushed_image(f"child{number}")
        index = content.index(child)
        pushed, deleted = race(
            [
                partial(registry.push, index, f"index{number}"),
                partial(registry.delete_manifest, child.digest),
            ]
        )
        refused = (refusal(pushed), refusal(deleted))
        assert refused in {(None, ErrorCode.DENIED), (ErrorCode.MANIFEST_BLOB_UNKNOWN, None)}
        assert registry.is_live(child.digest) == registry.is_live(index.digest) == (refused[0] is None)
    registry.check()


def test_one_of_many_deletes_of_a_manifest_is_done(registry: Registry) -> None:
    document = registry.pushed_image("v1", "v2")
    results = race([partial(registry.delete_manifest, document.digest) for _ in range(THREADS)])
    refused = [refusal(result) for result in results]
    assert sorted(refused, key=str) == sorted([None, *[ErrorCode.MANIFEST_UNKNOWN] * (THREADS - 1)], key=str)
    assert registry.tag("v1") is registry.tag("v2") is None
    registry.check()


def test_moving_and_removing_a_tag_counts_right(registry: Registry) -> None:
    untag = registry.deployment.services.manifests.untag
    for _ in range(ROUNDS):
        first, second = registry.pushed_image("v1"), registry.pushed_image()
        moved, removed = race(
            [partial(registry.push, second, "v1"), partial(untag, registry.repository, "v1")]
        )
        assert (refusal(moved), refusal(removed)) == (None, None)
        assert registry.tag("v1") in {None, second.digest}
        assert registry.is_live(first.digest)
    registry.check()


@pytest.fixture
def large(registry: Registry) -> Document:
    """An image of more layers than one transaction counts, all pushed."""
    layers = [os.urandom(40) for _ in range(127)]
    document = content.image(*layers)
    objects, account = registry.deployment.services.blobs.objects, registry.repository.account
    changes: list[Change] = []
    for number, blob in enumerate(document.blobs):
        key = f"blobs/{account}/{registry.repository.registry}/{number}/once"
        objects.put(key, blob)
        link = Link(Digest.of(blob), len(blob), key)
        changes += [PutLink(registry.repository, link), PutBlob(account, link)]
    write(registry.deployment, *changes)
    return document


def test_staged_pushes_of_one_image_all_succeed(registry: Registry, large: Document) -> None:
    results = race([partial(registry.push, large, f"v{number}") for number in range(3)])
    assert results == [large.digest] * 3
    registry.check()


@pytest.mark.parametrize("layer", [0, 60, 127])
def test_staged_push_or_the_deletion_of_a_blob_wins(registry: Registry, large: Document, layer: int) -> None:
    blob = sorted(large.blobs, key=Digest.of)[layer]
    pushed, deleted = race([partial(registry.push, large, "v1"), partial(registry.delete_blob, blob)])
    refused = (refusal(pushed), refusal(deleted))
    assert refused in {(None, ErrorCode.DENIED), (ErrorCode.MANIFEST_BLOB_UNKNOWN, None)}
    assert registry.is_live(large.digest) == (refused[0] is None)
    registry.check()


def test_staged_push_and_deletion_of_one_manifest_leave_it_whole_or_away(
    registry: Registry, large: Document
) -> None:
    registry.push(large, "v1")
    again, deleted = race(
        [partial(registry.push, large, "v2"), partial(registry.delete_manifest, large.digest)]
    )
    assert refusal(deleted) is None
    assert refusal(again) in {None, ErrorCode.TOOMANYREQUESTS}
    assert (registry.tag("v2") is not None) == registry.is_live(large.digest)
    if refusal(again) is not None:
        # Somebody is still counting it out: the next who asks finishes that.
        registry.push(large, "v2")
    registry.check()
