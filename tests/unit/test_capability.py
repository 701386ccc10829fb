"""Capabilities against whatever a client may put into a path."""

from __future__ import annotations

import base64

from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.identity.capability import LIFETIME_SECONDS, Capabilities

KEY = b"k" * 32
NOW = 1_800_000_000
CAPABILITIES = Capabilities(KEY, lambda: NOW)


@given(st.text(max_size=200))
def test_no_text_is_a_capability(text: str) -> None:
    assert not CAPABILITIES.verify(text, "dev/app", "session")


@given(st.integers(0, 39), st.characters())
@example(0, "\ud800")
@example(9, "\ud800")
def test_no_character_of_a_capability_can_be_another(place: int, other: str) -> None:
    capability = CAPABILITIES.issue("dev/app", "session")
    changed = capability[:place] + other + capability[place + 1 :]
    assert CAPABILITIES.verify(changed, "dev/app", "session") == (changed == capability)


def test_a_repository_and_a_session_cannot_be_cut_elsewhere() -> None:
    """`ab` and `c` together are no `a` and `bc`."""
    assert not CAPABILITIES.verify(CAPABILITIES.issue("ab", "c"), "a", "bc")


def test_a_capability_lasts_for_its_time_and_not_a_second_more() -> None:
    capability = CAPABILITIES.issue("dev/app", "session")
    last = Capabilities(KEY, lambda: NOW + LIFETIME_SECONDS - 1)
    over = Capabilities(KEY, lambda: NOW + LIFETIME_SECONDS)
    assert last.verify(capability, "dev/app", "session")
    assert not over.verify(capability, "dev/app", "session")


def test_a_capability_can_stand_in_a_path_as_it_is() -> None:
    for number in range(200):
        capability = CAPABILITIES.issue("dev/app", str(number))
        assert set(capability) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def test_the_mac_has_192_bits() -> None:
    mac = CAPABILITIES.issue("dev/app", "session").partition("-")[2]
    assert len(base64.urlsafe_b64decode(mac)) == 24
