"""Soft limits are measured over distinct blobs, warn, and refuse nothing."""

from __future__ import annotations

import os
import time

import pytest

from chalicelib.registry.changes import NameRepository
from chalicelib.registry.policies import project_scope, registry_scope
from chalicelib.registry.uploads import Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.race import race
from tests.stores.rows import write


def push(deployment: Deployment, repository: Repository, blob: bytes) -> None:
    write(deployment, NameRepository(repository))
    uploads = deployment.services.uploads
    uploads.close(repository, uploads.open(repository).session, Digest.of(blob), Chunk([blob]))


@pytest.fixture
def second(repository: Repository) -> Repository:
    """In another registry of the same account."""
    return Repository(repository.account, f"{repository.registry}-two/app")


@pytest.fixture
def projects(deployment: Deployment, repository: Repository, second: Repository) -> dict[str, list[str]]:
    """Both registries in one project: 100 bytes in each, of which 60 are the same blob."""
    shared = os.urandom(60)
    for one in (repository, second, Repository(repository.account, f"{repository.registry}/more")):
        push(deployment, one, shared)
    for one in (repository, second):
        push(deployment, one, os.urandom(40))
    return {"shop": [repository.registry, second.registry]}


def told(deployment: Deployment, account: str) -> list[tuple[str, dict[str, object]]]:
    now = int(time.time() * 1000)
    entries = deployment.trail.read(account, now - 3_600_000, now + 60_000, "")
    return [(one.target, one.detail) for one in entries if one.action == "soft-limit"]


def test_a_blob_counts_once_in_a_registry_and_once_in_a_project(
    deployment: Deployment, repository: Repository, projects: dict[str, list[str]]
) -> None:
    limits, account = deployment.soft_limits, repository.account
    outer, inner = project_scope(account, "shop"), registry_scope(account, repository.registry)
    limits.set(outer, 10**9)
    limits.set(inner, 10**9)
    assert limits.measure(account, projects) == []
    found = [limits.get(scope) for scope in (outer, inner)]
    assert [one and one.used for one in found] == [140, 100]


def test_who_pushes_beyond_one_is_warned_and_the_trail_is_told_once(
    deployment: Deployment, repository: Repository, second: Repository, projects: dict[str, list[str]]
) -> None:
    limits, account = deployment.soft_limits, repository.account
    scope = registry_scope(account, repository.registry)
    assert limits.warning(repository) == ""
    limits.set(scope, 99)
    for _ in range(2):
        limits.measure(account, projects)
    said = f"the registry {repository.registry} uses 100 bytes, its soft limit is 99"
    assert (limits.warning(repository), limits.warning(second)) == (said, "")
    assert told(deployment, account) == [(f"registry {repository.registry}", {"used": 100, "limit": 99})]
    push(deployment, repository, os.urandom(10))
    limits.set(scope, 110)
    limits.measure(account, projects)
    assert limits.warning(repository) == ""
    limits.set(scope, 109)
    limits.measure(account, projects)
    assert len(told(deployment, account)) == 2
    assert limits.remove(scope)
    limits.measure(account, projects)
    assert (limits.warning(repository), limits.get(scope)) == ("", None)
    assert not limits.remove(scope)


def test_the_limit_of_a_project_warns_in_each_of_its_registries(
    deployment: Deployment, repository: Repository, second: Repository, projects: dict[str, list[str]]
) -> None:
    limits, account = deployment.soft_limits, repository.account
    limits.set(project_scope(account, "shop"), 139)
    limits.measure(account, projects)
    said = "the project shop uses 140 bytes, its soft limit is 139"
    assert [limits.warning(one) for one in (repository, second)] == [said, said]


def test_of_measurements_and_changes_at_once_no_change_is_lost(
    on_engines: Deployment, repository: Repository
) -> None:
    limits, scope = on_engines.soft_limits, registry_scope(repository.account, repository.registry)
    limits.set(scope, 1)
    projects = {"shop": [repository.registry]}
    results = race(
        [
            *(lambda: limits.measure(repository.account, projects) for _ in range(3)),
            lambda: limits.set(scope, 5),
        ]
    )
    assert not [one for one in results if isinstance(one, Exception)], results
    found = limits.get(scope)
    assert found is not None
    assert found.bytes == 5
