"""What lifecycle policies look at, on every engine: one pass over it, pulls, and what guards a run."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.aws.lifecycle_store import DynamoLifecycleStore
from chalicelib.registry.changes import (
    Change,
    CountManifest,
    MoveManifest,
    PutManifest,
    PutTag,
    RemoveManifest,
    RemoveTag,
    Used,
)
from chalicelib.registry.policies import LIFECYCLE, Policy, repository_scope
from chalicelib.registry.stores import LIVE, RELEASING, Held, ManifestRow, TagRow
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.race import race

DIGEST, OTHER = Digest.of(b"a manifest"), Digest.of(b"another", "sha512")


def write(deployment: Deployment, *changes: Change) -> list[Change]:
    return deployment.services.manifests.transactions.write(changes)


def a_row() -> ManifestRow:
    holds = (Held(OTHER, is_manifest=True), Held(Digest.of(b"a blob"), is_manifest=False))
    return ManifestRow(DIGEST, "a/type", 1, LIVE, b"x", subject=OTHER, holds=holds, held=2, tags=1)


@pytest.fixture
def row() -> ManifestRow:
    return a_row()


def push(deployment: Deployment, repository: Repository, row: ManifestRow) -> None:
    tag = PutTag(repository, TagRow("v1", DIGEST, "a/type", 1), None)
    assert write(deployment, PutManifest(repository, row), tag) == []


@pytest.fixture
def pushed(deployment: Deployment, repository: Repository, row: ManifestRow) -> ManifestRow:
    push(deployment, repository, row)
    return row


def test_one_pass_shows_what_policies_ask_about(
    deployment: Deployment, repository: Repository, pushed: ManifestRow
) -> None:
    other = ManifestRow(OTHER, "a/type", 1, LIVE, b"y", parents=1)
    assert write(deployment, PutManifest(repository, other)) == []
    assert write(deployment, CountManifest(repository, OTHER, parents=-1)) == []
    deployment.services.manifests.rows.note_pull(repository, DIGEST, 0, 77)
    store = DynamoLifecycleStore(deployment._tables)
    first, second = store.manifests(repository)
    assert (first.digest, first.pulled, first.left, first.tags, first.parents) == (DIGEST, 77, 0, 1, 0)
    assert (first.subject, first.children, first.is_live) == (OTHER, (OTHER,), True)
    assert (second.digest, second.pulled, second.parents) == (OTHER, 0, 0)
    assert first.pushed <= second.left <= first.pushed + 3600
    (tag,) = store.tags(repository)
    assert (tag.tag, tag.digest) == ("v1", DIGEST)
    assert first.pushed <= tag.moved / 1_000_000 <= first.pushed + 3600


def test_a_pull_is_noted_after_the_one_that_was_seen_alone(
    deployment: Deployment, repository: Repository, pushed: ManifestRow
) -> None:
    rows = deployment.services.manifests.rows
    for before, now, noted in ((0, 100, 100), (0, 200, 100), (50, 200, 100), (100, 200, 200)):
        rows.note_pull(repository, DIGEST, before, now)
        found = rows.get(repository, DIGEST)
        assert found is not None
        assert found.pulled == noted
    rows.note_pull(repository, OTHER, 0, 100)
    assert rows.get(repository, OTHER) is None


def test_a_tag_goes_only_while_it_has_not_moved(
    deployment: Deployment, repository: Repository, pushed: ManifestRow
) -> None:
    (tag,) = DynamoLifecycleStore(deployment._tables).tags(repository)
    moved = RemoveTag(repository, "v1", DIGEST, moved=tag.moved - 1)
    assert write(deployment, moved) == [moved]
    assert write(deployment, RemoveTag(repository, "v1", DIGEST, moved=tag.moved)) == []


def test_a_manifest_goes_only_while_it_was_not_used(
    deployment: Deployment, repository: Repository, pushed: ManifestRow
) -> None:
    def changes(pulled: int, at: int) -> list[Any]:
        used = Used(pulled, at)
        return [
            CountManifest(repository, DIGEST, tags=0, used=used),
            RemoveManifest(repository, DIGEST, (LIVE, 2), 1, used=used),
            MoveManifest(repository, DIGEST, (LIVE, 2), (RELEASING, 2), used=used),
        ]

    at = pushed_at(deployment, repository)
    deployment.services.manifests.rows.note_pull(repository, DIGEST, 0, 100)
    for change in (*changes(0, at), *changes(99, at), *changes(100, at - 1)):
        assert write(deployment, change) == [change]
    count, removal, _ = changes(100, at)
    assert write(deployment, count) == []
    assert write(deployment, removal) == []


def test_a_manifest_that_is_pushed_again_is_as_young_as_that(
    deployment: Deployment, repository: Repository, pushed: ManifestRow
) -> None:
    before = pushed_at(deployment, repository)
    assert write(deployment, CountManifest(repository, DIGEST, tags=1)) == []
    assert pushed_at(deployment, repository) == before
    assert write(deployment, CountManifest(repository, DIGEST, is_push=True)) == []
    assert pushed_at(deployment, repository) > before


def pushed_at(deployment: Deployment, repository: Repository) -> int:
    (found,) = DynamoLifecycleStore(deployment._tables).manifests(repository)
    return found.pushed_at


def test_the_scopes_are_those_of_lifecycle_policies(deployment: Deployment, repository: Repository) -> None:
    scope = repository_scope(repository)
    assert deployment.policies.put(Policy(scope, LIFECYCLE, {}))
    assert deployment.policies.put(Policy(scope + "-other", "retention", {}))
    found = set(DynamoLifecycleStore(deployment._tables).scopes())
    assert scope in found
    assert scope + "-other" not in found


def test_of_pulls_and_a_deletion_at_once_no_row_comes_back(
    on_engines: Deployment, repository: Repository, row: ManifestRow
) -> None:
    rows = on_engines.services.manifests.rows
    assert write(on_engines, PutManifest(repository, row)) == []
    at = pushed_at(on_engines, repository)

    def delete() -> list[Change]:
        return write(on_engines, RemoveManifest(repository, DIGEST, (LIVE, 2), 1, used=Used(0, at)))

    def pull() -> list[Change]:
        rows.note_pull(repository, DIGEST, 0, 100)
        return []

    results = race([pull, delete, pull])
    found = rows.get(repository, DIGEST)
    assert (found is None) == (results[1] == [])
    assert found is None or found.pulled == 100
