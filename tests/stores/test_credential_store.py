"""Credentials as they were put, what signing in finds beside them, and counts of failures that expire."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from chalicelib.identity.administrators import ADMINISTRATOR
from chalicelib.identity.attempts import CREDENTIAL, FORGET_SECONDS, Attempts, after_failure
from chalicelib.identity.credentials import Credential, Kind, Secret, Trust, administrator, rotated
from chalicelib.identity.grants import PULL, PUSH, Grant
from chalicelib.identity.roles import EVERY_PROJECT, Role
from chalicelib.identity.secret import hash_secret, matches
from chalicelib.wiring import Deployment

FULL = Credential(
    "",
    "account",
    Kind.TRUST,
    secrets=(Secret("sha256$a$b"), Secret("sha256$c$d", 1_900_000_000)),
    roles={EVERY_PROJECT: Role.VIEWER, "shop": Role.OWNER},
    grants=(Grant("dev/*", frozenset({PULL, PUSH})),),
    project="shop",
    trust=Trust("https://issuer.example", "ccr", "repo:caf\u00e9/*", {"ref": "*"}),
    title="Caf\u00e9",
    is_operator=True,
    is_disabled=True,
    expires=1_900_000_000,
    generation=1_800_000_000_000,
    created=1_800_000_000,
    created_by="admin",
)


@pytest.fixture
def name() -> str:
    return f"robot-{os.urandom(4).hex()}"


@pytest.fixture
def address() -> str:
    return f"203.0.113.{os.urandom(4).hex()}"


def test_credential_is_kept_whole_and_replaced_whole(deployment: Deployment, name: str) -> None:
    store = deployment.credentials
    assert store.get(name) is None
    first = replace(FULL, id=name)
    assert store.put(first)
    assert store.get(name) == first
    second = replace(administrator(name, "account", "a secret"), version=2)
    assert store.put(second)
    assert store.get(name) == second


def test_each_version_follows_the_one_before(deployment: Deployment, name: str) -> None:
    store, first = deployment.credentials, replace(FULL, id=name)
    assert not store.put(replace(first, version=2))
    assert store.put(first)
    for version in (1, 3):
        assert not store.put(replace(first, version=version, title="lost"))
    assert store.get(name) == first
    assert not store.remove(replace(first, version=2))
    assert store.remove(first)
    assert store.get(name) is None
    assert not store.remove(first)


def test_a_write_that_needs_a_witness_holds_while_that_one_is_unchanged(
    on_engines: Deployment, name: str
) -> None:
    store = on_engines.credentials
    first, witness = replace(FULL, id=name), replace(FULL, id=f"{name}-witness")
    assert store.put(first)
    second = replace(first, version=2, generation=first.generation + 1)
    assert not store.put(second, revoke=True, witness=witness), "it is not there"
    assert store.put(witness)
    assert store.put(replace(witness, version=2))
    assert not store.put(second, revoke=True, witness=witness), "it has changed"
    assert not store.remove(first, witness=witness)
    assert store.get(name) == first
    assert store.put(second, revoke=True, witness=replace(witness, version=2))
    assert store.remove(second, witness=replace(witness, version=2))


@pytest.mark.parametrize("password", ["the same", "another"])
def test_the_administrator_lives_again_with_its_password(deployment: Deployment, password: str) -> None:
    deployment.administrators.put("the same")
    made = deployment.credentials.get("admin")
    assert made is not None
    dead = replace(made, is_disabled=True, expires=1, version=made.version + 1)
    assert deployment.credentials.put(dead)
    deployment.administrators.put(password)
    after = deployment.credentials.get("admin")
    assert after is not None
    assert after.lives(10**12)
    assert after.keeps_account


def test_of_many_rotations_at_once_one_holds(on_engines: Deployment, name: str) -> None:
    store = on_engines.credentials
    first = replace(FULL, id=name, secrets=(Secret("first"),))
    assert store.put(first)
    after = [rotated(first, f"secret {number}", now=0, overlap=0) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda one: store.put(one, revoke=True), after))
    assert held.count(True) == 1
    assert store.get(name) == after[held.index(True)]
    assert store.revoked()[name] == first.generation + 1


def test_what_takes_away_is_among_the_revoked_and_what_does_not_is_not(
    deployment: Deployment, name: str
) -> None:
    store, first = deployment.credentials, replace(FULL, id=name)
    store.put(first)
    store.put(replace(first, version=2))
    assert name not in store.revoked()
    second = replace(first, version=3, generation=first.generation + 1)
    assert not store.put(replace(second, version=9), revoke=True)
    assert name not in store.revoked()
    assert store.put(second, revoke=True)
    assert store.revoked()[name] == second.generation
    assert store.remove(second)
    assert store.revoked()[name] == second.generation + 1


def test_pages_hold_the_credentials_of_one_account_in_order(deployment: Deployment, name: str) -> None:
    store, ids = deployment.credentials, [f"{name}-{number}" for number in range(5)]
    for id_ in ids:
        store.put(replace(FULL, id=id_, account=name))
    store.put(replace(FULL, id=f"{name}-other", account=f"{name}-other"))
    assert [one.id for one in store.page(name, "", 3)] == ids[:3]
    assert [one.id for one in store.page(name, ids[2], 3)] == ids[3:]


def test_signing_in_finds_all_it_needs(deployment: Deployment, name: str, address: str) -> None:
    store, tenancy, now = deployment.credentials, deployment.tenancy, int(time.time())
    project = tenancy.create_project("account", name)
    registry = tenancy.create_registry(project, name)
    nothing = store.look_up(name, address, [name, f"{name}-none"])
    assert (nothing.credential, nothing.by_credential, nothing.by_address) == (None, None, None)
    assert nothing.registries == {name: registry}
    first = replace(FULL, id=name)
    store.put(first)
    store.failed(f"credential#{name}", Attempts(1, 0), now)
    store.failed(f"address#{address}", Attempts(1, now + 5), now)
    found = store.look_up(name, address, ())
    assert found.credential == first
    assert (found.by_credential, found.by_address) == (Attempts(1, 0), Attempts(1, now + 5))


def test_last_use_is_noted_and_its_failures_forgotten(
    deployment: Deployment, name: str, address: str
) -> None:
    store, first, now = deployment.credentials, replace(FULL, id=name), int(time.time())
    store.put(first)
    store.failed(f"credential#{name}", Attempts(1, 0), now)
    store.used(first, address, now)
    found = store.look_up(name, address, ())
    assert found.credential == replace(first, used=now, used_from=address)
    assert found.by_credential is None


def test_use_of_a_credential_deleted_meanwhile_does_not_bring_it_back(
    deployment: Deployment, name: str, address: str
) -> None:
    store, first = deployment.credentials, replace(FULL, id=name)
    store.put(first)
    store.remove(first)
    store.used(first, address, int(time.time()))
    assert store.get(name) is None


def failures(deployment: Deployment, name: str, address: str) -> Iterator[Attempts]:
    """One more each time."""
    while True:
        now = int(time.time())
        before = deployment.credentials.look_up(name, address, ()).by_credential
        after = after_failure(before, CREDENTIAL, now)
        deployment.credentials.failed(f"credential#{name}", after, now)
        yield after


def test_failures_are_counted(deployment: Deployment, name: str, address: str) -> None:
    counting = failures(deployment, name, address)
    assert [next(counting).failures for _ in range(4)] == [1, 2, 3, 4]
    found = deployment.credentials.look_up(name, address, ()).by_credential
    assert found == Attempts(4, 0)


def test_a_count_that_expired_begins_anew_though_its_row_is_still_there(
    deployment: Deployment, name: str, address: str
) -> None:
    """DynamoDB removes what has expired within days."""
    now, store = int(time.time()), deployment.credentials
    for number in range(1, 10):
        store.failed(f"credential#{name}", Attempts(number, 0), now - FORGET_SECONDS)
    assert store.look_up(name, address, ()).by_credential is None
    counting = failures(deployment, name, address)
    assert [next(counting).failures for _ in range(3)] == [1, 2, 3]
    assert store.look_up(name, address, ()).by_credential == Attempts(3, 0)


def test_two_who_both_saw_no_failure_are_both_counted(deployment: Deployment, name: str) -> None:
    store, now = deployment.credentials, int(time.time())
    for _ in range(2):
        store.failed(f"credential#{name}", Attempts(1, 0), now)
    assert store.look_up(name, "203.0.113.9", ()).by_credential == Attempts(2, 0)


def test_first_failures_at_once_are_all_counted(on_engines: Deployment, name: str, address: str) -> None:
    store, now = on_engines.credentials, int(time.time())
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(store.failed, f"credential#{name}", Attempts(1, 0), now) for _ in range(8)]:
            done.result()
    assert store.look_up(name, address, ()).by_credential == Attempts(8, 0)


def test_administrator_is_there_once_set(deployment: Deployment) -> None:
    deployment.administrators.put("a password of the tests")
    assert deployment.administrators.exists()


def test_administrator_has_the_password_that_was_set_last(deployment: Deployment) -> None:
    """Also where that one is on its way out after a rotation."""
    store = deployment.credentials
    deployment.administrators.put("first")
    before = store.get(ADMINISTRATOR)
    assert before is not None
    assert store.put(rotated(before, hash_secret("second"), int(time.time()), overlap=60))
    deployment.administrators.put("first")
    after = store.get(ADMINISTRATOR)
    assert after is not None
    assert [(matches("first", one.hash), one.expires) for one in after.secrets] == [(True, None)]
    assert after.generation > before.generation
    deployment.administrators.put("first")
    assert store.get(ADMINISTRATOR) == after
