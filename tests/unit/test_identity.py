"""Secrets, tokens, scopes and capabilities."""

from __future__ import annotations

import base64
import json

import jwt
import pytest

from chalicelib.identity.capability import LIFETIME_SECONDS, Capabilities, derive_key
from chalicelib.identity.credentials import Credential, Verifier, administrator, hash_secret
from chalicelib.identity.grants import Grant, Principal, Scope, granted, parse_scopes
from chalicelib.identity.tokens import Tokens

KEY = b"k" * 32
READER = Principal("reader", "account", (Grant("team/*", frozenset({"pull"})),))


class Store:
    """One credential in memory."""

    def __init__(self, credential: Credential) -> None:
        self.credential = credential

    def get(self, id_: str) -> Credential | None:
        return self.credential if id_ == self.credential.id else None

    def put(self, credential: Credential) -> None:
        self.credential = credential


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_secret_is_stored_as_a_salted_hash() -> None:
    first, second = hash_secret("secret"), hash_secret("secret")
    assert first != second
    assert "secret" not in first


def test_only_the_right_secret_of_the_right_credential_verifies() -> None:
    verifier = Verifier(Store(administrator("admin", "account", "right")))
    principal = verifier.verify("admin", "right")
    assert principal is not None
    assert principal.allows("delete", "any/repository")
    assert verifier.verify("admin", "wrong") is None
    assert verifier.verify("nobody", "right") is None
    assert verifier.verify("", "") is None
    assert verifier.verify("admin", "x" * 5000) is None


def test_a_changed_secret_counts_at_once() -> None:
    store = Store(administrator("admin", "account", "old"))
    verifier = Verifier(store)
    assert verifier.verify("admin", "old") is not None
    store.put(administrator("admin", "account", "new"))
    assert verifier.verify("admin", "old") is None
    assert verifier.verify("admin", "new") is not None


def test_an_expired_credential_is_refused() -> None:
    clock = Clock()
    credential = Credential("ci", "account", hash_secret("s"), (), expires=int(clock.now) + 10)
    verifier = Verifier(Store(credential), clock)
    assert verifier.verify("ci", "s") is not None
    clock.now += 10
    assert verifier.verify("ci", "s") is None


def test_a_token_is_good_for_what_was_granted_and_nothing_else() -> None:
    tokens = Tokens(KEY, "ccr")
    token, _ = tokens.issue(READER, [Scope("repository", "team/app", ("pull",))])
    principal = tokens.verify(token)
    assert principal is not None
    assert principal.allows("pull", "team/app")
    assert not principal.allows("push", "team/app")
    assert not principal.allows("pull", "team/other")
    assert not principal.may_list


def test_a_name_in_a_token_is_no_pattern() -> None:
    tokens = Tokens(KEY, "ccr")
    token, _ = tokens.issue(READER, [Scope("repository", "team/*", ("pull",))])
    principal = tokens.verify(token)
    assert principal is not None
    assert not principal.allows("pull", "team/app")


def test_tokens_expire_and_are_not_taken_before_their_time() -> None:
    clock = Clock()
    clock.now = 0.0
    old, _ = Tokens(KEY, "ccr", clock).issue(READER, [])
    clock.now = 9_000_000_000.0
    future, _ = Tokens(KEY, "ccr", clock).issue(READER, [])
    tokens = Tokens(KEY, "ccr")
    assert tokens.verify(old) is None
    assert tokens.verify(future) is None


def test_tokens_of_another_key_or_service_are_refused() -> None:
    token, _ = Tokens(KEY, "ccr").issue(READER, [])
    assert Tokens(b"o" * 32, "ccr").verify(token) is None
    assert Tokens(KEY, "other").verify(token) is None


@pytest.mark.parametrize("algorithm", ["none", "None", "HS512", "RS256"])
def test_the_algorithm_is_not_the_tokens_to_choose(algorithm: str) -> None:
    token, _ = Tokens(KEY, "ccr").issue(READER, [])
    header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()).rstrip(b"=")
    _, claims, signature = token.split(".")
    assert Tokens(KEY, "ccr").verify(f"{header.decode()}.{claims}.{signature}") is None
    assert Tokens(KEY, "ccr").verify(f"{header.decode()}.{claims}.") is None


def test_a_token_without_expiry_is_refused() -> None:
    token = jwt.encode({"iss": "ccr", "aud": "ccr", "sub": "x"}, KEY, "HS256")
    assert Tokens(KEY, "ccr").verify(token) is None


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "é" * 50, "." * 100])
def test_what_is_no_token_is_refused(text: str) -> None:
    assert Tokens(KEY, "ccr").verify(text) is None


def test_scopes_come_in_several_parameters_or_in_one() -> None:
    assert parse_scopes(["repository:a/b:pull,push registry:catalog:*", "repository:c:pull"]) == [
        Scope("repository", "a/b", ("pull", "push")),
        Scope("registry", "catalog", ("*",)),
        Scope("repository", "c", ("pull",)),
    ]


@pytest.mark.parametrize("text", ["", "x", "repository:a", "repository::pull", ":::"])
def test_what_is_no_scope_is_left_out(text: str) -> None:
    assert granted(READER, parse_scopes([text])) == []


def test_granted_is_what_was_asked_and_is_had() -> None:
    asked = parse_scopes(
        ["repository:team/app:pull,push,delete", "repository:other:pull", "registry:catalog:*"]
    )
    assert granted(READER, asked) == [Scope("repository", "team/app", ("pull",))]


def test_every_action_is_what_is_had() -> None:
    assert granted(READER, parse_scopes(["repository:team/app:*"])) == [
        Scope("repository", "team/app", ("pull",))
    ]


def test_a_capability_is_good_for_one_session_until_it_expires() -> None:
    clock = Clock()
    capabilities = Capabilities(KEY, clock)
    capability = capabilities.issue("team/app", "session")
    assert capabilities.verify(capability, "team/app", "session")
    assert not capabilities.verify(capability, "team/other", "session")
    assert not capabilities.verify(capability, "team/app", "other")
    clock.now += LIFETIME_SECONDS
    assert not capabilities.verify(capability, "team/app", "session")


@pytest.mark.parametrize("forged", ["", "-", "ffffffffff-", "zz-zz", "é-é", "ffffffffff-" + "A" * 32])
def test_a_forged_capability_is_refused(forged: str) -> None:
    assert not Capabilities(KEY).verify(forged, "team/app", "session")


def test_an_expiry_cannot_be_moved() -> None:
    capability = Capabilities(KEY).issue("team/app", "session")
    _, mac = capability.split("-", 1)
    assert not Capabilities(KEY).verify(f"ffffffffff-{mac}", "team/app", "session")


def test_keys_of_different_purposes_differ() -> None:
    assert derive_key(KEY, "token") != derive_key(KEY, "capability")
