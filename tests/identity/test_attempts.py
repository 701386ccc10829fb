"""How long a failure makes the next one wait."""

from __future__ import annotations

import pytest

from chalicelib.identity.attempts import (
    ADDRESS,
    CREDENTIAL,
    Attempts,
    Limit,
    after_failure,
    origin,
    wait_seconds,
)


def waits(limit: Limit, failures: int) -> list[int]:
    """The wait after each failure, each tried the moment it may be."""
    found, now, attempts = [], 1000, None
    for _ in range(failures):
        attempts = after_failure(attempts, limit, now)
        found.append(wait_seconds(attempts, now))
        now += found[-1]
    return found


def test_a_credential_is_slowed_after_ten_failures_and_locked_for_a_minute_at_most() -> None:
    assert waits(CREDENTIAL, 18) == [0] * 10 + [2, 4, 8, 16, 32, 60, 60, 60]


def test_an_address_is_slowed_after_twenty_failures_and_locked_for_a_quarter_hour_at_most() -> None:
    assert waits(ADDRESS, 32) == [0] * 20 + [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]


def test_no_number_of_failures_makes_the_wait_longer_or_slow_to_count() -> None:
    attempts = after_failure(Attempts(10**9, 0), ADDRESS, 1000)
    assert attempts == Attempts(10**9 + 1, 1900)


@pytest.mark.parametrize(
    ("now", "wait"), [(990, 10), (999, 1), (999.9, 1), (1000, 0), (1000.1, 0), (5000, 0)]
)
def test_the_wait_ends_when_it_says(now: float, wait: int) -> None:
    assert wait_seconds(Attempts(11, 1000), now) == wait


def test_who_never_failed_waits_for_nothing() -> None:
    assert wait_seconds(None, 1000) == 0
    assert wait_seconds(Attempts(), 1000) == 0


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::FFFF:CB00:7107", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_who_has_one_address_of_a_network_is_counted_for_all_of_it(address: str, counted_as: str) -> None:
    assert origin(address) == counted_as
