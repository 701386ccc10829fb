"""What was taken away is read now and then, by one at a time, and counts by generation."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.identity.revocations import FRESH_SECONDS, Revocations
from tests.identity.memory import Clock, Credentials


def test_older_generations_of_a_revoked_credential_fall() -> None:
    revocations = Revocations(Credentials(revocations={"ci": 5}), Clock())
    assert [revocations.stand("ci", generation) for generation in (0, 4, 5, 6)] == [False, False, True, True]
    assert revocations.stand("other", 0)


def test_it_is_looked_up_once_in_its_time_and_counts_after_it() -> None:
    clock, store = Clock(), Credentials()
    revocations = Revocations(store, clock)
    for _ in range(100):
        assert revocations.stand("ci", 1)
    store.revocations["ci"] = 2
    clock.now += FRESH_SECONDS
    assert revocations.stand("ci", 1)
    assert store.calls == ["revoked"]
    clock.now += 0.001
    assert not revocations.stand("ci", 1)
    assert store.calls == ["revoked"] * 2


def test_each_process_sees_it_in_that_time() -> None:
    clock, store = Clock(), Credentials()
    processes = [Revocations(store, clock) for _ in range(3)]
    for number, one in enumerate(processes):
        clock.now += number
        assert one.stand("ci", 1)
    store.revocations["ci"] = 2
    clock.now += FRESH_SECONDS + 0.001
    assert [one.stand("ci", 1) for one in processes] == [False] * 3


def test_the_time_counts_from_before_the_read() -> None:
    class Slow(Credentials):
        def revoked(self) -> Mapping[str, int]:
            found = super().revoked()
            clock.now += FRESH_SECONDS
            return found

    clock, store = Clock(), Slow()
    revocations = Revocations(store, clock)
    assert revocations.stand("ci", 1)
    store.revocations["ci"] = 2
    clock.now += 1
    assert not revocations.stand("ci", 1)


def test_a_clock_that_goes_back_does_not_put_it_off() -> None:
    clock, store = Clock(), Credentials()
    revocations = Revocations(store, clock)
    assert revocations.stand("ci", 1)
    store.revocations["ci"] = 2
    clock.now -= 3600
    assert not revocations.stand("ci", 1)


def test_a_revoked_credential_stops_within_a_minute() -> None:
    assert FRESH_SECONDS < 60


def test_one_reader_at_a_time_goes_and_the_others_wait_for_it() -> None:
    class Slow(Credentials):
        def revoked(self) -> Mapping[str, int]:
            asked.set()
            assert go_on.wait(30)
            return super().revoked()

    asked, go_on = threading.Event(), threading.Event()
    store = Slow(revocations={"ci": 2})
    revocations = Revocations(store, Clock())
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(revocations.stand, "ci", 1) for _ in range(8)]
        assert asked.wait(30)
        go_on.set()
        assert [answer.result(30) for answer in answers] == [False] * 8
    assert store.calls == ["revoked"]


def test_nothing_is_believed_where_the_store_does_not_answer() -> None:
    class Broken(Credentials):
        def revoked(self) -> Mapping[str, int]:
            raise ConnectionError

    revocations = Revocations(Broken(), Clock())
    for _ in range(2):
        with pytest.raises(ConnectionError):
            revocations.stand("ci", 1)
