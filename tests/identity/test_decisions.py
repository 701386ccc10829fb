"""The numbers that the decisions on access and secrets name are those of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from chalicelib.identity import (
    attempts,
    credentials,
    revocations,
    secret,
    sign_in,
    tenancy,
    tokens,
)

DECISIONS = Path(__file__).parents[2] / "docs" / "adr"
DAY = 24 * 3600


@pytest.mark.parametrize(
    ("decision", "says"),
    [
        ("0010-access", f"reads at most every {revocations.FRESH_SECONDS} seconds"),
        ("0010-access", f"stays reserved for its account for {tenancy.RESERVED_SECONDS // DAY} days"),
        ("0010-access", f"A token lives for {tokens.LIFETIME_SECONDS // 60} minutes"),
        ("0010-access", f"a refresh token for {tokens.REFRESH_SECONDS // DAY} days"),
        ("0011-secrets", f"After {attempts.CREDENTIAL.free} and {attempts.ADDRESS.free} of them"),
        ("0011-secrets", f"to one minute and to {attempts.ADDRESS.longest // 60} at the most"),
        ("0011-secrets", f"Two run at a time and {secret.WAITING} wait"),
        ("0011-secrets", f"the /{attempts.IPV6_PREFIX} of an IPv6 one"),
        ("0011-secrets", f"up to {sign_in.RECORDED_A_MINUTE} a minute in a process"),
    ],
)
def test_a_decision_says_the_number_of_the_code(decision: str, says: str) -> None:
    text = " ".join((DECISIONS / f"{decision}.md").read_text().split())
    assert says in text


def test_what_the_decisions_put_in_words_is_so() -> None:
    assert attempts.CREDENTIAL.longest == 60, "one minute"
    assert credentials.OVERLAP_LIMIT_SECONDS == 7 * DAY, "up to a week"
    assert revocations.FRESH_SECONDS < 60, "within a minute"
