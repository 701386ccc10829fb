"""Guessing through the handler: slowed, locked, told when to come back, and learning nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.identity.attempts import ADDRESS, CREDENTIAL
from chalicelib.identity.secret import make_secret
from chalicelib.wiring import Deployment
from tests.endpoints import inventory
from tests.endpoints.driver import Answer
from tests.endpoints.refusals import refused
from tests.identity.callers import Caller, Tenant, basic, operations
from tests.identity.memory import Clock

# With the right form and checksum, so that thirty of them take no slow hash.
GUESS = make_secret()


@pytest.fixture
def clock(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of signing in, near enough to the real one that no row has expired."""
    clock = Clock(int(time.time()))
    monkeypatch.setattr(deployment.sign_in, "clock", clock)
    return clock


@pytest.fixture
def tenant(deployment: Deployment) -> Tenant:
    return Tenant(deployment)


@pytest.fixture
def robot(tenant: Tenant) -> tuple[str, str]:
    credential, secret = tenant.robot((f"{tenant.dev}/*", "pull"))
    return credential.id, secret


@pytest.fixture
def caller(deployment: Deployment, clock: Clock) -> Caller:
    return Caller(deployment)


def retry_after(answer: Answer) -> int:
    refused(answer, 429, "TOOMANYREQUESTS", "too many failed logins")
    seconds = answer.headers["retry-after"]
    assert seconds.isdecimal()
    assert f"in {seconds} seconds" in answer.document["errors"][0]["message"]
    return int(seconds)


def fail(deployment: Deployment, id_: str, times: int) -> None:
    """Each time from another address."""
    for _ in range(times):
        refused(Caller(deployment).get(id_, GUESS), 401, "UNAUTHORIZED")


def lock_out(caller: Caller) -> None:
    for number in range(ADDRESS.free + 1):
        refused(caller.get(f"guess-{number}", GUESS), 401, "UNAUTHORIZED")


def test_a_credential_is_slowed_then_locked_and_told_when_to_come_back(
    deployment: Deployment, robot: tuple[str, str], caller: Caller, clock: Clock
) -> None:
    fail(deployment, robot[0], CREDENTIAL.free + 1)
    waits = []
    for _ in range(7):
        waits.append(retry_after(Caller(deployment).get(robot[0], GUESS)))
        clock.now += waits[-1] - 1
        assert retry_after(Caller(deployment).get(robot[0], GUESS)) == 1
        clock.now += 1
        fail(deployment, robot[0], 1)
    assert waits == [2, 4, 8, 16, 32, 60, 60]
    assert caller.get(*robot).status == 200


def test_a_lock_of_one_credential_is_no_lock_of_another(
    deployment: Deployment, tenant: Tenant, robot: tuple[str, str], caller: Caller
) -> None:
    other, secret = tenant.robot((f"{tenant.dev}/*", "pull"), name="other")
    fail(deployment, robot[0], CREDENTIAL.free + 1)
    assert retry_after(caller.get(robot[0], GUESS)) == 2
    refused(caller.get(other.id, GUESS), 401, "UNAUTHORIZED")
    assert caller.get(other.id, secret).status == 200


def test_a_success_forgets_the_failures_of_the_credential(
    deployment: Deployment, robot: tuple[str, str], caller: Caller
) -> None:
    for _ in range(3):
        fail(deployment, robot[0], CREDENTIAL.free)
        assert caller.get(*robot).status == 200


def test_failures_are_forgotten_after_an_hour_without_one(
    deployment: Deployment, robot: tuple[str, str], caller: Caller, clock: Clock
) -> None:
    """Rows that are over and that DynamoDB has not come round to remove."""
    clock.now -= 3600
    fail(deployment, robot[0], CREDENTIAL.free)
    lock_out(caller)
    clock.now += 3600
    rows = next(rows for name, rows in inventory.take().rows.items() if name.endswith("attempts"))
    assert len(rows) >= 2
    fail(deployment, robot[0], CREDENTIAL.free)
    assert caller.get(*robot).status == 200


def test_an_address_that_tries_many_names_is_locked_for_all_of_them(
    deployment: Deployment, robot: tuple[str, str], caller: Caller, clock: Clock
) -> None:
    lock_out(caller)
    assert retry_after(caller.get(*robot)) == 2
    assert Caller(deployment).get(*robot).status == 200
    clock.now += 2
    assert caller.get(*robot).status == 200
    refused(caller.get("one-more", GUESS), 401, "UNAUTHORIZED")
    assert retry_after(caller.get(*robot)) == 4


def test_a_locked_address_costs_no_call_at_all(
    deployment: Deployment, robot: tuple[str, str], caller: Caller
) -> None:
    lock_out(caller)
    before = inventory.take()
    with operations(deployment) as seen:
        for _ in range(20):
            for answer in (
                caller.get(*robot),
                caller.get("nobody", GUESS),
                caller.post("password", username=robot[0], password=robot[1]),
                caller.send("GET", "/v2/", authorization=basic(*robot)),
            ):
                assert retry_after(answer) == 2
                assert answer.calls == (0, 0)
    assert not seen
    assert inventory.take() == before


def test_a_locked_credential_costs_one_read_and_no_write(
    deployment: Deployment, robot: tuple[str, str], caller: Caller
) -> None:
    fail(deployment, robot[0], CREDENTIAL.free + 1)
    with operations(deployment) as seen:
        assert retry_after(caller.get(robot[0], GUESS)) == 2
    assert seen == {"BatchGetItem": 1}


def test_a_lock_that_another_process_made_holds_here(
    deploy: Callable[..., Deployment],
    robot: tuple[str, str],
    caller: Caller,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock_out(caller)
    other = deploy(public_url="https://another.process.test")
    monkeypatch.setattr(other.sign_in, "clock", clock)
    answers = [Caller(other, caller.address).get(*robot) for _ in range(2)]
    assert [answer.calls for answer in answers] == [(1, 0), (0, 0)]
    assert all(answer.status == 429 for answer in answers)


def test_a_token_goes_on_working_while_its_credential_and_address_are_locked(
    deployment: Deployment, robot: tuple[str, str], caller: Caller
) -> None:
    token = caller.get(*robot).document["token"]
    lock_out(caller)
    fail(deployment, robot[0], CREDENTIAL.free + 1)
    assert caller.bearing(token, "GET", "/v2/").status == 200


def test_an_upload_goes_on_while_the_address_is_locked(tenant: Tenant, caller: Caller) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull,push"))
    token = caller.get(robot.id, secret, f"repository:{tenant.dev}/app:pull,push").document["token"]
    upload = caller.bearing(token, "POST", f"/v2/{tenant.dev}/app/blobs/uploads/").headers["location"]
    lock_out(caller)
    assert caller.send("PATCH", upload, body=b"bytes").status == 202


@pytest.mark.parametrize("guess", [GUESS, "a password", "ccr_" + "0" * 38, "a.b.c"])
@pytest.mark.parametrize(
    "how",
    [
        lambda caller, id_, guess: caller.get(id_, guess, "repository:dev/app:pull"),
        lambda caller, id_, guess: caller.post("password", username=id_, password=guess),
        lambda caller, id_, guess: caller.exchange(id_, guess),
        lambda caller, id_, guess: caller.send("GET", "/v2/", authorization=basic(id_, guess)),
    ],
    ids=["GET", "password", "exchange", "Basic on /v2/"],
)
@pytest.mark.usefixtures("clock")
def test_who_guesses_does_not_learn_who_is_there(
    deployment: Deployment,
    tenant: Tenant,
    robot: tuple[str, str],
    how: Callable[[Caller, str, str], Answer],
    guess: str,
) -> None:
    """A robot, a password's user, a disabled robot, nobody: the same answer for the same calls."""
    disabled, _ = tenant.robot((f"{tenant.dev}/*", "pull"), name="off")
    deployment.desk.change(tenant.admin, disabled, is_disabled=True)
    told: list[Any] = []
    for id_ in (robot[0], "admin", disabled.id, f"nobody-{tenant.suffix}"):
        with operations(deployment) as seen:
            answer = how(Caller(deployment), id_, guess)
        refused(answer, 401, "UNAUTHORIZED")
        told.append((answer, dict(seen)))
    assert all(one == told[0] for one in told)
    assert told[0][1] == {"BatchGetItem": 1, "UpdateItem": 2, "PutItem": 1}


def test_a_lock_says_the_same_of_nobody_as_of_somebody(
    deployment: Deployment, robot: tuple[str, str], tenant: Tenant, clock: Clock
) -> None:
    nobody = f"nobody-{tenant.suffix}"
    for id_ in (robot[0], nobody):
        fail(deployment, id_, CREDENTIAL.free + 1)
    assert Caller(deployment).get(robot[0], GUESS) == Caller(deployment).get(nobody, GUESS)


def test_no_answer_and_no_row_repeats_what_was_guessed(
    deployment: Deployment, robot: tuple[str, str], caller: Caller
) -> None:
    guess = "a guess to be found again"
    answer = caller.get(robot[0], guess)
    assert guess not in repr(answer)
    assert guess not in repr(inventory.take())


def test_a_lock_says_whether_it_is_of_the_id_or_of_the_address(
    deployment: Deployment, caller: Caller, robot: tuple[str, str]
) -> None:
    id_, secret = robot
    fail(deployment, id_, CREDENTIAL.free + 1)
    assert Caller(deployment).get(id_, secret).status == 200
    fail(deployment, id_, CREDENTIAL.free + 1)
    refused(Caller(deployment).get(id_, GUESS), 429, "TOOMANYREQUESTS", "with this id, which is locked")
    for number in range(ADDRESS.free + 1):
        caller.get(f"nobody-{number}-{id_}", GUESS)
    refused(caller.get(f"other-{id_}", GUESS), 429, "TOOMANYREQUESTS", "from this address, which is locked")
