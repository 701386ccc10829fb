"""Fifty pushes that together exceed the limit, on real engines: what fits is in, and not a byte more."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from chalicelib.aws.transactions import DynamoTransactions
from chalicelib.identity.refusals import RefusedError
from chalicelib.registry.stores import Usage
from chalicelib.registry.uploads import Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.invariants import broken, rows_of
from tests.stores.race import race
from tests.support.limits import limited

PUSHES = 50
SIZE = 1000
FITS = 20
# As long as AWS may hold the rows of a transaction.
HELD_SECONDS = 0.01


def usage(deployment: Deployment, account: str) -> Usage:
    found = deployment.quota.usages.get(account)
    assert found is not None
    return found


def opened(deployment: Deployment, repository: Repository, limit: int) -> None:
    deployment.quota.usages.open(repository.account, limit)


def push(deployment: Deployment, repository: Repository, blob: bytes) -> Digest:
    uploads = deployment.services.uploads
    session = uploads.open(repository, len(blob), Digest.of(blob)).session
    return uploads.close(repository, session, Digest.of(blob), Chunk([blob])).digest


def check_exact(deployment: Deployment, repository: Repository, limit: int | None = None) -> int:
    """What is stored, once the counts, the rows, the objects and the usage agree."""
    assert broken(deployment, [repository], limit) == []
    stored = sum(blob["size"] for blob in rows_of(deployment, repository)["blobs"].values())
    assert usage(deployment, repository.account).bytes == stored
    return int(stored)


@contextmanager
def watched(deployment: Deployment, account: str) -> Iterator[list[Usage]]:
    """The usage over and over, as it is while others push."""
    seen: list[Usage] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            seen.append(usage(deployment, account))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def outcome(result: object) -> str:
    if isinstance(result, RegistryError):
        assert result.code is ErrorCode.DENIED, result
        return "refused"
    assert not isinstance(result, Exception), result
    return "in"


class Conflicts:
    """Transactions on one row at once conflict, as on AWS: the engines here have them wait in turn."""

    def __init__(self, transactions: DynamoTransactions) -> None:
        self.count, self.tries = 0, 0
        self._try, self._lock, self._held = transactions._try, threading.Lock(), set[str]()

    def __call__(self, items: list[Any]) -> list[str | None]:
        rows = [f"{type(one.model).__name__} {sorted(one.model._get_keys().items())}" for one in items]
        with self._lock:
            self.tries += 1
            taken = self._held & set(rows)
            if not taken:
                self._held |= set(rows)
        if taken:
            self.count += 1
            return ["TransactionConflict" if row in taken else None for row in rows]
        # Not while the engine works, which takes as long as the machine is busy.
        time.sleep(HELD_SECONDS)
        with self._lock:
            self._held -= set(rows)
        return self._try(items)


@pytest.fixture(params=[False, True], ids=["as the engine", "with conflicts"])
def conflicts(
    request: pytest.FixtureRequest, on_engines: Deployment, monkeypatch: pytest.MonkeyPatch
) -> Conflicts:
    transactions = on_engines.services.blobs.transactions
    assert isinstance(transactions, DynamoTransactions)
    conflicts = Conflicts(transactions)
    if request.param:
        monkeypatch.setattr(transactions, "_try", conflicts)
    return conflicts


def test_fifty_pushes_fill_an_account_to_the_limit_and_not_above(
    on_engines: Deployment, repository: Repository, conflicts: Conflicts
) -> None:
    limit = FITS * SIZE + SIZE // 2
    opened(on_engines, repository, limit)
    blobs = [os.urandom(SIZE) for _ in range(PUSHES)]
    with watched(on_engines, repository.account) as seen:
        results = [outcome(one) for one in race([partial(push, on_engines, repository, b) for b in blobs])]
    print(f"conflicts: {conflicts.count} in {conflicts.tries} tries")
    assert results.count("in") == FITS
    assert max(one.bytes for one in seen) <= limit
    assert all(one.limit == limit for one in seen)
    assert check_exact(on_engines, repository, limit) == FITS * SIZE


def test_of_pushes_of_all_sizes_what_is_refused_does_not_fit(
    on_engines: Deployment, repository: Repository, conflicts: Conflicts
) -> None:
    limit = 20_000
    opened(on_engines, repository, limit)
    sizes = [100 + 37 * number for number in range(PUSHES)]
    calls = [partial(push, on_engines, repository, os.urandom(size)) for size in sizes]
    results = [outcome(one) for one in race(calls)]
    print(f"conflicts: {conflicts.count} in {conflicts.tries} tries")
    stored = check_exact(on_engines, repository, limit)
    assert stored == sum(size for size, result in zip(sizes, results, strict=True) if result == "in")
    refused = [size for size, result in zip(sizes, results, strict=True) if result == "refused"]
    assert stored <= limit
    assert min(refused) > limit - stored


def test_the_same_blob_from_fifty_is_charged_once(
    on_engines: Deployment, repository: Repository, conflicts: Conflicts
) -> None:
    """There is room for one of it."""
    opened(on_engines, repository, SIZE)
    blob = os.urandom(SIZE)
    results = [outcome(one) for one in race([partial(push, on_engines, repository, blob)] * PUSHES)]
    print(f"conflicts: {conflicts.count} in {conflicts.tries} tries")
    assert set(results) == {"in"}
    assert check_exact(on_engines, repository, SIZE) == SIZE


def test_limits_that_change_beside_pushes_stay_those_of_the_account(
    on_engines: Deployment, repository: Repository
) -> None:
    """Whatever came in between: what is used and what is free add up to the limit in the account's row."""
    tenancy, name = on_engines.tenancy, repository.account
    before = tenancy.create_account(name)
    opened(on_engines, repository, before.limit_bytes)

    def change(limit: int) -> None:
        with contextlib.suppress(RefusedError):
            tenancy.change_account(tenancy.account(name), title="", limit_bytes=limit)

    blobs = [os.urandom(SIZE) for _ in range(8)]
    pushes = [partial(push, on_engines, repository, blob) for blob in blobs]
    race([*pushes, *(partial(change, 10**9 + number) for number in range(8))])
    after = tenancy.account(name)
    assert after.version > before.version
    assert usage(on_engines, name).limit == after.limit_bytes
    assert check_exact(on_engines, repository) == 8 * SIZE


def test_usage_that_nobody_counted_is_counted_once_by_the_first_pushes(
    on_engines: Deployment, repository: Repository
) -> None:
    blobs = [os.urandom(SIZE) for _ in range(8)]
    race([partial(push, on_engines, repository, blob) for blob in blobs])
    assert check_exact(on_engines, repository) == 8 * SIZE


@pytest.mark.parametrize("parts", [1, 2])
def test_a_large_blob_that_is_refused_in_the_end_leaves_no_part(
    on_engines: Deployment, repository: Repository, parts: int
) -> None:
    uploads, half = on_engines.services.uploads, os.urandom(9 * 1024 * 1024)
    opened(on_engines, repository, 10**9)
    session = uploads.open(repository).session
    blob = half * parts
    for _ in range(parts - 1):
        uploads.append(repository, session, Chunk([half], len(half)))
    limited(on_engines.quota.usages, repository.account, len(blob) - 1)
    with pytest.raises(RegistryError) as refused:
        uploads.close(repository, session, Digest.of(blob), Chunk([half], len(half)))
    assert refused.value.details == ({"used": 0, "limit": len(blob) - 1, "needed": len(blob)},)
    assert uploads.sessions.get(session) is None
    assert check_exact(on_engines, repository, len(blob) - 1) == 0
