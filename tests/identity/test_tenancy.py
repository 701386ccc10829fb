"""Accounts, projects and registries: how they come and go, and two that come at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.identity.credentials import Credential, Kind, administrator
from chalicelib.identity.grants import Grant, parse_scopes
from chalicelib.identity.opening import Opening
from chalicelib.identity.refusals import Reason, RefusedError
from chalicelib.identity.roles import EVERY_PROJECT, Role
from chalicelib.identity.sign_in import SignedIn
from chalicelib.identity.tenancy import (
    ACTIVE,
    DEFAULT_PROJECT,
    DELETED,
    DELETING,
    RESERVED_SECONDS,
    Project,
    Registry,
    Tenancy,
)
from tests.identity.memory import Clock, Tenants

ROOT = administrator("root", "acme", "secret")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> Tenants:
    return Tenants()


@pytest.fixture
def tenancy(store: Tenants, clock: Clock) -> Tenancy:
    tenancy = Tenancy(store, clock)
    for account in ("acme", "other"):
        tenancy.create_account(account)
        tenancy.create_project(account, "shop")
    return tenancy


def refused(reason: Reason, call: Callable[[], Any]) -> str:
    with pytest.raises(RefusedError) as error:
        call()
    assert error.value.reason is reason
    return error.value.message


def registry(tenancy: Tenancy, name: str, account: str = "acme") -> Registry:
    return tenancy.create_registry(tenancy.project(account, "shop"), name)


def delete(tenancy: Tenancy, one: Registry) -> None:
    tenancy.end_deletion(tenancy.begin_deletion(one))


def test_what_is_made_is_found(tenancy: Tenancy, clock: Clock) -> None:
    made = registry(tenancy, "dev")
    assert tenancy.registry("acme", "dev") == made
    assert (made.state, made.created, made.version) == (ACTIVE, clock.now, 1)
    assert tenancy.registries("acme") == tenancy.registries("acme", "shop") == [made]
    assert tenancy.registries("acme", "site") == tenancy.registries("other") == []


def test_a_name_is_had_once(tenancy: Tenancy) -> None:
    registry(tenancy, "dev")
    refused(Reason.CONFLICT, lambda: tenancy.create_account("acme"))
    refused(Reason.CONFLICT, lambda: tenancy.create_project("acme", "shop"))
    own = refused(Reason.CONFLICT, lambda: registry(tenancy, "dev"))
    foreign = refused(Reason.CONFLICT, lambda: registry(tenancy, "dev", "other"))
    assert own == foreign


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "caf\u00e9", "a" * 64])
def test_a_name_that_is_none_is_refused(tenancy: Tenancy, name: str) -> None:
    refused(Reason.INVALID, lambda: tenancy.create_account(name))
    refused(Reason.INVALID, lambda: tenancy.create_project("acme", name))
    refused(Reason.INVALID, lambda: registry(tenancy, name))


def test_what_is_another_accounts_is_not_there(tenancy: Tenancy) -> None:
    registry(tenancy, "dev")
    foreign = refused(Reason.NOT_FOUND, lambda: tenancy.registry("other", "dev"))
    missing = refused(Reason.NOT_FOUND, lambda: tenancy.registry("other", "none"))
    assert foreign.replace("dev", "none") == missing
    refused(Reason.NOT_FOUND, lambda: tenancy.project("acme", "none"))
    refused(Reason.NOT_FOUND, lambda: tenancy.account("none"))


def test_nothing_that_holds_something_is_deleted(tenancy: Tenancy) -> None:
    made = registry(tenancy, "dev")
    project = tenancy.project("acme", "shop")
    refused(Reason.CONFLICT, lambda: tenancy.delete_account(tenancy.account("acme")))
    refused(Reason.CONFLICT, lambda: tenancy.delete_project(project))
    refused(Reason.CONFLICT, lambda: tenancy.delete_project(project))
    delete(tenancy, made)
    tenancy.delete_project(project)
    tenancy.delete_account(tenancy.account("acme"))
    refused(Reason.NOT_FOUND, lambda: tenancy.account("acme"))


def test_a_registry_on_its_way_out_keeps_its_project(tenancy: Tenancy) -> None:
    leaving = tenancy.begin_deletion(registry(tenancy, "dev"))
    assert leaving.state == DELETING
    assert tenancy.begin_deletion(leaving) == leaving
    refused(Reason.CONFLICT, lambda: tenancy.delete_project(tenancy.project("acme", "shop")))


def test_a_deleted_registrys_name_is_reserved_for_thirty_days(tenancy: Tenancy, clock: Clock) -> None:
    delete(tenancy, registry(tenancy, "dev"))
    refused(Reason.NOT_FOUND, lambda: tenancy.registry("acme", "dev"))
    assert tenancy.registries("acme") == []
    clock.now += RESERVED_SECONDS
    refused(Reason.CONFLICT, lambda: registry(tenancy, "dev", "other"))
    clock.now += 1
    assert registry(tenancy, "dev", "other").account == "other"
    refused(Reason.NOT_FOUND, lambda: tenancy.registry("acme", "dev"))


def test_its_own_account_may_have_the_name_again_at_once(tenancy: Tenancy) -> None:
    delete(tenancy, registry(tenancy, "dev"))
    assert registry(tenancy, "dev").state == ACTIVE


def test_a_change_of_what_has_changed_is_stale(tenancy: Tenancy) -> None:
    account, project, made = (
        tenancy.account("acme"),
        tenancy.project("acme", "shop"),
        registry(tenancy, "dev"),
    )
    assert tenancy.change_account(account, title="Acme").version == 2
    assert tenancy.change_project(project, title="Shop").version == 2
    assert tenancy.change_registry(made, title="Dev", project="shop").version == 2
    refused(Reason.STALE, lambda: tenancy.change_account(account, title="x"))
    refused(Reason.STALE, lambda: tenancy.change_project(project, title="x"))
    refused(Reason.STALE, lambda: tenancy.change_registry(made, title="x", project="shop"))
    refused(Reason.STALE, lambda: tenancy.begin_deletion(made))
    refused(Reason.STALE, lambda: tenancy.end_deletion(made))
    refused(Reason.STALE, lambda: tenancy.delete_account(replace(account, id="gone")))


def signed_in(credential: Credential, **registries: Registry) -> SignedIn:
    return SignedIn(credential, registries)


def opened(tenancy: Tenancy, who: SignedIn, *scopes: str, is_open: bool = True) -> set[str]:
    return set(Opening(tenancy, is_open).opened(who, parse_scopes(scopes)))


def test_a_push_by_an_owner_opens_the_registry_it_names(tenancy: Tenancy) -> None:
    assert opened(tenancy, signed_in(ROOT), "repository:new/app:pull,push") == {"new"}
    assert tenancy.registry("acme", "new").project == DEFAULT_PROJECT
    assert opened(tenancy, signed_in(ROOT), "repository:all/app:*") == {"all"}


@pytest.mark.parametrize(
    "scope",
    [
        "repository:new/app:pull",
        "repository:new/app:delete",
        "repository:new/app:",
        "registry:catalog:*",
        "repository:/new:push",
        "repository:new//app:push",
        "repository:new/../app:push",
        "repository:New/app:push",
        "repository:new/App:push",
        "repository:new/*:push",
        f"repository:{'n' * 64}/app:push",
        "repository:caf\u00e9/app:push",
    ],
)
def test_nothing_else_opens_one(tenancy: Tenancy, store: Tenants, scope: str) -> None:
    before = dict(store.projects_)
    assert opened(tenancy, signed_in(ROOT), scope) == set()
    assert (store.registries_, store.projects_) == ({}, before)


@pytest.mark.parametrize(
    "credential",
    [
        Credential("ada", "acme", roles={"shop": Role.OWNER}),
        Credential("ada", "acme", roles={EVERY_PROJECT: Role.DEVELOPER}),
        Credential("ci", "acme", Kind.ROBOT, grants=(Grant("new/*", frozenset({"push"})),)),
        Credential("ci", "acme", Kind.ROBOT, roles={EVERY_PROJECT: Role.OWNER}),
    ],
)
def test_nobody_else_opens_one(tenancy: Tenancy, credential: Credential) -> None:
    assert opened(tenancy, signed_in(credential), "repository:new/app:push") == set()


def test_a_deployment_that_is_closed_opens_none(tenancy: Tenancy) -> None:
    assert opened(tenancy, signed_in(ROOT), "repository:new/app:push", is_open=False) == set()


def test_a_registry_that_was_found_is_left_alone(tenancy: Tenancy, store: Tenants) -> None:
    leaving = Registry("new", "acme", "shop", state=DELETED)
    found = Opening(tenancy, is_open=True).opened(
        signed_in(ROOT, new=leaving), parse_scopes(["repository:new/app:push"])
    )
    assert found == {"new": leaving}
    assert store.registries_ == {}


def test_two_first_pushes_at_once_both_get_the_registry(tenancy: Tenancy, store: Tenants) -> None:
    """Whatever this one is about to put, the other has put just before."""

    def other_first(row: Project | Registry) -> None:
        store.before_put = lambda _row: None
        rows = store.projects_ if isinstance(row, Project) else store.registries_
        rows[(row.account, row.name) if isinstance(row, Project) else row.name] = row  # type: ignore[index]
        if isinstance(row, Project):
            store.before_put = other_first

    store.before_put = other_first
    assert opened(tenancy, signed_in(ROOT), "repository:new/app:push") == {"new"}
    assert tenancy.registry("acme", "new").project == DEFAULT_PROJECT


def test_a_name_that_another_account_took_first_gives_nothing(tenancy: Tenancy) -> None:
    registry(tenancy, "new", "other")
    found = Opening(tenancy, is_open=True).opened(signed_in(ROOT), parse_scopes(["repository:new/app:push"]))
    assert ROOT.actions_on("new/app", found.get("new")) == frozenset()
