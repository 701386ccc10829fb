"""ID tokens of a real issuer on this machine, against a trust: each way to be somebody else."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chalicelib.identity import oidc as module
from chalicelib.identity.credentials import Trust
from chalicelib.identity.oidc import (
    AGAIN_SECONDS,
    ISSUERS,
    KEYS,
    KEYS_SECONDS,
    LONGEST_SECONDS,
    RETRY_SECONDS,
    SKEW_SECONDS,
    IdTokenVerifier,
)
from chalicelib.openid.issuer_keys import IssuerKeys
from tests.identity.issuer import (
    AUDIENCE,
    DISCOVERY,
    JWKS,
    Issuer,
    SigningKey,
    ec_key,
    ed_key,
    rsa_key,
    running_issuer,
    send,
)
from tests.identity.memory import Clock

RSA, EC, ED = rsa_key(), ec_key(), ed_key()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer(RSA, EC, ED) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier(clock: Clock) -> IdTokenVerifier:
    return IdTokenVerifier(IssuerKeys(loopback=True), clock)


def trust(issuer: Issuer, subject: str = "someone", **claims: str) -> Trust:
    return Trust(issuer.url, AUDIENCE, subject, claims)


def claims_of(verifier: IdTokenVerifier, token: str, trusted: Trust) -> Mapping[str, object] | None:
    """None for whatever is not trusted, which then has a reason."""
    verdict = verifier.verify(token, trusted)
    assert bool(verdict.reason) is (verdict.claims is None)
    return verdict.claims


# Whose tokens they are


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=lambda key: key.algorithm)
def test_a_token_of_the_issuer_is_taken_for_what_it_says(
    issuer: Issuer, verifier: IdTokenVerifier, key: SigningKey
) -> None:
    claims = claims_of(verifier, issuer.token(key, color="blue"), trust(issuer))
    assert claims is not None
    assert (claims["sub"], claims["color"]) == ("someone", "blue")


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_a_key_without_an_algorithm_takes_each_of_its_kind(
    issuer: Issuer, verifier: IdTokenVerifier, algorithm: str
) -> None:
    key = SigningKey("bare", RSA.private, algorithm)
    issuer.extra_keys = [{name: value for name, value in key.public().items() if name != "alg"}]
    assert claims_of(verifier, issuer.token(key), trust(issuer)) is not None


def test_a_key_with_an_algorithm_takes_no_other(issuer: Issuer, verifier: IdTokenVerifier) -> None:
    other = SigningKey(RSA.id, RSA.private, "PS256")
    assert claims_of(verifier, issuer.token(other), trust(issuer)) is None


GITHUB = {
    "sub": "repo:acme/shop:ref:refs/heads/main",
    "repository": "acme/shop",
    "repository_id": "123456",
    "ref": "refs/heads/main",
    "ref_protected": "true",
    "run_attempt": "1",
    "environment": "production",
}
GITLAB = {
    "sub": "project_path:acme/shop:ref_type:branch:ref:main",
    "namespace_path": "acme",
    "project_path": "acme/shop",
    "ref_type": "branch",
    "ref_protected": "true",
    "user_identities": [{"provider": "github", "extern_uid": "1"}],
}
KUBERNETES = {
    "sub": "system:serviceaccount:prod:deployer",
    "aud": [AUDIENCE, "https://kubernetes.default.svc"],
    "kubernetes.io": {
        "namespace": "prod",
        "serviceaccount": {"name": "deployer", "uid": "7e0d"},
        "pod": {"name": "deployer-0", "uid": "11"},
    },
}


@pytest.mark.parametrize(
    ("told", "subject", "claims", "good"),
    [
        (GITHUB, "repo:acme/shop:ref:refs/heads/main", {}, True),
        (GITHUB, "repo:acme/shop:*", {"environment": "production", "ref": "refs/heads/*"}, True),
        (GITHUB, "repo:acme/*:ref:refs/heads/main", {"ref_protected": "true"}, True),
        (GITHUB, "repo:acme/shop:*", {"environment": "staging"}, False),
        (GITHUB, "repo:acme/sho:*", {}, False),
        (GITHUB, "repo:acme/shop", {}, False),
        (GITHUB, "repo:ACME/shop:*", {}, False),
        (GITHUB, "repo:*/shop:pull_request", {}, False),
        (GITHUB, "repo:acme/shop:*", {"sub": "*"}, True),
        (GITHUB, "repo:evil/shop:*", {"sub": "*"}, False),
        (GITLAB, "project_path:acme/*:ref_type:branch:ref:main", {"ref_protected": "true"}, True),
        (GITLAB, "project_path:acme/*:ref_type:tag:ref:*", {}, False),
        (GITLAB, "project_path:acme/shop:*", {"user_identities": "*"}, False),
        (KUBERNETES, "system:serviceaccount:prod:deployer", {}, True),
        (KUBERNETES, "system:serviceaccount:prod:*", {}, True),
        (KUBERNETES, "system:serviceaccount:staging:*", {}, False),
        (KUBERNETES, "system:serviceaccount:prod:*", {"kubernetes.io": "*"}, False),
        (KUBERNETES, "system:serviceaccount:prod:*", {"kubernetes.io.namespace": "prod"}, False),
    ],
)
def test_claims_as_real_issuers_make_them(
    issuer: Issuer,
    verifier: IdTokenVerifier,
    told: dict[str, Any],
    subject: str,
    claims: dict[str, str],
    *,
    good: bool,
) -> None:
    assert (claims_of(verifier, issuer.token(**told), trust(issuer, subject, **claims)) is not None) is good


@pytest.mark.parametrize(
    ("value", "pattern", "good"),
    [
        ("blue", "blue", True),
        ("blue", "BLUE", False),
        ("blue", "blu?", False),
        ("blue", "b[l]ue", False),
        ("blue", "[!x]lue", False),
        ("blu?", "blu?", True),
        ("b[l]ue", "b[l]ue", True),
        ("b[l]ue", "b[*]ue", True),
        ("[", "[", True),
        ("]", "]", True),
        ("b*ue", "b*ue", True),
        ("blue", "*", True),
        ("", "*", True),
        ("", "", True),
        ("blue\nred", "blue*", True),
        ("blue\n", "blue", False),
        ("bluered", "blue", False),
        ("a/b/c", "a/*", True),
        (True, "true", True),
        (True, "True", False),
        (True, "1", False),
        (True, "t*", True),
        (False, "false", True),
        (False, "", False),
        (1, "1", False),
        (1, "*", False),
        (1.5, "*", False),
        (["blue"], "blue", False),
        (["blue"], "*", False),
        ({"blue": True}, "*", False),
        (None, "*", False),
        (None, "", False),
        ("a" * 4000, "*a" * 250, True),
        ("a" * 4000, "*a" * 250 + "b", False),
    ],
)
def test_a_pattern_takes_texts_and_truth_and_only_a_star_is_special(
    issuer: Issuer, verifier: IdTokenVerifier, value: object, pattern: str, *, good: bool
) -> None:
    """None is a claim that is not there."""
    token = issuer.token(color=value)
    assert (claims_of(verifier, token, trust(issuer, color=pattern)) is not None) is good


def test_every_claim_of_the_trust_must_hold(issuer: Issuer, verifier: IdTokenVerifier) -> None:
    token = issuer.token(color="blue", size="big")
    assert claims_of(verifier, token, trust(issuer, color="blue", size="big")) is not None
    assert claims_of(verifier, token, trust(issuer, color="blue", size="small")) is None
    assert claims_of(verifier, token, trust(issuer, color="blue", shape="*")) is None


@dataclass(frozen=True)
class In:
    """So many seconds from when the test runs."""

    seconds: float
    form: str = "number"

    def value(self) -> object:
        at = int(time.time() + self.seconds)
        return str(at) if self.form == "text" else at


@pytest.mark.parametrize(
    ("change", "good"),
    [
        pytest.param({"iss": "https://evil.example"}, False, id="another issuer"),
        pytest.param({"iss": None}, False, id="no issuer"),
        pytest.param({"iss": ["x"]}, False, id="issuer a list"),
        pytest.param({"aud": "other"}, False, id="another audience"),
        pytest.param({"aud": ["other", AUDIENCE]}, True, id="several audiences"),
        pytest.param({"aud": ["other", AUDIENCE], "azp": AUDIENCE}, True, id="several, made for this one"),
        pytest.param({"aud": ["other", AUDIENCE], "azp": "other"}, False, id="several, made for another"),
        pytest.param({"aud": ["other", AUDIENCE], "azp": None}, True, id="several, made for nobody named"),
        pytest.param({"aud": ["other", AUDIENCE], "azp": [AUDIENCE]}, False, id="several, made for a list"),
        pytest.param({"aud": AUDIENCE, "azp": "a client"}, True, id="one, asked for by a client"),
        pytest.param({"aud": [AUDIENCE], "azp": "a client"}, True, id="one in a list, asked for by a client"),
        pytest.param({"aud": []}, False, id="no audience in a list"),
        pytest.param({"aud": None}, False, id="no audience"),
        pytest.param({"aud": {AUDIENCE: 1}}, False, id="audience an object"),
        pytest.param({"aud": [AUDIENCE, 5]}, False, id="audience of numbers"),
        pytest.param({"sub": "someone else"}, False, id="another subject"),
        pytest.param({"sub": None}, False, id="no subject"),
        pytest.param({"sub": ["someone"]}, False, id="subject a list"),
        pytest.param({"sub": True}, False, id="subject true"),
        pytest.param({"iat": None}, False, id="no time"),
        pytest.param({"iat": In(-30), "exp": In(-SKEW_SECONDS + 20)}, True, id="expired within the skew"),
        pytest.param({"exp": In(-SKEW_SECONDS - 20)}, False, id="expired beyond the skew"),
        pytest.param({"exp": None}, False, id="no expiry"),
        pytest.param({"exp": "never"}, False, id="an expiry that is none"),
        pytest.param({"exp": In(300, "text")}, False, id="an expiry in quotes"),
        pytest.param({"exp": float("inf")}, False, id="an endless expiry"),
        pytest.param({"exp": float("nan")}, False, id="an expiry that is no number"),
        pytest.param({"exp": [1]}, False, id="an expiry in a list"),
        pytest.param({"exp": True}, False, id="an expiry that is true"),
        pytest.param({"exp": 10**30}, False, id="an expiry beyond time"),
        pytest.param({"exp": In(LONGEST_SECONDS + 60)}, False, id="longer than a day"),
        pytest.param({"iat": In(0, "text")}, False, id="a time in quotes"),
        pytest.param({"iat": float("-inf")}, False, id="before time"),
        pytest.param({"nbf": In(SKEW_SECONDS - 20)}, True, id="future within the skew"),
        pytest.param({"nbf": In(SKEW_SECONDS + 60)}, False, id="future beyond the skew"),
        pytest.param({"iat": In(SKEW_SECONDS + 60)}, False, id="made in the future"),
        pytest.param({"nbf": "later"}, False, id="a start that is none"),
    ],
)
def test_a_token_with_a_wrong_or_odd_claim(
    issuer: Issuer, verifier: IdTokenVerifier, change: dict[str, Any], *, good: bool
) -> None:
    told = {name: value.value() if isinstance(value, In) else value for name, value in change.items()}
    assert (claims_of(verifier, issuer.token(**told), trust(issuer)) is not None) is good


# Forgeries


def _encoded(text: str | bytes) -> str:
    raw = text if isinstance(text, bytes) else text.encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _forged(issuer: Issuer, header: dict[str, Any], secret: bytes = b"", digest: str = "sha256") -> str:
    text = f"{_encoded(json.dumps(header))}.{_encoded(json.dumps(issuer.claims()))}"
    return f"{text}.{_encoded(hmac.digest(secret, text.encode(), digest)) if secret else ''}"


def test_the_issuers_public_key_is_no_secret(issuer: Issuer, verifier: IdTokenVerifier) -> None:
    """HS256 with what everybody may know, in each form that a library might take for the key."""
    public = RSA.private.public_key()
    forms = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        json.dumps(RSA.public()).encode(),
    ]
    for secret in forms:
        for algorithm, digest in (("HS256", "sha256"), ("HS512", "sha512")):
            token = _forged(issuer, {"alg": algorithm, "kid": RSA.id}, secret, digest)
            assert claims_of(verifier, token, trust(issuer)) is None


def test_a_symmetric_key_in_the_key_set_signs_nothing(issuer: Issuer, verifier: IdTokenVerifier) -> None:
    secret = b"s" * 64
    for alg in ({}, {"alg": "HS256"}, {"alg": "RS256"}):
        issuer.extra_keys = [{"kty": "oct", "kid": "oct", "k": _encoded(secret), **alg}]
        verifier._issuers.clear()
        for claimed in ("HS256", "RS256", "ES256"):
            assert (
                claims_of(verifier, _forged(issuer, {"alg": claimed, "kid": "oct"}, secret), trust(issuer))
                is None
            )


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": ""},
        {"alg": None},
        {},
        {"alg": ["RS256"]},
        {"alg": "RS256"},
        {"alg": "ES256"},
        {"alg": "RS256", "kid": None},
        {"alg": "RS256", "kid": 5},
        {"alg": "RS256", "kid": ["rsa"]},
        {"alg": "RS256", "kid": "no such key"},
        {"alg": "RS256", "crit": ["exp"]},
    ],
)
def test_a_token_without_the_issuers_signature_is_refused(
    issuer: Issuer, verifier: IdTokenVerifier, header: dict[str, Any]
) -> None:
    for kid in ({}, {"kid": RSA.id}):
        assert claims_of(verifier, _forged(issuer, {**kid, **header}), trust(issuer)) is None
        assert claims_of(verifier, _forged(issuer, {**kid, **header}, b"x" * 32), trust(issuer)) is None


def test_a_key_of_the_tokens_own_is_not_believed(issuer: Issuer, verifier: IdTokenVerifier) -> None:
    own = rsa_key(RSA.id)
    with running_issuer(own) as evil:
        headers = {"kid": RSA.id, "jwk": own.public(), "jku": evil.url + JWKS, "x5u": evil.url + JWKS}
        assert claims_of(verifier, issuer.token(own, header=headers), trust(issuer)) is None
        assert evil.asked == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "a.b.c",
        "..",
        "\u00e9" * 20,
        _encoded("[" * 6000) + ".e30.x",
        _encoded('{"kid":' * 6000) + ".e30.x",
    ],
)
def test_what_is_no_token_is_refused_without_a_fetch(
    issuer: Issuer, verifier: IdTokenVerifier, text: str
) -> None:
    assert claims_of(verifier, text, trust(issuer)) is None
    assert issuer.asked == []


def test_two_issuers_with_the_same_key_id_stay_apart(issuer: Issuer, verifier: IdTokenVerifier) -> None:
    theirs = rsa_key(RSA.id)
    with running_issuer(theirs) as other:
        assert claims_of(verifier, other.token(), trust(other)) is not None
        assert claims_of(verifier, issuer.token(), trust(issuer)) is not None
        assert claims_of(verifier, other.token(), trust(issuer)) is None
        assert claims_of(verifier, other.token(iss=issuer.url), trust(issuer)) is None
        assert claims_of(verifier, issuer.token(iss=other.url), trust(other)) is None


# Keys


def test_keys_are_fetched_once_for_their_time(
    issuer: Issuer, verifier: IdTokenVerifier, clock: Clock
) -> None:
    for _ in range(5):
        assert claims_of(verifier, issuer.token(), trust(issuer)) is not None
    clock.now += KEYS_SECONDS - 1
    assert claims_of(verifier, issuer.token(EC), trust(issuer)) is not None
    assert issuer.asked == [DISCOVERY, JWKS]
    clock.now += 1
    assert claims_of(verifier, issuer.token(), trust(issuer)) is not None
    assert issuer.fetches == 2


def test_an_unknown_key_id_asks_again_and_not_too_often(
    issuer: Issuer, verifier: IdTokenVerifier, clock: Clock
) -> None:
    assert claims_of(verifier, issuer.token(), trust(issuer)) is not None
    for _ in range(20):
        assert claims_of(verifier, issuer.token(header={"kid": "unknown"}), trust(issuer)) is None
    assert issuer.fetches == 1
    clock.now += AGAIN_SECONDS
    for number in range(20):
        assert claims_of(verifier, issuer.token(header={"kid": f"unknown {number}"}), trust(issuer)) is None
        assert claims_of(verifier, issuer.token(), trust(issuer)) is not None
    assert issuer.fetches == 2


def test_a_key_that_the_issuer_rotates_in_is_taken_and_one_rotated_out_falls(
    issuer: Issuer, verifier: IdTokenVerifier, clock: Clock
) -> None:
    assert claims_of(verifier, issuer.token(RSA), trust(issuer)) is not None
    new = rsa_key("new")
    issuer.keys = [new]
    assert claims_of(verifier, issuer.token(new), trust(issuer)) is None
    assert claims_of(verifier, issuer.token(RSA), trust(issuer)) is not None
    clock.now += AGAIN_SECONDS
    assert claims_of(verifier, issuer.token(new), trust(issuer)) is not None
    assert claims_of(verifier, issuer.token(RSA), trust(issuer)) is None


def test_a_key_rotated_out_falls_when_the_keys_are_old(
    issuer: Issuer, verifier: IdTokenVerifier, clock: Clock
) -> None:
    assert claims_of(verifier, issuer.token(RSA), trust(issuer)) is not None
    issuer.keys = [EC]
    clock.now += KEYS_SECONDS
    assert claims_of(verifier, issuer.token(RSA), trust(issuer)) is None


def test_an_issuer_that_does_not_answer_is_asked_again_soon_and_not_at_once(
    issuer: Issuer, verifier: IdTokenVerifier, clock: Clock
) -> None:
    issuer.replies[DISCOVERY] = lambda handler: send(handler, b"{}", 503)
    for _ in range(20):
        assert claims_of(verifier, issuer.token(), trust(issuer)) is None
    assert issuer.fetches == 1
    del issuer.replies[DISCOVERY]
    clock.now += RETRY_SECONDS
    assert claims_of(verifier, issuer.token(), trust(issuer)) is not None


def test_known_keys_outlive_an_issuer_for_their_time_and_no_longer(
    issuer: Issuer, verifier: IdTokenVerifier, clock: Clock
) -> None:
    assert claims_of(verifier, issuer.token(), trust(issuer)) is not None
    issuer.replies[JWKS] = lambda handler: send(handler, b"{}", 500)
    clock.now += AGAIN_SECONDS
    assert claims_of(verifier, issuer.token(header={"kid": "unknown"}), trust(issuer)) is None
    assert issuer.fetches == 2
    assert claims_of(verifier, issuer.token(), trust(issuer)) is not None
    clock.now += KEYS_SECONDS
    assert claims_of(verifier, issuer.token(), trust(issuer)) is None


def test_a_slow_issuer_keeps_no_other_and_no_known_key_waiting(
    issuer: Issuer, verifier: IdTokenVerifier, clock: Clock
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hang(handler: Any) -> None:
        reached.set()
        go_on.wait(30)
        send(handler, json.dumps(slow.document(DISCOVERY)).encode())

    with running_issuer(rsa_key()) as slow, ThreadPoolExecutor(1) as pool:
        assert claims_of(verifier, slow.token(), trust(slow)) is not None
        clock.now += AGAIN_SECONDS
        slow.replies[DISCOVERY] = hang
        waiting = pool.submit(verifier.verify, slow.token(header={"kid": "unknown"}), trust(slow))
        assert reached.wait(30)
        assert claims_of(verifier, issuer.token(), trust(issuer)) is not None
        assert claims_of(verifier, slow.token(), trust(slow)) is not None
        assert not waiting.done()
        go_on.set()
        assert waiting.result(30).claims is None


class Slow:
    """Fetches once it is told to."""

    def __init__(self) -> None:
        self.reached, self.go_on, self.source = (
            threading.Event(),
            threading.Event(),
            IssuerKeys(loopback=True),
        )

    def fetch(self, issuer: str) -> Mapping[str, Any]:
        self.reached.set()
        assert self.go_on.wait(60)
        return self.source.fetch(issuer)


@pytest.mark.parametrize(("seconds", "waiters"), [(0.01, 1), (3600, 0)], ids=["not long", "not many"])
def test_those_who_come_while_a_slow_issuer_is_asked_do_not_wait_for_it(
    issuer: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch, seconds: float, waiters: int
) -> None:
    """Else one trust in such an issuer would hold every thread of the registry."""
    slow = Slow()
    verifier = IdTokenVerifier(slow, clock)
    monkeypatch.setattr(module, "WAIT_SECONDS", seconds)
    verifier._waiting = threading.Semaphore(waiters)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(verifier.verify, issuer.token(), trust(issuer))
        assert slow.reached.wait(60)
        for _ in range(20):
            assert verifier.verify(issuer.token(), trust(issuer)).claims is None
        assert not asking.done()
        slow.go_on.set()
        assert asking.result(60).claims is not None
    assert verifier.verify(issuer.token(), trust(issuer)).claims is not None


def test_many_logins_at_once_fetch_the_keys_once(issuer: Issuer, verifier: IdTokenVerifier) -> None:
    token, trusted = issuer.token(), trust(issuer)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: claims_of(verifier, token, trusted), range(32)))
    assert all(answers)
    assert issuer.asked == [DISCOVERY, JWKS]


def test_one_broken_key_spoils_no_other(issuer: Issuer, verifier: IdTokenVerifier) -> None:
    issuer.extra_keys = [
        None,
        5,
        "key",
        [],
        {},
        {"kid": "a"},
        {"kty": 5, "kid": "b"},
        {"kty": "RSA", "kid": "c"},
        {"kty": "RSA", "kid": "d", "n": 5, "e": []},
        {"kty": "RSA", "kid": "e", "n": "!!", "e": "AQAB", "alg": "RS256"},
        {"kty": "EC", "kid": "f", "crv": "P-999", "x": "", "y": ""},
        {"kty": "OKP", "kid": "g", "crv": "Ed25519", "x": "AA"},
        {"kty": ["RSA"], "kid": {"h": 1}},
        {**RSA.public(), "kid": "i", "alg": ["RS256"]},
        {**RSA.public(), "kid": "j", "use": "enc"},
    ]
    assert claims_of(verifier, issuer.token(), trust(issuer)) is not None
    for name in "abcdefghij":
        for key in (RSA, EC, ED):
            assert claims_of(verifier, issuer.token(key, header={"kid": name}), trust(issuer)) is None


def test_not_more_keys_and_issuers_are_kept_than_can_be_real(
    issuer: Issuer, verifier: IdTokenVerifier
) -> None:
    issuer.extra_keys = [{"kty": "RSA", "kid": str(number)} for number in range(KEYS + 50)]
    assert claims_of(verifier, issuer.token(), trust(issuer)) is None
    assert len(verifier._issuers[issuer.url].by_id) == KEYS
    for number in range(ISSUERS + 20):
        url = f"http://192.0.2.1/{number}"
        claims_of(verifier, issuer.token(iss=url), Trust(url, AUDIENCE, "someone"))
    assert len(verifier._issuers) == ISSUERS


# Documents


def _reply(body: bytes, status: int = 200, **headers: str) -> Callable[[Any], None]:
    return lambda handler: send(handler, body, status, **headers)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"keys": {}}',
        b'{"keys": "x"}',
        b'{"keys": null}',
        b'{"jwks_uri": null}',
        b"x" * 300_000,
        b'{"keys": [' + b" " * 300_000 + b"]}",
    ],
    ids=lambda body: f"{body[:12]!r} of {len(body)}",
)
@pytest.mark.parametrize("path", [DISCOVERY, JWKS])
def test_a_document_that_is_none_is_refused(
    issuer: Issuer, verifier: IdTokenVerifier, path: str, body: bytes
) -> None:
    issuer.replies[path] = _reply(body)
    assert claims_of(verifier, issuer.token(), trust(issuer)) is None
    assert path in issuer.asked


@pytest.mark.parametrize("path", [DISCOVERY, JWKS])
@pytest.mark.parametrize("status", [201, 301, 302, 307, 308, 401, 404, 500])
def test_no_redirect_is_followed_and_no_other_status_believed(
    issuer: Issuer, verifier: IdTokenVerifier, path: str, status: int
) -> None:
    with running_issuer(RSA) as other:
        body = json.dumps(issuer.document(path)).encode()
        issuer.replies[path] = _reply(body, status, Location=other.url + path)
        assert claims_of(verifier, issuer.token(), trust(issuer)) is None
        assert other.asked == []


@pytest.mark.parametrize(
    "other",
    ["https://evil.example", "", None, 5, "{url}/", "{url}/tenant", "HTTP://127.0.0.1"],
)
def test_a_discovery_document_of_another_issuer_is_refused(
    issuer: Issuer, verifier: IdTokenVerifier, other: object
) -> None:
    issuer.discovery = {"issuer": other.format(url=issuer.url) if isinstance(other, str) else other}
    assert claims_of(verifier, issuer.token(), trust(issuer)) is None
    assert issuer.asked == [DISCOVERY]


@pytest.mark.parametrize(
    "uri",
    [
        "http://192.0.2.1/keys",
        "http://127.0.0.1.evil.example/keys",
        "http://127.0.0.1@192.0.2.1/keys",
        "http://[::ffff:192.0.2.1]/keys",
        "https://user@192.0.2.1/keys",
        "https:///keys",
        "ftp://127.0.0.1/keys",
        "file:///etc/passwd",
        "//127.0.0.1/keys",
        "/keys",
        "keys",
        "",
        None,
        5,
        ["http://127.0.0.1"],
        "https://[x/keys",
        "http://127.0.0.1:99999/keys",
        "http://127.0.0.1:x/keys",
        "http://127.0.0.1:1/\r\nX: y",
        "http://127.0.0.1:1/\u00e9",
    ],
)
def test_keys_elsewhere_than_behind_tls_are_not_fetched(
    issuer: Issuer, verifier: IdTokenVerifier, uri: object
) -> None:
    issuer.discovery = {"jwks_uri": uri}
    assert claims_of(verifier, issuer.token(), trust(issuer)) is None
    assert issuer.asked == [DISCOVERY]


def test_loopback_without_tls_is_for_those_who_asked_for_it(issuer: Issuer, clock: Clock) -> None:
    strict = IdTokenVerifier(IssuerKeys(loopback=False), clock)
    assert claims_of(strict, issuer.token(), trust(issuer)) is None
    assert issuer.asked == []


def test_an_issuer_with_a_path_is_found_below_it(issuer: Issuer, verifier: IdTokenVerifier) -> None:
    for url in (f"{issuer.url}/tenant", f"{issuer.url}/tenant/"):
        path = f"/tenant{DISCOVERY}"
        issuer.replies[path] = _reply(json.dumps({"issuer": url, "jwks_uri": issuer.url + JWKS}).encode())
        assert claims_of(verifier, issuer.token(iss=url), Trust(url, AUDIENCE, "someone")) is not None


def test_a_plain_server_behind_an_https_url_is_no_issuer(issuer: Issuer) -> None:
    secure = issuer.url.replace("http://", "https://")
    with pytest.raises(OSError):
        IssuerKeys(loopback=True).fetch(secure)


@pytest.mark.parametrize("what", ["status line", "header", "body", "nothing at all"])
def test_a_document_that_comes_a_byte_at_a_time_ends(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Each byte comes well within the time-out of a socket; the time for the whole is what ends it."""
    stop, too_long = threading.Event(), threading.Event()
    limit = threading.Timer(60, lambda: (too_long.set(), stop.set()))
    limit.start()

    def drip(handler: Any) -> None:
        started = {
            "status line": b"",
            "header": b"HTTP/1.1 200 OK\r\nX-Slow: ",
            "body": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
            "nothing at all": b"",
        }[what]
        handler.wfile.write(started)
        handler.wfile.flush()
        while not stop.wait(0.02):
            if what != "nothing at all":
                handler.wfile.write(b"x")
                handler.wfile.flush()

    monkeypatch.setattr("chalicelib.openid.issuer_keys.SECONDS", 0.3)
    issuer.replies[DISCOVERY] = drip
    try:
        with pytest.raises((OSError, ValueError)):
            IssuerKeys(loopback=True).fetch(issuer.url)
    finally:
        limit.cancel()
        stop.set()
    assert not too_long.is_set()


def test_what_is_cut_in_the_middle_is_refused(issuer: Issuer) -> None:
    def cut(handler: Any) -> None:
        handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"issuer":')

    issuer.replies[DISCOVERY] = cut
    with pytest.raises((OSError, ValueError)):
        IssuerKeys(loopback=True).fetch(issuer.url)


def test_a_token_is_for_the_audience_of_the_trust_it_signs_in_as(
    issuer: Issuer, verifier: IdTokenVerifier
) -> None:
    token = issuer.token(aud="another service")
    assert claims_of(verifier, token, trust(issuer)) is None
    assert claims_of(verifier, token, replace(trust(issuer), audience="another service")) is not None
    assert jwt.get_unverified_header(token)["kid"] == RSA.id


# What its owner is told


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"iss": "https://other.example"}, "issuer 'https://other.example'"),
        ({"sub": "somebody-else"}, "subject is 'somebody-else', and not as 'someone'"),
        ({"sub": None}, "no sub"),
        ({"aud": "elsewhere"}, "audience 'elsewhere'"),
        ({"exp": 1_000, "iat": 900}, "expired"),
        ({"nbf": 4_000_000_000}, "not valid yet"),
        ({"exp": 4_000_000_000}, "longer than 24 hours"),
        ({"color": "red"}, "claim color is 'red', and not as 'blue'"),
    ],
)
def test_a_refused_token_has_the_reason_that_its_owner_looks_for(
    issuer: Issuer, verifier: IdTokenVerifier, change: dict[str, Any], said: str
) -> None:
    token = issuer.token(**{"color": "blue", **change})
    assert said in verifier.verify(token, trust(issuer, color="blue")).reason


def test_a_reason_names_the_key_or_what_kept_it_from_being_fetched(
    issuer: Issuer, verifier: IdTokenVerifier, clock: Clock
) -> None:
    issuer.replies[DISCOVERY] = lambda handler: send(handler, b"away", 503)
    for _ in range(2):
        assert "cannot be fetched: 127.0.0.1:" in verifier.verify(issuer.token(), trust(issuer)).reason
    del issuer.replies[DISCOVERY]
    clock.now += RETRY_SECONDS
    assert (
        "no key 'unknown'" in verifier.verify(issuer.token(header={"kid": "unknown"}), trust(issuer)).reason
    )
    other = SigningKey(RSA.id, rsa_key().private, RSA.algorithm)
    assert "signature" in verifier.verify(issuer.token(other), trust(issuer)).reason
    assert verifier.verify("no token", trust(issuer)).reason == "this is no ID token"


def test_a_reason_repeats_little_of_what_a_stranger_wrote(issuer: Issuer, verifier: IdTokenVerifier) -> None:
    reason = verifier.verify(issuer.token(sub="x" * 5_000), trust(issuer)).reason
    assert len(reason) <= 500
