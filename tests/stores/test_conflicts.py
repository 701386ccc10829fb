"""Conflicting transactions and throttling, as AWS answers them and no engine here does."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from chalicelib.aws.transactions import CONFLICT_TRIES, DynamoTransactions, TransactionConflictError
from chalicelib.registry.changes import Change, CountLink, NameRepository, PutTag, RemoveTag
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.endpoints.driver import PASSWORD, Driver
from tests.engines.backends import MOTO, Engines, deployed
from tests.stores.refusing import cancelled, refusing, throttled
from tests.stores.rows import a_digest, a_tag, everything

CONFLICT, FAILED, FINE = "TransactionConflict", "ConditionalCheckFailed", "None"
D = Digest.of(b"d")


@pytest.fixture(scope="module")
def on_moto(engines: Engines) -> Iterator[Deployment]:
    with deployed(MOTO, engines) as deployment:
        yield deployment


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def transactions(on_moto: Deployment, waits: list[float]) -> DynamoTransactions:
    """With a sleep that only writes down how long it was to be."""
    own = on_moto.services.blobs.transactions
    assert isinstance(own, DynamoTransactions)
    return DynamoTransactions(own._connection, on_moto._tables, waits.append)


def a_change(repository: Repository) -> Change:
    return PutTag(repository, a_tag("v1", D), None)


def test_conflict_is_tried_again_until_it_is_written(
    on_moto: Deployment, transactions: DynamoTransactions, repository: Repository, waits: list[float]
) -> None:
    errors = [cancelled(CONFLICT)] * 3
    with refusing(on_moto.dynamodb, "dynamodb", "TransactWriteItems", errors) as left:
        assert transactions.write([a_change(repository)]) == []
        assert not left
    assert len(waits) == 3
    assert on_moto.services.discovery.tags.get(repository, "v1") is not None


def test_waits_between_conflicts_are_random_and_bounded(
    on_moto: Deployment, transactions: DynamoTransactions, repository: Repository, waits: list[float]
) -> None:
    for _ in range(20):
        errors = [cancelled(CONFLICT)] * CONFLICT_TRIES
        with (
            refusing(on_moto.dynamodb, "dynamodb", "TransactWriteItems", errors),
            pytest.raises(TransactionConflictError),
        ):
            transactions.write([a_change(repository)])
    assert len(set(waits)) > CONFLICT_TRIES
    assert max(waits) <= 0.5
    assert min(waits) >= 0


def test_conflict_that_does_not_end_is_given_up_with_nothing_written(
    on_moto: Deployment, transactions: DynamoTransactions, repository: Repository
) -> None:
    errors = [cancelled(CONFLICT)] * (CONFLICT_TRIES + 5)
    with (
        refusing(on_moto.dynamodb, "dynamodb", "TransactWriteItems", errors) as left,
        pytest.raises(TransactionConflictError),
    ):
        transactions.write([a_change(repository)])
    assert len(left) == 5
    assert not any(everything(on_moto, repository).values())


def test_condition_that_fails_beside_a_conflict_is_an_answer(
    on_moto: Deployment, transactions: DynamoTransactions, repository: Repository, waits: list[float]
) -> None:
    """Reasons come in the order that PynamoDB sent: deletes, then puts, then updates."""
    count, put = CountLink(repository, a_digest(), 1), a_change(repository)
    remove = RemoveTag(repository, "v2", D)
    errors = [cancelled(CONFLICT, FINE, FAILED)]
    with refusing(on_moto.dynamodb, "dynamodb", "TransactWriteItems", errors):
        assert transactions.write([put, count, remove]) == [count]
    assert waits == []


@pytest.fixture
def driver(on_moto: Deployment) -> Driver:
    """In a repository of its own, logged in, with an image whose blobs are there."""
    on_moto.administrators.put(PASSWORD)
    driver = Driver(on_moto, f"test/{os.urandom(4).hex()}")
    driver.log_in()
    driver.push_image("before")
    return driver


@pytest.mark.parametrize(
    "code",
    [
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TransactionInProgressException",
    ],
)
@pytest.mark.parametrize("operation", ["BatchGetItem", "TransactWriteItems"])
def test_throttled_push_is_429_and_says_when_to_come_back(driver: Driver, operation: str, code: str) -> None:
    document = driver.image(seed=code)
    with refusing(driver.deployment.dynamodb, "dynamodb", operation, [throttled(code)] * 10):
        answer = driver.put_manifest("v1", document)
    assert (answer.status, answer.codes) == (429, ["TOOMANYREQUESTS"])
    assert int(answer.headers["retry-after"]) >= 1
    assert driver.call("GET", driver.of("manifests/v1")).status == 404
    assert driver.put_manifest("v1", document).status == 201


@pytest.mark.parametrize("reason", ["ThrottlingError", "ProvisionedThroughputExceeded"])
def test_transaction_cancelled_by_throttling_is_429(driver: Driver, reason: str) -> None:
    document = driver.image(seed=reason)
    errors = [cancelled(reason, *[FINE] * 6)]
    with refusing(driver.deployment.dynamodb, "dynamodb", "TransactWriteItems", errors):
        answer = driver.put_manifest("v1", document)
    assert (answer.status, answer.codes) == (429, ["TOOMANYREQUESTS"])
    assert int(answer.headers["retry-after"]) >= 1


def test_conflict_that_does_not_end_is_429(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver.deployment.services.blobs.transactions, "_sleep", lambda _: None)
    document = driver.image(seed="conflict")
    errors = [cancelled(CONFLICT, *[FINE] * 7)] * CONFLICT_TRIES
    with refusing(driver.deployment.dynamodb, "dynamodb", "TransactWriteItems", errors):
        answer = driver.put_manifest("v1", document)
    assert (answer.status, answer.codes) == (429, ["TOOMANYREQUESTS"])
    assert int(answer.headers["retry-after"]) >= 1


def test_transaction_cancelled_for_a_reason_of_ours_is_500(driver: Driver) -> None:
    """A bug of ours must not look as if waiting helped."""
    document = driver.image(seed="invalid")
    errors = [cancelled("ValidationError", *[FINE] * 6)]
    with refusing(driver.deployment.dynamodb, "dynamodb", "TransactWriteItems", errors):
        assert driver.put_manifest("v1", document).status == 500


@pytest.mark.parametrize("code", ["SlowDown", "ThrottlingException"])
def test_throttled_upload_is_429_and_can_be_sent_again(driver: Driver, code: str) -> None:
    blob = os.urandom(100)
    location = driver.open_upload()
    with refusing(driver.deployment._s3, "s3", "PutObject", [throttled(code)] * 10):
        answer = driver.call("PUT", location, {"digest": Digest.of(blob)}, blob)
    assert (answer.status, answer.codes) == (429, ["TOOMANYREQUESTS"])
    assert int(answer.headers["retry-after"]) >= 1
    assert driver.call("HEAD", driver.of(f"blobs/{Digest.of(blob)}")).status == 404
    assert driver.call("PUT", location, {"digest": Digest.of(blob)}, blob).status == 201


def test_naming_is_tried_again_as_anything_else(
    on_moto: Deployment, transactions: DynamoTransactions, repository: Repository
) -> None:
    errors = [cancelled(FINE, CONFLICT)]
    with refusing(on_moto.dynamodb, "dynamodb", "TransactWriteItems", errors) as left:
        assert transactions.write([a_change(repository), NameRepository(repository)]) == []
        assert not left
