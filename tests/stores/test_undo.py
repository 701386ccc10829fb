"""Restores, rollbacks, immutable tags and retention on every backend, and on real engines races of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from chalicelib.aws.listing_store import DynamoListingStore
from chalicelib.registry.changes import NOBODY
from chalicelib.registry.deletion import BulkDeletion, Choice
from chalicelib.registry.policies import IMMUTABLE_TAGS, RETENTION, Policy, registry_scope, repository_scope
from chalicelib.registry.stores import KEPT, LIVE
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import RegistryError
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.invariants import broken
from tests.stores.race import race
from tests.stores.test_races import Registry
from tests.support import content
from tests.support.content import Document

ROUNDS = 4
LARGE = 120


@pytest.fixture
def registry(deployment: Deployment, repository: Repository) -> Registry:
    return Registry(deployment, repository)


@pytest.fixture
def racing(on_engines: Deployment, repository: Repository) -> Registry:
    return Registry(on_engines, repository)


def state(registry: Registry, digest: str) -> tuple[bool, bool]:
    """Whether it is live, and whether it is in the trash."""
    row = registry.deployment.trash.rows.get(registry.repository, Digest(digest))
    return registry.is_live(digest), row is not None and row.state == KEPT


def kept_of(registry: Registry, document: Document) -> list[int]:
    """How many deleted manifests keep each blob."""
    table, account = registry.deployment._tables.blobs, registry.repository.account
    return [int(table.get(account, Digest.of(blob), consistent_read=True).kept) for blob in document.blobs]


def without_links(registry: Registry, document: Document) -> None:
    for blob in document.blobs:
        registry.delete_blob(blob)


def test_a_deleted_image_comes_back_though_the_repository_has_lost_its_blobs(registry: Registry) -> None:
    document = registry.pushed_image("v1", "latest")
    registry.delete_manifest(document.digest)
    without_links(registry, document)
    assert kept_of(registry, document) == [1] * len(document.blobs)
    restored = registry.deployment.undo.restore(registry.repository, Digest(document.digest))
    assert sorted(restored.tags) == ["latest", "v1"]
    assert registry.deployment.services.manifests.get(registry.repository, "v1").raw == document.raw
    assert state(registry, document.digest) == (True, False)
    assert kept_of(registry, document) == [0] * len(document.blobs)
    assert not broken(registry.deployment, [registry.repository])


def test_a_manifest_beyond_one_transaction_and_one_row_comes_back(racing: Registry) -> None:
    """On engines alone: moto copies its tables at each transaction, and this one takes hundreds."""
    layers = [os.urandom(8) for _ in range(LARGE)]
    document = content.image(*layers, annotations={"large": "x" * 220_000})
    for blob in document.blobs:
        racing.push_blob(blob)
    racing.push(document, "v1")
    racing.delete_manifest(document.digest)
    assert state(racing, document.digest) == (False, True)
    racing.deployment.undo.restore(racing.repository, Digest(document.digest))
    assert racing.deployment.services.manifests.get(racing.repository, "v1").raw == document.raw
    assert kept_of(racing, document) == [0] * len(document.blobs)
    assert state(racing, document.digest) == (True, False)
    assert not broken(racing.deployment, [racing.repository])


def test_an_index_comes_back_with_children_deleted_after_it(registry: Registry) -> None:
    children = [registry.pushed_image(), registry.pushed_image()]
    index = content.index(*children)
    registry.push(index, "v1")
    for one in (index, *children):
        registry.delete_manifest(one.digest)
    restored = registry.deployment.undo.restore(registry.repository, Digest(index.digest))
    assert set(restored.manifests) == {index.digest, *(one.digest for one in children)}
    assert not broken(registry.deployment, [registry.repository])


def test_a_tag_is_rolled_back_and_its_past_is_told(registry: Registry) -> None:
    first, second = registry.pushed_image("v1"), registry.pushed_image()
    time.sleep(0.01)
    between = int(time.time() * 1000)
    time.sleep(0.01)
    registry.push(second, "v1")
    undo = registry.deployment.undo
    named = undo.at(registry.repository, "v1", between)
    assert (named.digest, named.state, named.action) == (first.digest, LIVE, "push")
    assert undo.at(registry.repository, "v1", 1000).digest is None
    time.sleep(0.01)
    assert undo.rollback(registry.repository, "v1").digest == first.digest
    assert registry.tag("v1") == first.digest
    moves = list(undo.moves(registry.repository, "v1"))
    assert [move.digest for move in moves] == [first.digest, second.digest, first.digest]
    assert moves[0].action == "rollback"


@pytest.mark.parametrize("scope", ["registry", "repository"])
def test_a_policy_makes_tags_immutable_for_pushes_and_deletes(registry: Registry, scope: str) -> None:
    repository = registry.repository
    where = repository_scope(repository)
    if scope == "registry":
        where = registry_scope(repository.account, repository.registry)
    document = {"patterns": ["v*"], "except": ["*-rc*"]}
    assert registry.deployment.policies.put(Policy(where, IMMUTABLE_TAGS, document))
    first, second = registry.pushed_image("v1", "v1-rc1"), registry.pushed_image("v1-rc1")
    for refused in (partial(registry.push, second, "v1"), partial(registry.delete_manifest, first.digest)):
        with pytest.raises(RegistryError, match=r"the tag v1 of .* is immutable \(pattern v\*\)"):
            refused()
    assert registry.tag("v1") == first.digest
    assert registry.tag("v1-rc1") == second.digest
    registry.push(first, "v1")


def test_with_no_retention_nothing_is_kept(registry: Registry) -> None:
    policy = Policy(repository_scope(registry.repository), RETENTION, {"days": 0})
    assert registry.deployment.policies.put(policy)
    document = registry.pushed_image("v1")
    registry.delete_manifest(document.digest)
    assert state(registry, document.digest) == (False, False)
    assert kept_of(registry, document) == [0] * len(document.blobs)


def test_many_are_chosen_by_pattern_and_age_and_as_planned_they_go(registry: Registry) -> None:
    matching, shared = registry.pushed_image("pr-1"), registry.pushed_image("pr-2", "v1")
    untagged = registry.pushed_image()
    bulk = BulkDeletion(
        registry.deployment.services.manifests,
        DynamoListingStore(registry.deployment._tables),
        registry.deployment.policies,
    )
    repository = registry.repository
    plan = bulk.plan(repository, Choice(pattern="pr-*", untagged=True, images=True))
    chosen = {(item.digest, item.is_image) for item in plan}
    assert chosen == {(matching.digest, True), (shared.digest, False), (untagged.digest, True)}
    assert not bulk.plan(repository, Choice(pattern="pr-*", untagged=True, before=1000))
    registry.push(matching, "kept-after-all")
    done = {item.digest: item.refused for item in bulk.run(repository, plan, NOBODY, force=False)}
    assert "tagged kept-after-all too by now" in done[Digest(matching.digest)]
    assert (done[Digest(shared.digest)], done[Digest(untagged.digest)]) == ("", "")
    assert registry.is_live(matching.digest)
    assert registry.is_live(shared.digest)
    assert not registry.is_live(untagged.digest)
    assert registry.tag("pr-2") is None


def test_a_plan_says_what_is_immutable_and_stays(registry: Registry) -> None:
    document = registry.pushed_image("v1", "pr-1")
    policy = Policy(repository_scope(registry.repository), IMMUTABLE_TAGS, {"patterns": ["v*"]})
    assert registry.deployment.policies.put(policy)
    tables, services = registry.deployment._tables, registry.deployment.services
    bulk = BulkDeletion(services.manifests, DynamoListingStore(tables), registry.deployment.policies)
    choice = Choice(pattern="*")
    planned = {item.reference: item.refused for item in bulk.plan(registry.repository, choice)}
    assert "immutable (pattern v*)" in planned["v1"]
    assert planned["pr-1"] == ""
    (image,) = bulk.plan(registry.repository, Choice([document.digest]))
    assert "immutable" in image.refused
    assert not any(item.refused for item in bulk.plan(registry.repository, choice, force=True))
    items = bulk.plan(registry.repository, choice)
    done = {
        item.reference: item.refused for item in bulk.run(registry.repository, items, NOBODY, force=False)
    }
    assert done == planned
    assert (registry.tag("v1") is None, registry.tag("pr-1") is None) == (False, True)


@pytest.mark.parametrize("rival", ["release", "restore", "push", "delete"])
def test_a_restore_races_whoever_else_is_about_the_same(racing: Registry, rival: str) -> None:
    """One order or the other: it is live, or kept, or (released) gone; and every count is right."""
    undo, repository = racing.deployment.undo, racing.repository
    for _ in range(ROUNDS):
        document = racing.pushed_image("v1")
        racing.delete_manifest(document.digest)
        without_links(racing, document)
        digest = Digest(document.digest)
        row = racing.deployment.trash.rows.get(repository, digest)
        assert row is not None
        rivals: dict[str, Callable[[], Any]] = {
            "release": lambda row=row: undo.trash.release(repository, row, row.due),
            "restore": lambda digest=digest: undo.restore(repository, digest),
            "push": lambda document=document: (
                [racing.push_blob(blob) for blob in document.blobs],
                racing.push(document, "v1"),
            ),
            "delete": lambda digest=digest: racing.delete_manifest(digest),
        }
        ended = race([lambda digest=digest: undo.restore(repository, digest), rivals[rival]])
        for one in ended:
            assert not isinstance(one, Exception) or isinstance(one, RegistryError), one
        is_live, is_kept = state(racing, digest)
        if rival != "release":
            assert is_live or is_kept
        if is_live and not is_kept:
            assert set(kept_of(racing, document)) == {0}
        assert not broken(racing.deployment, [repository])
        if is_live:
            racing.delete_manifest(digest)
        for blob in document.blobs:
            if racing.deployment.services.blobs.links.get(repository, Digest.of(blob)):
                racing.delete_blob(blob)
