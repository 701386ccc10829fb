"""Tokens that are forged, out of time, or shown where they are not good: refused, and nothing is said."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from chalicelib.identity.capability import derive_key
from chalicelib.identity.tokens import LIFETIME_SECONDS, REFRESH_SECONDS, key_id
from tests.access import ground
from tests.access.caller import Caller, Reply
from tests.access.estate import Estate
from tests.access.ground import SETTINGS, content

KEY = derive_key(SETTINGS.token_keys[0], "token")
SCOPE = "repository:dev/app:pull,push,delete"
READ = ("GET", "/v2/dev/app/manifests/v1")


@pytest.fixture
def claims(estate: Estate) -> dict[str, Any]:
    """Those of a good token of the owner."""
    token = estate.caller("acme-owner").token(SCOPE)
    return dict(jwt.decode(token, options={"verify_signature": False}))


def signed(claims: dict[str, Any], key: Any = KEY, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(claims, key, algorithm, headers={"kid": key_id(KEY), **header})


def unsigned(claims: dict[str, Any], header: dict[str, Any], signature: str = "") -> str:
    parts = [json.dumps(part).encode() for part in (header, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), signature])


def shown(estate: Estate, token: str, method: str = "GET", path: str = READ[1]) -> Reply:
    return Caller(estate.ground.deployment, f"Bearer {token}").v2(method, path)


def refused(estate: Estate, token: str) -> None:
    """By every endpoint alike, whether the repository is there or not, and nothing changes."""
    before = content()
    for method, path in (
        READ,
        ("POST", "/v2/dev/app/blobs/uploads/"),
        ("DELETE", READ[1]),
        ("GET", "/v2/_catalog"),
    ):
        reply = shown(estate, token, method, path)
        assert reply.status == 401
        assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    absent = shown(estate, token, path="/v2/dev/apq/manifests/v1")
    assert shown(estate, token).about("dev/app", "dev/apq") == absent
    assert content() == before


def test_the_token_that_the_others_are_made_of_is_good(estate: Estate, claims: dict[str, Any]) -> None:
    assert shown(estate, signed(claims)).status == 200


FORGERIES: dict[str, Callable[[dict[str, Any]], str]] = {
    "alg none": lambda claims: unsigned(claims, {"alg": "none", "kid": key_id(KEY)}),
    "alg None": lambda claims: unsigned(claims, {"alg": "None", "kid": key_id(KEY)}),
    "alg nOnE, signed": lambda claims: unsigned(claims, {"alg": "nOnE", "kid": key_id(KEY)}, "AAAA"),
    "no alg": lambda claims: unsigned(claims, {"kid": key_id(KEY)}, "AAAA"),
    "alg a list": lambda claims: unsigned(claims, {"alg": ["HS256"], "kid": key_id(KEY)}, "AAAA"),
    "HS384": lambda claims: signed(claims, KEY + KEY, "HS384"),
    "HS512 with the key": lambda claims: signed(claims, KEY + KEY, "HS512"),
    "RS256": lambda claims: signed(claims, rsa.generate_private_key(65537, 2048), "RS256"),
    "RS256 said, HS256 done": lambda claims: relabelled(signed(claims), "RS256"),
    "ES256 said, HS256 done": lambda claims: relabelled(signed(claims), "ES256"),
    "the key id as the key": lambda claims: signed(claims, key_id(KEY).encode().ljust(32, b"\0")),
    "an empty key": lambda claims: unsigned(claims, {"alg": "HS256", "kid": key_id(KEY)}, "AAAA"),
    "another key": lambda claims: signed(claims, b"another".ljust(32)),
    "the master key": lambda claims: signed(claims, SETTINGS.token_keys[0]),
    "the key of capabilities": lambda claims: signed(
        claims, derive_key(SETTINGS.token_keys[0], "capability")
    ),
    "no kid": lambda claims: jwt.encode(claims, KEY, "HS256"),
    "an unknown kid": lambda claims: signed(claims, kid="0" * 16),
    "an empty kid": lambda claims: signed(claims, kid=""),
    "a path as kid": lambda claims: signed(claims, kid="../../dev/null"),
    "an SQL kid": lambda claims: signed(claims, kid="' or 1=1 --"),
    "a kid that is a number": lambda claims: unsigned(claims, {"alg": "HS256", "kid": 0}, "AAAA"),
    "a kid that is a list": lambda claims: unsigned(claims, {"alg": "HS256", "kid": [key_id(KEY)]}, "AAAA"),
    "a key in the header": lambda claims: signed(
        claims,
        b"mine".ljust(32),
        jwk={"kty": "oct", "k": base64.urlsafe_b64encode(b"mine".ljust(32)).decode()},
    ),
    "a key by URL": lambda claims: signed(claims, b"mine".ljust(32), jku="http://127.0.0.1:1/jwks"),
    "another issuer": lambda claims: signed({**claims, "iss": "other"}),
    "another audience": lambda claims: signed({**claims, "aud": "other"}),
    "our audience among others": lambda claims: signed({**claims, "aud": ["other", "ccr"]}),
    "expired": lambda claims: signed({**claims, "exp": claims["iat"] - 60}),
    "not yet": lambda claims: signed({**claims, "nbf": claims["iat"] + 600}),
    "made in the future": lambda claims: signed({**claims, "iat": claims["iat"] + 600}),
    "an expiry that is none": lambda claims: signed({**claims, "exp": "soon"}),
    "an endless expiry": lambda claims: signed({**claims, "exp": float("inf")}),
    **{
        f"no {name}": lambda claims, name=name: signed({k: v for k, v in claims.items() if k != name})  # type: ignore[misc]
        for name in ("exp", "nbf", "iat", "iss", "aud", "sub", "gen")
    },
    "the payload of another": lambda claims: spliced(
        signed({**claims, "access": []}), signed({**claims, "account": "rival"})
    ),
}


def relabelled(token: str, algorithm: str) -> str:
    """The same signature beneath another algorithm."""
    _, payload, signature = token.split(".")
    header = json.dumps({"alg": algorithm, "kid": key_id(KEY), "typ": "JWT"}).encode()
    return ".".join([base64.urlsafe_b64encode(header).rstrip(b"=").decode(), payload, signature])


def spliced(one: str, other: str) -> str:
    return ".".join([*other.split(".")[:2], one.split(".")[2]])


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_token_is_refused(estate: Estate, claims: dict[str, Any], name: str) -> None:
    refused(estate, FORGERIES[name](claims))


def test_a_token_of_another_deployment_is_refused(estate: Estate) -> None:
    """With the same key and another name, with another key and the same name."""
    tokens = estate.ground.deployment.services.tokens
    principal = tokens.verify(estate.caller("acme-owner").token(SCOPE))
    assert principal is not None
    for other in (replace(tokens, service="staging"), replace(tokens, keys=[b"another".ljust(32)])):
        refused(estate, other.issue(principal)[0])


def test_a_token_of_one_deployment_opens_nothing_in_a_second_on_the_same_tables(estate: Estate) -> None:
    second = ground.lay(estate.ground.clock, service="second", token_keys=(b"second".ljust(32),))
    token = estate.caller("acme-owner").token(SCOPE, offline_token="true")
    caller = Caller(second.deployment, f"Bearer {token}")
    assert caller.v2(*READ).status == 401


def test_a_token_is_good_for_one_repository_of_one_registry(estate: Estate) -> None:
    token = estate.caller("acme-owner").token(SCOPE)
    for name in ("dev/apq", "dev/team/api", "stage/app", "lab/app", "yard/app", "dev", "app"):
        reply = shown(estate, token, path=f"/v2/{name}/tags/list")
        assert reply.status == 401, name
        assert 'error="insufficient_scope"' in reply.headers["www-authenticate"]


def test_a_refresh_token_of_another_credential_deployment_or_time_is_refused(estate: Estate) -> None:
    owner, tokens = estate.caller("acme-owner"), estate.ground.deployment.services.tokens
    credential = estate.ground.deployment.credentials.get("acme-owner")
    assert credential is not None
    now = estate.ground.clock.now
    (secret,) = credential.secrets
    good = tokens.issue_refresh(credential, secret)
    wrong = [
        replace(tokens, service="staging").issue_refresh(credential, secret),
        replace(tokens, keys=[b"another".ljust(32)]).issue_refresh(credential, secret),
        tokens.issue_refresh(replace(credential, generation=credential.generation - 1), secret),
        tokens.issue_refresh(replace(credential, generation=credential.generation + 1), secret),
        tokens.issue_refresh(replace(credential, id="nobody"), secret),
        tokens.issue_refresh(credential, replace(secret, hash="another")),
        replace(tokens, clock=lambda: now - REFRESH_SECONDS - 60).issue_refresh(credential, secret),
        replace(tokens, clock=lambda: now + 600).issue_refresh(credential, secret),
        owner.token(SCOPE),
        good[:-2] + ("AA" if not good.endswith("AA") else "BB"),
        "x",
    ]
    assert [_refreshed(owner, token).status for token in (good, *wrong)] == [200, *(401 for _ in wrong)]


def test_a_token_outlives_its_credential_by_nothing(estate: Estate) -> None:
    """An expiry takes nothing away that a revocation would tell of, so the token itself must end."""
    clock = estate.ground.clock
    expires = int(clock.now) + 120
    estate.robot("acme-owner", "ci", "shop", ("dev/*", "pull"), expires=_moment(expires))
    said = estate.caller("ci").v2("GET", "/token", {"scope": "repository:dev/app:pull"}).document
    claims = jwt.decode(said["token"], options={"verify_signature": False})
    assert claims["exp"] == expires
    assert said["expires_in"] == expires - int(clock.now)
    estate.robot("acme-owner", "long", "shop", ("dev/*", "pull"), expires=_moment(clock.now + 86400))
    assert estate.caller("long").v2("GET", "/token").document["expires_in"] == LIFETIME_SECONDS
    clock.advance(121)
    assert estate.caller("ci").v2("GET", "/token").status == 401
    assert estate.caller("ci").v2(*READ).status == 401


def test_keys_that_rotate_are_good_for_the_overlap_and_no_longer(estate: Estate) -> None:
    old, new = SETTINGS.token_keys[0], b"new key of the tests".ljust(32)
    token = estate.caller("acme-owner").token(SCOPE)
    clock = estate.ground.clock

    def status(*keys: bytes) -> int:
        return Caller(ground.lay(clock, token_keys=keys).deployment, f"Bearer {token}").v2(*READ).status

    assert (status(new, old), status(new)) == (200, 401)


def test_a_bearer_token_is_nothing_to_the_management_api(estate: Estate) -> None:
    token = estate.caller("acme-owner").token(SCOPE, "registry:catalog:*")
    asked = [
        Caller(estate.ground.deployment, header).api("GET", "/whoami")
        for header in (f"Bearer {token}", "Bearer x", f"Basic {token}", "Negotiate x")
    ]
    assert {(one.status, one.body) for one in asked} == {(401, asked[0].body)}


def _refreshed(caller: Caller, token: str) -> Reply:
    form = f"grant_type=refresh_token&refresh_token={token}&scope={SCOPE}"
    return replace(caller, authorization="").v2("POST", "/token", body=form.encode())


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
