"""What is kept and not counted gives way to pushes, on every backend; races of it on real engines."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from chalicelib.registry.eviction import ACTION
from chalicelib.registry.policies import RETENTION, Policy, registry_scope
from chalicelib.registry.stores import KEPT, LIVE
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.invariants import broken
from tests.stores.race import race
from tests.stores.test_quota_races import check_exact, usage, watched
from tests.stores.test_races import Registry
from tests.support import content
from tests.support.content import Document

SIZE = 1000
IMAGES = 6
ROUNDS = 4


@pytest.fixture(autouse=True)
def _at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links were deleted just now: nobody waits for the hour of their URLs."""
    name = "on_engines" if "racing" in request.fixturenames else "deployment"
    quota = request.getfixturevalue(name).quota
    monkeypatch.setattr(quota, "eviction", replace(quota.eviction, url_seconds=-1))


@pytest.fixture
def registry(deployment: Deployment, repository: Repository) -> Registry:
    return Registry(deployment, repository)


@pytest.fixture
def racing(on_engines: Deployment, repository: Repository) -> Registry:
    return Registry(on_engines, repository)


def uncounted(registry: Registry) -> None:
    scope = registry_scope(registry.repository.account, registry.repository.registry)
    policy = Policy(scope, RETENTION, {"days": 7, "counted": False})
    assert registry.deployment.policies.put(policy)


def kept(registry: Registry, *layers: bytes, **more: Any) -> Document:
    """An image that is in the trash, and whose blobs nothing else has."""
    document = content.image(*layers, **more)
    for blob in document.blobs:
        registry.push_blob(blob)
    registry.push(document, "v1")
    registry.delete_manifest(document.digest)
    for blob in document.blobs:
        if registry.deployment.services.blobs.links.get(registry.repository, Digest.of(blob)):
            registry.delete_blob(blob)
    return document


def fill(registry: Registry, free: int = 0) -> int:
    """Let the limit be what is used and so much more; what is used."""
    account, quota = registry.repository.account, registry.deployment.quota
    now = usage(registry.deployment, account)
    assert quota.usages.repair(account, now, now.bytes, now.bytes + free)
    quota.forget(account)
    return now.bytes


def is_kept(registry: Registry, document: Document) -> bool:
    row = registry.deployment.trash.rows.get(registry.repository, Digest(document.digest))
    return row is not None and row.state == KEPT


def outcome(result: object) -> str:
    if isinstance(result, RegistryError):
        known = {ErrorCode.DENIED: "refused", ErrorCode.TOOMANYREQUESTS: "again"}
        assert result.code in known, result
        return known[result.code]
    assert not isinstance(result, Exception), result
    return "in"


def told(registry: Registry) -> list[str]:
    now = int(time.time() * 1000)
    entries = registry.deployment.trail.read(registry.repository.account, now - 3_600_000, now + 60_000, "")
    return [one.target.rpartition("@")[2] for one in entries if one.action == ACTION]


@pytest.mark.parametrize("layers", [1, 50], ids=["one transaction", "in steps"])
def test_a_deleted_image_gives_way_with_its_bytes(registry: Registry, layers: int) -> None:
    uncounted(registry)
    document = kept(registry, *(os.urandom(8) for _ in range(layers)), annotations={"large": "x" * 220_000})
    row = registry.deployment.trash.rows.get(registry.repository, Digest(document.digest))
    assert row is not None
    assert row.gives_way
    used = fill(registry)
    assert registry.deployment.quota.gives_way(registry.repository.account) == used
    registry.push_blob(os.urandom(used))
    assert not is_kept(registry, document)
    assert told(registry) == [document.digest]
    assert check_exact(registry.deployment, registry.repository, used) == used
    with pytest.raises(RegistryError) as refused:
        registry.push_blob(os.urandom(used))
    assert refused.value.code is ErrorCode.DENIED


def test_what_is_counted_stays_beside_what_gives_way(registry: Registry) -> None:
    counted = kept(registry, os.urandom(SIZE))
    uncounted(registry)
    giving = kept(registry, os.urandom(SIZE))
    limit = fill(registry)
    assert [row.digest for row in registry.deployment.trash.rows.giving(registry.repository.account)] == [
        giving.digest
    ]
    registry.push_blob(os.urandom(SIZE))
    with pytest.raises(RegistryError) as refused:
        registry.push_blob(os.urandom(SIZE))
    assert refused.value.code is ErrorCode.DENIED
    assert (is_kept(registry, counted), is_kept(registry, giving)) == (True, False)
    check_exact(registry.deployment, registry.repository, limit)


def test_the_oldest_is_the_first_to_go(registry: Registry) -> None:
    uncounted(registry)
    first, second = kept(registry, os.urandom(SIZE)), kept(registry, os.urandom(SIZE))
    table = registry.deployment._tables.trash
    for document, deleted in ((first, 2000), (second, 1000)):
        model = table.get(f"{registry.repository.account}/{registry.repository.name}", document.digest)
        model.update([table.deleted.set(deleted)])
    fill(registry)
    registry.push_blob(os.urandom(SIZE))
    assert (is_kept(registry, first), is_kept(registry, second)) == (True, False)


def test_pushes_that_make_room_at_once_fill_an_account_to_the_limit_and_not_above(racing: Registry) -> None:
    """Twice as many as fit. Who meets too many others is told to try again, and then fits or does not."""
    uncounted(racing)
    documents = [kept(racing, os.urandom(SIZE)) for _ in range(IMAGES)]
    limit = fill(racing)
    fits = limit // SIZE
    blobs = [os.urandom(SIZE) for _ in range(2 * fits)]
    with watched(racing.deployment, racing.repository.account) as seen:
        results = [outcome(one) for one in race([partial(racing.push_blob, blob) for blob in blobs])]
        for blob, result in zip(blobs, results, strict=True):
            if result == "again":
                results.append(outcome(race([partial(racing.push_blob, blob)])[0]))
    assert results.count("in") == fits
    assert max(one.bytes for one in seen) <= limit
    assert check_exact(racing.deployment, racing.repository, limit) == fits * SIZE
    assert not any(is_kept(racing, document) for document in documents)
    assert sorted(told(racing)) == sorted(document.digest for document in documents)


@pytest.mark.parametrize("rival", ["restore", "purge", "release", "upload"])
def test_an_image_gives_way_or_does_not_whoever_else_is_about_it(racing: Registry, rival: str) -> None:
    undo, repository = racing.deployment.undo, racing.repository
    uncounted(racing)
    for _ in range(ROUNDS):
        document = kept(racing, os.urandom(SIZE))
        limit = fill(racing)
        digest = Digest(document.digest)
        row = racing.deployment.trash.rows.get(repository, digest)
        assert row is not None
        rivals: dict[str, Callable[[], Any]] = {
            "restore": partial(undo.restore, repository, digest),
            "purge": partial(undo.purge, repository, digest),
            "release": partial(undo.trash.release, repository, row, row.due),
            "upload": partial(racing.push_blob, document.blobs[0]),
        }
        blob = os.urandom(SIZE)
        push, other = race([partial(racing.push_blob, blob), rivals[rival]])
        assert usage(racing.deployment, repository.account).bytes <= limit
        assert broken(racing.deployment, [repository], limit) == []
        if rival == "restore":
            is_restored = not isinstance(other, Exception)
            assert racing.is_live(digest) == is_restored
            assert (outcome(push) == "in") != is_restored, (push, other)
        else:
            assert isinstance(push, str) or outcome(push) == "refused"
        if racing.is_live(digest):
            racing.delete_manifest(digest)
        for one in (*document.blobs, blob):
            if racing.deployment.services.blobs.links.get(repository, Digest.of(one)):
                racing.delete_blob(one)
        # Nothing of this round gives way in the next.
        undo.purge_all(repository)
        fill(racing, 10**6)


def test_a_row_that_is_restored_is_counted_from_its_first_write_on(registry: Registry) -> None:
    uncounted(registry)
    document = kept(registry, os.urandom(SIZE))
    row = registry.deployment.trash.rows.get(registry.repository, Digest(document.digest))
    assert row is not None
    held = registry.deployment.undo._held(registry.repository, row)
    assert (held.gives_way, held.due) == (False, row.due)
    assert list(registry.deployment.trash.rows.giving(registry.repository.account)) == []
    fill(registry)
    with pytest.raises(RegistryError) as refused:
        registry.push_blob(os.urandom(1))
    assert refused.value.details[0]["needed"] == 1
    registry.deployment.undo.restore(registry.repository, Digest(document.digest))
    stored = registry.deployment.services.manifests.rows.get(registry.repository, Digest(document.digest))
    assert stored is not None
    assert stored.state == LIVE
