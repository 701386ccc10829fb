"""What is counted, against the rows and the bucket: drift is told and repaired, beside pushes too."""

from __future__ import annotations

import os
import threading
from functools import partial

import pytest

from chalicelib.registry.changes import Charge
from chalicelib.registry.reconcile import Drift, Reconciliation
from chalicelib.registry.uploads import Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.race import race
from tests.stores.rows import write

LIMIT = 10**6


def reconciliation(deployment: Deployment, limit: int = LIMIT) -> Reconciliation:
    transactions = deployment.services.blobs.transactions
    return Reconciliation(deployment.quota, deployment._stored, transactions, lambda _: limit)


def push(deployment: Deployment, repository: Repository, size: int) -> bytes:
    uploads, blob = deployment.services.uploads, os.urandom(size)
    session = uploads.open(repository).session
    uploads.close(repository, session, Digest.of(blob), Chunk([blob]))
    return blob


@pytest.fixture
def account(deployment: Deployment, repository: Repository) -> str:
    """With two blobs of 1000 bytes together."""
    deployment.quota.usages.open(repository.account, LIMIT)
    for size in (400, 600):
        push(deployment, repository, size)
    return repository.account


def counted(deployment: Deployment, account: str) -> tuple[int, int]:
    usage = deployment.quota.usages.get(account)
    assert usage is not None
    return usage.bytes, usage.limit


def test_what_is_right_is_left_alone(deployment: Deployment, account: str) -> None:
    before = deployment.quota.usages.get(account)
    drift = reconciliation(deployment).run(account)
    assert (drift.drift, drift.is_repaired, drift.blobs, drift.objects) == (0, False, 2, 2)
    assert (drift.object_bytes, drift.unnamed, drift.missing) == (1000, 0, [])
    assert deployment.quota.usages.get(account) == before


@pytest.mark.parametrize("wrong", [50, -300])
def test_drift_is_told_and_repaired(deployment: Deployment, account: str, wrong: int) -> None:
    write(deployment, Charge(account, wrong))
    drift = reconciliation(deployment).run(account)
    assert (drift.counted, drift.stored, drift.drift, drift.is_repaired) == (1000 + wrong, 1000, wrong, True)
    assert counted(deployment, account) == (1000, LIMIT)
    assert reconciliation(deployment).run(account).drift == 0


def test_a_limit_that_fell_is_enforced_and_the_level_settled(deployment: Deployment, account: str) -> None:
    drift = reconciliation(deployment, limit=1100).run(account)
    assert (drift.drift, drift.limit, drift.is_repaired) == (0, 1100, True)
    assert counted(deployment, account) == (1000, 1100)
    usage = deployment.quota.usages.get(account)
    assert usage is not None
    assert usage.level == 90
    reconciliation(deployment).run(account)
    usage = deployment.quota.usages.get(account)
    assert usage is not None
    assert usage.level == 0


def test_objects_that_no_row_names_and_rows_without_an_object_are_told(
    deployment: Deployment, repository: Repository, account: str
) -> None:
    blob = push(deployment, repository, 77)
    link = deployment.services.blobs.links.blob(account, Digest.of(blob))
    assert link is not None
    deployment.services.blobs.objects.delete(link.storage_key)
    key = f"blobs/{account}/{repository.registry}/nobody/knows"
    deployment.services.blobs.objects.put(key, b"left")
    drift = reconciliation(deployment).run(account)
    assert (drift.missing_count, drift.missing) == (1, [link.storage_key])
    assert (drift.unnamed, drift.unnamed_bytes) == (1, 4)


def test_a_charge_during_the_sum_is_never_lost(
    deployment: Deployment, repository: Repository, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that is given back at once: the bytes are the same then, and the sum is not."""
    write(deployment, Charge(account, 5))
    stored, left = deployment._stored.counted, [1, 1, 1]

    def counted_beside(name: str) -> tuple[int, int]:
        if not left:
            return stored(name)
        left.pop()
        write(deployment, Charge(name, 9))
        found = stored(name)
        write(deployment, Charge(name, -9))
        return found[0], found[1] + 9

    monkeypatch.setattr(deployment._stored, "counted", counted_beside)
    drift = reconciliation(deployment).run(account)
    assert (drift.counted, drift.stored, drift.is_repaired) == (1005, 1000, True)
    assert counted(deployment, account) == (1000, LIMIT)


def test_an_account_that_is_never_quiet_is_left_as_it_is(
    deployment: Deployment, repository: Repository, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(deployment, Charge(account, 5))
    stored = deployment._stored.counted

    def counted_beside(name: str) -> tuple[int, int]:
        push(deployment, repository, 16)
        return stored(name)

    monkeypatch.setattr(deployment._stored, "counted", counted_beside)
    drift = reconciliation(deployment).run(account)
    assert (drift.stored, drift.drift, drift.is_repaired) == (None, None, False)
    used, _ = counted(deployment, account)
    assert used == stored(account)[1] + 5


def test_usage_is_exact_after_repairs_beside_pushes(on_engines: Deployment, repository: Repository) -> None:
    account = repository.account
    on_engines.quota.usages.open(account, LIMIT)
    write(on_engines, Charge(account, 500))
    over = threading.Event()

    def repair() -> None:
        while not over.is_set():
            reconciliation(on_engines).run(account, is_bucket_listed=False)

    repairing = [threading.Thread(target=repair) for _ in range(2)]
    for one in repairing:
        one.start()
    try:
        race([partial(push, on_engines, repository, 100 + number) for number in range(12)])
    finally:
        over.set()
        for one in repairing:
            one.join()
    reconciliation(on_engines).run(account)
    assert counted(on_engines, account) == (sum(100 + number for number in range(12)), LIMIT)


def test_an_account_that_fails_keeps_no_other_from_being_reconciled(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = sorted(f"account-{os.urandom(4).hex()}" for _ in range(3))
    for one in accounts:
        deployment.tenancy.create_account(one)
    reconcile = Deployment.reconcile

    def failing(self: Deployment, account: str) -> Drift:
        if account == accounts[1]:
            raise TimeoutError
        return reconcile(self, account)

    monkeypatch.setattr(Deployment, "reconcile", failing)
    made = {drift.account for drift in deployment.reconcile_all()}
    assert made.intersection(accounts) == {accounts[0], accounts[2]}
