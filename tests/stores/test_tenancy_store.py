"""Accounts, projects and registries change from the version that was seen, and from no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.aws.tenancy_store import DynamoTenancyStore
from chalicelib.aws.transactions import DynamoTransactions
from chalicelib.identity.tenancy import ACTIVE, DELETED, Account, Project, Registry
from chalicelib.wiring import Deployment
from tests.stores.rows import a_repository


@pytest.fixture
def name() -> str:
    return a_repository().account


def store_of(deployment: Deployment) -> DynamoTenancyStore:
    transactions = deployment.services.blobs.transactions
    assert isinstance(transactions, DynamoTransactions)
    return DynamoTenancyStore(deployment._tables, deployment._reads, transactions)


def test_an_account_a_project_and_a_registry_have_one_first_version(
    deployment: Deployment, name: str
) -> None:
    store = store_of(deployment)
    account, project, registry = Account(name), Project(name, "shop"), Registry(name, name, "shop")
    assert not store.put_account(replace(account, version=2)), "there is no first"
    assert store.put_account(account)
    assert store.put_project(project)
    assert store.put_registry(registry)
    assert not store.put_account(replace(account, title="another"))
    assert not store.put_project(replace(project, title="another"))
    assert not store.put_registry(replace(registry, title="another"))
    assert not store.put_project(replace(project, version=3))
    assert not store.put_registry(replace(registry, version=3))
    assert (store.account(name), store.project(name, "shop"), store.registry(name)) == (
        account,
        project,
        registry,
    )
    assert store.put_account(replace(account, version=2, title="next"))
    assert store.put_project(replace(project, version=2, title="next"))
    assert store.put_registry(replace(registry, version=2, title="next"))


def test_a_limit_moves_from_the_version_that_was_seen_with_what_is_free(
    deployment: Deployment, name: str
) -> None:
    store, usages = store_of(deployment), deployment.quota.usages
    account = Account(name, limit_bytes=1000)
    assert store.put_account(account)
    second = replace(account, limit_bytes=1500, version=2)
    assert not store.put_limit(second, 500), "nobody counts what it uses"
    assert usages.get(name) is None
    usages.open(name, 1000)
    assert store.put_limit(second, 500)
    assert not store.put_limit(second, 500), "it has moved"
    found = usages.get(name)
    assert found is not None
    assert (found.limit, store.account(name)) == (1500, second)


def test_what_changed_since_is_not_taken_away(deployment: Deployment, name: str) -> None:
    store = store_of(deployment)
    account, project = Account(name), Project(name, "shop")
    assert store.put_account(account)
    assert store.put_project(project)
    changed = replace(account, version=2), replace(project, version=2)
    assert store.put_account(changed[0])
    assert store.put_project(changed[1])
    assert not store.remove_account(account)
    assert not store.withdraw_account(account)
    assert not store.remove_project(project)
    assert (store.account(name), store.project(name, "shop")) == changed
    assert store.remove_project(changed[1])
    assert store.remove_account(changed[0])
    assert (store.account(name), store.project(name, "shop")) == (None, None)


def test_a_name_is_taken_once_it_is_deleted_and_free(deployment: Deployment, name: str) -> None:
    store, now = store_of(deployment), 1000
    first = Registry(name, name, "shop", incarnation=1)
    mine, other = replace(first, incarnation=2), replace(first, account="other", incarnation=3)
    assert store.put_registry(first)
    assert not store.take_registry(mine, now), "it is there"
    deleted = replace(first, state=DELETED, reserved=now, version=2)
    assert store.put_registry(deleted)
    assert not store.take_registry(other, now), "it is reserved"
    assert store.take_registry(mine, now)
    assert store.registry(name) == mine
    assert store.put_registry(replace(deleted, version=2))
    assert store.take_registry(other, now + 1)
    found = store.registry(name)
    assert found is not None
    assert (found.account, found.state) == ("other", ACTIVE)
