"""Policies are found for a repository or its registry, and change only from the version that was seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.registry.policies import IMMUTABLE_TAGS, LIFECYCLE, Policy, registry_scope, repository_scope
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.race import race


@pytest.fixture
def outer(repository: Repository) -> Policy:
    return Policy(registry_scope(repository.account, repository.registry), IMMUTABLE_TAGS, ["v*"])


def test_a_policy_of_the_registry_is_for_each_repository_without_its_own(
    deployment: Deployment, repository: Repository, outer: Policy
) -> None:
    policies = deployment.policies
    assert policies.of(repository, IMMUTABLE_TAGS) is None
    assert policies.put(outer)
    assert policies.of(repository, IMMUTABLE_TAGS) == outer
    own = Policy(repository_scope(repository), IMMUTABLE_TAGS, ["release-*"])
    assert policies.put(own)
    assert policies.of(repository, IMMUTABLE_TAGS) == own
    assert (
        policies.of(Repository(repository.account, f"{repository.registry}/other"), IMMUTABLE_TAGS) == outer
    )
    assert policies.of(repository, LIFECYCLE) is None


def test_a_policy_is_replaced_and_removed_from_the_version_seen_alone(
    deployment: Deployment, outer: Policy
) -> None:
    policies = deployment.policies
    second = replace(outer, document=[], version=2)
    assert not policies.put(second), "there is no first"
    assert policies.put(outer)
    assert not policies.put(replace(outer, document=["other"])), "there is one"
    assert policies.put(second)
    assert not policies.remove(outer)
    assert policies.get(outer.scope, outer.kind) == second
    assert policies.remove(second)
    assert policies.get(outer.scope, outer.kind) is None


def test_one_of_many_that_replace_a_policy_at_once_does(on_engines: Deployment, outer: Policy) -> None:
    policies = on_engines.policies
    assert policies.put(outer)
    others = [replace(outer, document=[number], version=2) for number in range(8)]
    won = race([lambda one=one: policies.put(one) for one in others])
    assert won.count(True) == 1
    assert policies.get(outer.scope, outer.kind) == others[won.index(True)]


def test_the_repository_of_a_registrys_bare_name_has_the_policy_of_the_registry(
    deployment: Deployment, repository: Repository, outer: Policy
) -> None:
    """Its scope is the registry's: one row, which DynamoDB refuses to be asked for twice."""
    bare = Repository(repository.account, repository.registry)
    assert deployment.policies.of(bare, IMMUTABLE_TAGS) is None
    assert deployment.policies.put(outer)
    assert deployment.policies.of(bare, IMMUTABLE_TAGS) == outer
    found = deployment.services.manifests.rows.survey(bare, None, ["v1"], [], [])
    assert found.immutable == outer
