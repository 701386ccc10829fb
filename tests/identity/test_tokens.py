"""Registry tokens and refresh tokens: what they are good for, and each way to forge one."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.identity.credentials import Credential, Secret
from chalicelib.identity.grants import Principal, Scope
from chalicelib.identity.tokens import LIFETIME_SECONDS, REFRESH_SECONDS, Tokens, key_id
from tests.identity.memory import Clock

KEY, OLD = b"k" * 32, b"o" * 32
CI = Principal("ci", "acme", (Scope("repository", "dev/app", ("pull", "push")),), frozenset({"pull"}), 7)
SECRET = Secret("sha256$salt$hash")
CREDENTIAL = Credential("ci", "acme", secrets=(SECRET,), generation=7)
SKEW = 5


def at(seconds: float) -> Clock:
    """So many seconds from now: the library that verifies has no clock but the real one."""
    return Clock(time.time() + seconds)


def test_a_token_is_good_for_what_was_granted_and_nothing_else() -> None:
    tokens = Tokens([KEY], "ccr")
    principal = tokens.verify(tokens.issue(CI)[0])
    assert principal == CI
    assert principal.allows("push", "dev/app")
    assert not principal.allows("delete", "dev/app")
    assert not principal.allows("pull", "dev/other")


def test_two_tokens_of_one_moment_differ() -> None:
    tokens = Tokens([KEY], "ccr", Clock())
    assert tokens.issue(CI)[0] != tokens.issue(CI)[0]


def test_keys_rotate_with_overlap() -> None:
    before, during, after = Tokens([OLD], "ccr"), Tokens([KEY, OLD], "ccr"), Tokens([KEY], "ccr")
    old, new = before.issue(CI)[0], during.issue(CI)[0]
    assert jwt.get_unverified_header(new)["kid"] == key_id(KEY)
    assert during.verify(old) == during.verify(new) == after.verify(new) == CI
    assert after.verify(old) is None
    assert before.verify(new) is None
    refresh = before.issue_refresh(CREDENTIAL, SECRET)
    assert during.read_refresh(refresh) == ("ci", 7, SECRET.id)
    assert after.read_refresh(refresh) is None


def test_a_key_id_tells_nothing_of_the_key() -> None:
    assert key_id(KEY) != key_id(OLD)
    assert KEY.hex() not in key_id(KEY)
    assert len(key_id(KEY)) == 16


@pytest.mark.parametrize(
    ("issued", "good"),
    [
        (0, True),
        (-LIFETIME_SECONDS + 60, True),
        (-LIFETIME_SECONDS - 1, False),
        (-10 * LIFETIME_SECONDS, False),
        (SKEW - 3, True),
        (SKEW + 60, False),
    ],
)
def test_a_token_is_good_for_its_time_and_a_small_skew(issued: float, *, good: bool) -> None:
    token, _ = Tokens([KEY], "ccr", at(issued)).issue(CI)
    assert (Tokens([KEY], "ccr").verify(token) is not None) is good


@pytest.mark.parametrize(
    ("issued", "good"),
    [(0, True), (-REFRESH_SECONDS + 60, True), (-REFRESH_SECONDS - 60, False), (600, False)],
)
def test_a_refresh_token_is_good_for_its_time(issued: float, *, good: bool) -> None:
    token = Tokens([KEY], "ccr", at(issued)).issue_refresh(CREDENTIAL, SECRET)
    assert (Tokens([KEY], "ccr").read_refresh(token) is not None) is good


def test_neither_kind_of_token_passes_for_the_other() -> None:
    tokens = Tokens([KEY], "ccr")
    assert tokens.read_refresh(tokens.issue(CI)[0]) is None
    assert tokens.verify(tokens.issue_refresh(CREDENTIAL, SECRET)) is None


def test_a_token_of_another_deployment_is_refused_even_with_its_key() -> None:
    token, refresh = (
        Tokens([KEY], "other").issue(CI)[0],
        Tokens([KEY], "other").issue_refresh(CREDENTIAL, SECRET),
    )
    for tokens in (Tokens([KEY], "ccr"), Tokens([KEY], "other/refresh"), Tokens([KEY], "othe")):
        assert tokens.verify(token) is None
        assert tokens.read_refresh(refresh) is None


def _claims() -> dict[str, Any]:
    return jwt.decode(Tokens([KEY], "ccr").issue(CI)[0], options={"verify_signature": False})


def _signed(claims: dict[str, Any], header: dict[str, Any] | None = None, digest: str = "sha256") -> str:
    """Signed with the right key, whatever the header says."""
    head = {"alg": "HS256", "typ": "JWT", "kid": key_id(KEY), **(header or {})}
    text = f"{_encoded(json.dumps(head))}.{_encoded(json.dumps(claims))}"
    return f"{text}.{_encoded(hmac.digest(KEY, text.encode(), digest))}"


def _encoded(text: str | bytes) -> str:
    raw = text if isinstance(text, bytes) else text.encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_what_the_forgeries_start_from_is_good() -> None:
    assert Tokens([KEY], "ccr").verify(_signed(_claims())) == CI


@pytest.mark.parametrize("name", ["exp", "nbf", "iat", "iss", "aud", "sub", "gen"])
def test_a_token_that_leaves_something_out_is_refused(name: str) -> None:
    claims = _claims()
    del claims[name]
    assert Tokens([KEY], "ccr").verify(_signed(claims)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"aud": ["ccr"]},
        {"aud": ["ccr", "other"]},
        {"aud": "CCR"},
        {"aud": "ccr/refresh"},
        {"iss": "ccr/refresh"},
        {"iss": ["ccr"]},
        {"exp": "soon"},
        {"exp": 0},
        {"exp": -1},
        {"exp": None},
        {"nbf": "later"},
        {"nbf": 10**11},
        {"iat": 10**11},
        {"sub": 5},
    ],
)
def test_a_token_with_an_odd_claim_is_refused(change: dict[str, Any]) -> None:
    assert Tokens([KEY], "ccr").verify(_signed({**_claims(), **change})) is None


@pytest.mark.parametrize(
    ("header", "digest"),
    [
        ({"alg": "none"}, "sha256"),
        ({"alg": "None"}, "sha256"),
        ({"alg": "NONE"}, "sha256"),
        ({"alg": ""}, "sha256"),
        ({"alg": None}, "sha256"),
        ({"alg": ["HS256"]}, "sha256"),
        ({"alg": "hs256"}, "sha256"),
        ({"alg": "HS384"}, "sha384"),
        ({"alg": "HS512"}, "sha512"),
        ({"alg": "RS256"}, "sha256"),
        ({"alg": "ES256"}, "sha256"),
        ({"kid": key_id(OLD)}, "sha256"),
        ({"kid": ""}, "sha256"),
        ({"kid": None}, "sha256"),
        ({"kid": [key_id(KEY)]}, "sha256"),
        ({"kid": "../../dev/null"}, "sha256"),
        ({"crit": ["exp"]}, "sha256"),
        ({"b64": False}, "sha256"),
    ],
)
def test_the_header_is_not_the_tokens_to_choose(header: dict[str, Any], digest: str) -> None:
    token = _signed(_claims(), header, digest)
    assert Tokens([KEY], "ccr").verify(token) is None
    assert Tokens([KEY], "ccr").verify(f"{token.rpartition('.')[0]}.") is None


def test_a_key_in_the_header_is_not_believed() -> None:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = jwt.algorithms.RSAAlgorithm.to_jwk(own.public_key(), as_dict=True)
    headers = {"kid": key_id(KEY), "jwk": key, "x5u": "http://127.0.0.1/", "jku": "http://127.0.0.1/"}
    assert Tokens([KEY], "ccr").verify(jwt.encode(_claims(), own, "RS256", headers=headers)) is None


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda parts: [*parts[:2], ""], id="no signature"),
        pytest.param(lambda parts: parts[:2], id="two parts"),
        pytest.param(lambda parts: [*parts, parts[2]], id="four parts"),
        pytest.param(lambda parts: [parts[0], parts[1][:-2], parts[2]], id="cut claims"),
        pytest.param(lambda parts: [*parts[:2], parts[2][::-1]], id="another signature"),
        pytest.param(lambda parts: ["", *parts[1:]], id="no header"),
        pytest.param(lambda parts: [_encoded("[]"), *parts[1:]], id="a list for a header"),
        pytest.param(lambda parts: [_encoded("[" * 6000), *parts[1:]], id="nested lists"),
        pytest.param(lambda parts: [_encoded('{"kid":' * 6000), *parts[1:]], id="nested objects"),
        pytest.param(lambda parts: [_encoded(b"\xff"), *parts[1:]], id="no text"),
    ],
)
def test_a_token_taken_apart_is_refused(spoil: Callable[[list[str]], list[str]]) -> None:
    tokens = Tokens([KEY], "ccr")
    token = ".".join(spoil(_signed(_claims()).split(".")))
    assert tokens.verify(token) is None
    assert tokens.read_refresh(token) is None


@given(st.text(max_size=200))
@settings(deadline=None)
def test_no_text_is_a_token(text: str) -> None:
    tokens = Tokens([KEY], "ccr")
    assert tokens.verify(text) is None
    assert tokens.read_refresh(text) is None


def test_a_refresh_token_is_of_one_generation() -> None:
    tokens = Tokens([KEY], "ccr")
    later = replace(CREDENTIAL, generation=8)
    assert tokens.read_refresh(tokens.issue_refresh(later, SECRET)) == ("ci", 8, SECRET.id)


@pytest.mark.parametrize("ending", ["credential", "secret"])
def test_no_token_of_either_kind_outlives_the_credential_or_the_secret(ending: str) -> None:
    clock = at(0)
    tokens, end = Tokens([KEY], "ccr", clock), int(clock.now) + 100
    secret = replace(SECRET, expires=end if ending == "secret" else None)
    credential = replace(CREDENTIAL, expires=end if ending == "credential" else None)
    for token in (tokens.issue(CI, end)[0], tokens.issue_refresh(credential, secret)):
        assert jwt.decode(token, options={"verify_signature": False})["exp"] == end
    token, refresh = tokens.issue(CI, end)[0], tokens.issue_refresh(credential, secret)
    assert tokens.verify(token)
    assert tokens.read_refresh(refresh)
    clock.now = end
    assert tokens.verify(token) is None, "not even within the leeway for clocks"
    assert tokens.read_refresh(refresh) is None
