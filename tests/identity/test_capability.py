"""Capabilities: good for one session of one repository for an hour, whoever holds them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.identity.capability import LIFETIME_SECONDS, Capabilities, derive_key
from chalicelib.identity.grants import Principal
from tests.identity.memory import Clock

KEY, OLD, OTHER = b"k" * 32, b"o" * 32, b"x" * 32
CI = Principal("ci", "acme", generation=7)


def test_a_capability_says_whose_it_is() -> None:
    capabilities = Capabilities([KEY], Clock())
    bearer = capabilities.verify(capabilities.issue(CI, "dev/app", "session"), "dev/app", "session")
    assert bearer == CI
    assert not bearer.allows("push", "dev/app")


def test_a_capability_is_good_for_one_session_of_one_repository_until_it_expires() -> None:
    clock = Clock()
    capabilities = Capabilities([KEY], clock)
    capability = capabilities.issue(CI, "dev/app", "session")
    for repository, session in (
        ("dev/other", "session"),
        ("dev/app", "other"),
        ("dev/app\0session", ""),
        ("dev", "app\0session"),
        ("", ""),
    ):
        assert capabilities.verify(capability, repository, session) is None
    clock.now += LIFETIME_SECONDS - 1
    assert capabilities.verify(capability, "dev/app", "session") is not None
    clock.now += 1
    assert capabilities.verify(capability, "dev/app", "session") is None


def test_a_capability_ends_with_its_credential_however_often_it_is_renewed() -> None:
    clock = Clock()
    capabilities = Capabilities([KEY], clock)
    ends = int(clock.now) + LIFETIME_SECONDS + 60
    first = capabilities.issue(replace(CI, expires=ends), "dev/app", "session")
    clock.now += LIFETIME_SECONDS - 1
    bearer = capabilities.verify(first, "dev/app", "session")
    assert bearer == replace(CI, expires=ends)
    second = capabilities.issue(bearer, "dev/app", "session")
    clock.now = ends - 1
    assert capabilities.verify(second, "dev/app", "session") == bearer
    clock.now = ends
    assert capabilities.verify(second, "dev/app", "session") is None


def test_keys_rotate_with_overlap() -> None:
    before, during = Capabilities([OLD], Clock()), Capabilities([KEY, OLD], Clock())
    after = Capabilities([KEY], Clock())
    old, new = (one.issue(CI, "dev/app", "session") for one in (before, during))
    assert during.verify(old, "dev/app", "session") == CI
    assert after.verify(new, "dev/app", "session") == CI
    assert after.verify(old, "dev/app", "session") is None
    assert before.verify(new, "dev/app", "session") is None


def _bearer(change: Callable[[list[object]], object]) -> Callable[[str], str]:
    def forge(capability: str) -> str:
        text, _, mac = capability.partition(".")
        told = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        changed = json.dumps(change(told)).encode()
        return f"{base64.urlsafe_b64encode(changed).decode().rstrip('=')}.{mac}"

    return forge


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(_bearer(lambda told: [*told[:3], 10**12]), id="prolonged"),
        pytest.param(_bearer(lambda told: ["other", *told[1:]]), id="another account"),
        pytest.param(_bearer(lambda told: [told[0], "admin", *told[2:]]), id="another credential"),
        pytest.param(_bearer(lambda told: [*told[:2], 10**9, told[3]]), id="another generation"),
        pytest.param(lambda _: "", id="empty"),
        pytest.param(lambda _: ".", id="a dot"),
        pytest.param(lambda one: one.partition(".")[0], id="no signature"),
        pytest.param(lambda one: "." + one.partition(".")[2], id="no bearer"),
        pytest.param(lambda one: one[:-1], id="cut"),
        pytest.param(lambda one: one + "A", id="longer"),
        pytest.param(lambda one: one.swapcase(), id="case"),
        pytest.param(lambda _: "é.é", id="not ascii"),
        pytest.param(lambda one: one[:-1] + "\ud800", id="a lone surrogate in the signature"),
        pytest.param(lambda one: "\ud800" + one[1:], id="a lone surrogate in the bearer"),
        pytest.param(lambda _: "[" * 5000 + ".x", id="nested"),
    ],
)
def test_a_forged_capability_is_refused(forge: Callable[[str], str]) -> None:
    capabilities = Capabilities([KEY], Clock())
    capability = capabilities.issue(CI, "dev/app", "session")
    assert capabilities.verify(forge(capability), "dev/app", "session") is None


@given(st.text(max_size=80))
@settings(deadline=None)
def test_no_text_is_a_capability(text: str) -> None:
    assert Capabilities([KEY], Clock()).verify(text, "dev/app", "session") is None


def test_keys_of_different_purposes_and_secrets_differ() -> None:
    derived = {derive_key(secret, purpose) for secret in (KEY, OTHER) for purpose in ("token", "capability")}
    assert len(derived) == 4
    assert not derived & {KEY, OTHER}
