"""What roles and grants allow where, and what becomes of secrets that rotate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.identity.credentials import (
    EXPIRES_SOON_SECONDS,
    Credential,
    Kind,
    Secret,
    administrator,
    first_generation,
    granted,
    rotated,
)
from chalicelib.identity.grants import ACTIONS, Grant, Scope, parse_scopes
from chalicelib.identity.roles import EVERY_PROJECT, Role, permissions, role_in, stronger
from chalicelib.identity.secret import matches
from chalicelib.identity.tenancy import ACTIVE, DELETED, DELETING, Registry
from tests.identity.memory import NOW

DEV = Registry("dev", "acme", "shop")
PULL_PUSH = frozenset({"pull", "push"})
ROBOT = Credential("ci", "acme", Kind.ROBOT, grants=(Grant("dev/*", PULL_PUSH),), project="shop")

# What each role may do, as the README has it: a change here is a change of what people were promised.
ROLES = {
    Role.VIEWER: {"read", "pull"},
    Role.DEVELOPER: {"read", "pull", "push"},
    Role.MAINTAINER: {"read", "pull", "push", "delete", "write-registry", "write-robot"},
    Role.OWNER: {
        *("read", "pull", "push", "delete", "write-registry", "write-robot"),
        *("write-member", "write-project", "read-audit"),
    },
}


@pytest.mark.parametrize("role", Role)
def test_each_role_may_do_what_is_written(role: Role) -> None:
    assert permissions(role) == ROLES[role]


def test_no_role_may_do_nothing() -> None:
    assert permissions(None) == frozenset()


def test_the_stronger_of_two_roles_counts() -> None:
    order = [None, *Role]
    for first in order:
        for second in order:
            assert stronger(first, second) == max(first, second, key=order.index)


def test_a_role_in_every_project_counts_in_each() -> None:
    roles = {EVERY_PROJECT: Role.VIEWER, "shop": Role.OWNER, "site": Role.VIEWER}
    assert [role_in(roles, name) for name in ("shop", "site", "other")] == [
        Role.OWNER,
        Role.VIEWER,
        Role.VIEWER,
    ]
    assert role_in({"shop": Role.OWNER}, "site") is None
    assert role_in({"shop": Role.OWNER}, EVERY_PROJECT) is None


@pytest.mark.parametrize("role", Role)
def test_a_users_actions_come_from_the_role_in_the_registrys_project(role: Role) -> None:
    user = Credential("ada", "acme", roles={"shop": role})
    assert user.actions_on("dev/app", DEV) == ROLES[role] & set(ACTIONS)
    assert user.actions_on("dev/app", replace(DEV, project="site")) == frozenset()
    assert user.everywhere() == frozenset()
    assert replace(user, roles={EVERY_PROJECT: role}).everywhere() == ROLES[role] & set(ACTIONS)


def test_a_robots_actions_come_from_its_grants() -> None:
    assert ROBOT.actions_on("dev/app", DEV) == PULL_PUSH
    assert ROBOT.actions_on("dev", DEV) == frozenset()
    assert ROBOT.actions_on("prod/app", replace(DEV, name="prod")) == frozenset()
    assert ROBOT.everywhere() == frozenset()


@pytest.mark.parametrize(
    "registry",
    [
        pytest.param(None, id="not there"),
        pytest.param(replace(DEV, account="other"), id="of another account"),
        pytest.param(replace(DEV, state=DELETING), id="on its way out"),
        pytest.param(replace(DEV, state=DELETED), id="deleted"),
    ],
)
def test_nobody_may_do_anything_in_a_registry_that_is_not_the_accounts(registry: Registry | None) -> None:
    assert DEV.state == ACTIVE
    for credential in (ROBOT, administrator("root", "acme", "secret")):
        assert credential.actions_on("dev/app", DEV)
        assert credential.actions_on("dev/app", registry) == frozenset()


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("repository:dev/app:pull", "repository:dev/app:pull"),
        ("repository:dev/app:pull,push,delete", "repository:dev/app:pull,push"),
        ("repository:dev/app:push,pull", "repository:dev/app:push,pull"),
        ("repository:dev/app:pull,pull", "repository:dev/app:pull"),
        ("repository:dev/app:*", "repository:dev/app:pull,push"),
        ("repository:dev/app:*,delete", "repository:dev/app:pull,push"),
        ("repository:dev/app:delete", ""),
        ("repository:dev/app:", ""),
        ("repository:dev/app:PULL", ""),
        ("repository:dev/*:pull", ""),
        ("repository:dev/APP:pull", ""),
        ("repository:dev/../dev/app:pull", ""),
        ("repository:dev//app:pull", ""),
        ("repository:dev/./app:pull", ""),
        ("repository:dev/\u0430pp:pull", ""),
        ("repository:dev/%61pp:pull", ""),
        ("repository:prod/app:pull repository:dev/app:pull", "repository:dev/app:pull"),
        ("repository:dev:pull", ""),
        ("repository(plugin):dev/app:pull", "repository(plugin):dev/app:pull"),
        ("repository(plugin:dev/app:pull", ""),
        ("repository():dev/app:pull", ""),
        ("Repository:dev/app:pull", ""),
        ("registry:catalog:*", "registry:catalog:*"),
        ("registry:catalog:*,pull", "registry:catalog:*"),
        ("registry:catalog:pull", ""),
        ("registry:other:*", ""),
        ("account:dev/app:pull", ""),
    ],
)
def test_what_is_given_is_what_was_asked_and_is_had(asked: str, given: str) -> None:
    allowed = granted(ROBOT, parse_scopes([asked]), {"dev": DEV})
    assert " ".join(map(str, allowed)) == given


def test_nothing_is_given_of_a_registry_that_was_not_found() -> None:
    assert granted(ROBOT, [Scope("repository", "dev/app", ("pull",))], {}) == ()


def test_a_rotated_secret_leaves_the_one_before_alive_for_the_overlap() -> None:
    first = replace(ROBOT, secrets=(Secret("one"),), generation=5)
    second = rotated(first, "two", NOW, overlap=60)
    assert second.secrets == (Secret("two"), Secret("one", NOW + 60))
    assert (second.generation, second.version) == (5, 2)
    assert [secret.lives(NOW + 59) for secret in second.secrets] == [True, True]
    assert [secret.lives(NOW + 60) for secret in second.secrets] == [True, False]


def test_at_most_two_secrets_live() -> None:
    credential = replace(ROBOT, secrets=(Secret("zero"),))
    for number in range(1, 5):
        credential = rotated(credential, str(number), NOW + number, overlap=1000)
    assert credential.secrets == (Secret("4"), Secret("3", NOW + 4 + 1000))


def test_a_rotation_that_drops_a_living_secret_ends_what_was_issued_for_it() -> None:
    first = rotated(replace(ROBOT, secrets=(Secret("one"),), generation=5), "two", NOW, overlap=60)
    assert rotated(first, "three", NOW + 59, overlap=60).generation == 6
    assert rotated(first, "three", NOW + 60, overlap=60).generation == 5


def test_a_rotation_without_overlap_ends_what_was_issued_before() -> None:
    second = rotated(replace(ROBOT, secrets=(Secret("one"),), generation=5), "two", NOW, overlap=0)
    assert second.secrets == (Secret("two"),)
    assert second.generation == 6


def test_a_credential_lives_until_it_expires_or_is_disabled() -> None:
    robot = replace(ROBOT, expires=NOW)
    assert robot.lives(NOW - 1)
    assert not robot.lives(NOW)
    assert not replace(robot, is_disabled=True).lives(NOW - 1)
    assert ROBOT.lives(10**12)


def test_a_credential_warns_before_it_expires() -> None:
    robot = replace(ROBOT, expires=NOW)
    assert robot.expires_soon(NOW - EXPIRES_SOON_SECONDS + 1)
    assert not robot.expires_soon(NOW - EXPIRES_SOON_SECONDS)
    assert not ROBOT.expires_soon(NOW)


def test_the_administrator_owns_its_account_and_keeps_no_password() -> None:
    root = administrator("root", "acme", "a password", NOW)
    assert root.is_operator
    assert root.may("write-member")
    assert root.actions_on("dev/app", DEV) == set(ACTIONS)
    assert "a password" not in repr(root)
    assert matches("a password", root.secrets[0].hash)


def test_a_later_credential_of_the_same_id_has_a_higher_generation_than_any_change_of_the_one_before() -> (
    None
):
    before, changed_in_a_day = first_generation(NOW), 24 * 3600
    assert first_generation(NOW + 24 * 3600) > before + changed_in_a_day
    assert first_generation(0) == 1
