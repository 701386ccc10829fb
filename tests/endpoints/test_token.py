"""Logging in: the challenge, `/token` both ways, and every credential and token that is none."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from chalicelib.identity.capability import derive_key
from chalicelib.identity.tokens import LIFETIME_SECONDS, key_id
from chalicelib.wiring import Deployment
from tests.endpoints.conftest import SETTINGS
from tests.endpoints.driver import PASSWORD, Driver
from tests.endpoints.refusals import nothing_but_a_failure_left_behind, nothing_left_behind, refused

KEY = derive_key(SETTINGS.token_keys[0], "token")
SCOPE = "repository:dev/app:pull,push,delete"


def basic(text: str | bytes) -> str:
    raw = text if isinstance(text, bytes) else text.encode()
    return "Basic " + base64.b64encode(raw).decode()


ADMIN = basic(f"admin:{PASSWORD}")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v2/", None),
        ("GET", "/v2/dev/app/manifests/v1", "repository:dev/app:pull"),
        ("PUT", "/v2/dev/app/manifests/v1", "repository:dev/app:pull,push"),
        ("DELETE", "/v2/dev/app/manifests/v1", "repository:dev/app:delete"),
        ("POST", "/v2/dev/app/blobs/uploads/", "repository:dev/app:pull,push"),
        ("GET", "/v2/_catalog", "registry:catalog:*"),
    ],
)
def test_the_challenge_names_the_scope_to_ask_for(
    driver: Driver, method: str, path: str, scope: str | None
) -> None:
    driver.authorization = ""
    with nothing_left_behind():
        answer = driver.call(method, path)
    refused(answer, 401, "UNAUTHORIZED", "log in")
    wanted = f',scope="{scope}"' if scope else ""
    assert answer.headers["www-authenticate"] == (
        f'Bearer realm="https://registry.test/token",service="ccr"{wanted}'
    )


def test_the_challenge_follows_the_proxy_in_front_and_the_public_url(
    deployment: Deployment, deploy: Callable[..., Deployment]
) -> None:
    plain = Driver(deployment).call("GET", "/v2/", x_forwarded_proto="http")
    assert 'realm="http://registry.test/token"' in plain.headers["www-authenticate"]
    named = Driver(deploy(public_url="https://images.example")).call("GET", "/v2/", x_forwarded_proto="http")
    assert 'realm="https://images.example/token"' in named.headers["www-authenticate"]


def test_a_token_says_how_long_it_lasts_and_what_it_is_for(driver: Driver) -> None:
    answer = driver.call("GET", "/token", {"scope": SCOPE, "service": "ccr"}, authorization=ADMIN)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    document = answer.document
    assert document["token"] == document["access_token"]
    assert (document["expires_in"], document["scope"]) == (LIFETIME_SECONDS, SCOPE)
    claims = jwt.decode(document["token"], KEY, ["HS256"], audience="ccr")
    assert claims["access"] == [
        {"type": "repository", "name": "dev/app", "actions": ["pull", "push", "delete"]}
    ]


def test_a_token_by_post_is_as_good(driver: Driver) -> None:
    form = f"grant_type=password&username=admin&password={PASSWORD}&scope={SCOPE}".replace(" ", "+")
    answer = driver.call("POST", "/token", body=form.encode())
    driver.authorization = "Bearer " + answer.document["access_token"]
    refused(driver.call("GET", driver.of("manifests/none")), 404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize("scope", ["", "x", "repository:dev/app", "repository::pull", "no:such:action"])
def test_a_scope_that_is_none_gives_a_token_for_nothing(driver: Driver, scope: str) -> None:
    answer = driver.call("GET", "/token", {"scope": scope}, authorization=ADMIN)
    assert (answer.status, answer.document["scope"]) == (200, "")
    driver.authorization = "Bearer " + answer.document["token"]
    assert driver.call("GET", "/v2/").status == 200
    denied = driver.call("GET", driver.of("tags/list"))
    refused(denied, 401, "UNAUTHORIZED", "scope")
    assert 'error="insufficient_scope"' in denied.headers["www-authenticate"]


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic YWRtaW4",
        "Basic é",
        basic("admin"),
        basic(":"),
        basic("admin:"),
        basic("admin:wrong"),
        basic(f"nobody:{PASSWORD}"),
        basic(f"ADMIN:{PASSWORD}"),
        basic(f" admin:{PASSWORD}"),
        basic(b"admin:\xff\xfe"),
        basic("admin\0:" + PASSWORD),
        basic(f"{'é' * 1024}:{PASSWORD}"),
        basic("admin:" + "x" * 5000),
        "Negotiate abc",
        PASSWORD,
        base64.b64encode(f"admin:{PASSWORD}".encode()).decode(),
    ],
)
@pytest.mark.parametrize("path", ["/token", "/v2/"])
def test_a_credential_that_is_none_is_refused(driver: Driver, authorization: str, path: str) -> None:
    with nothing_but_a_failure_left_behind():
        answer = driver.call("GET", path, authorization=authorization)
    refused(answer, 401, "UNAUTHORIZED")
    assert answer.headers["www-authenticate"].startswith("Basic " if path == "/token" else "Bearer ")


@pytest.mark.parametrize(
    ("form", "status", "code", "says"),
    [
        (b"", 400, "UNSUPPORTED", "grant_type password, refresh_token"),
        (b"\xff\xfe\x00", 400, "UNSUPPORTED", "grant_type password, refresh_token"),
        (b"grant_type=authorization_code&code=x", 400, "UNSUPPORTED", "grant_type password, refresh_token"),
        (b"grant_type=refresh_token&refresh_token=x", 401, "UNAUTHORIZED", "password"),
        (b"grant_type=password", 400, "UNSUPPORTED", "takes username"),
        (b"grant_type=password&username=admin&password=", 400, "UNSUPPORTED", "takes password"),
        (
            b"grant_type=password&grant_type=password",
            400,
            "UNSUPPORTED",
            "grant_type is there more than once",
        ),
        (b"grant_type=password&username=admin&username=ci&password=x", 400, "UNSUPPORTED", "more than once"),
        (b"grant_type=refresh_token", 400, "UNSUPPORTED", "takes refresh_token"),
        (b"grant_type=password&username=admin&password=wrong", 401, "UNAUTHORIZED", "password"),
        (
            b"grant_type=password&password=x&username=" + b"%F0%9F%90%B3" * 600,
            401,
            "UNAUTHORIZED",
            "password",
        ),
        (b"grant_type=password&" + b"a=b&" * 20_000, 413, "SIZE_INVALID", "at most"),
    ],
)
def test_a_form_that_is_none_is_refused(
    driver: Driver, form: bytes, status: int, code: str, says: str
) -> None:
    with nothing_but_a_failure_left_behind():
        refused(driver.call("POST", "/token", body=form), status, code, says)


@pytest.mark.parametrize(
    ("form", "error"),
    [
        (b"", "unsupported_grant_type"),
        (b"grant_type=client_credentials", "unsupported_grant_type"),
        (b"grant_type=password", "invalid_request"),
        (b"grant_type=password&username=admin&password=x&scope=" + b"x" * 600, "invalid_scope"),
        (b"grant_type=password&username=admin&password=wrong", "invalid_client"),
        (b"grant_type=refresh_token&refresh_token=x", "invalid_grant"),
        (b"grant_type=password&" + b"a=b&" * 20_000, "invalid_request"),
    ],
)
def test_a_refusal_by_post_is_an_error_of_oauth_too(driver: Driver, form: bytes, error: str) -> None:
    """RFC 6749, 5.2; the envelope is for clients of registries."""
    document = driver.call("POST", "/token", body=form).document
    assert set(document) == {"error", "error_description", "errors"}
    assert document["error"] == error
    assert document["error_description"] == document["errors"][0]["message"]


def signed(key: bytes = KEY, *, without: str = "", **changes: Any) -> str:
    told = {name: value for name, value in claims(**changes).items() if name != without}
    return jwt.encode(told, key, "HS256", headers={"kid": key_id(KEY)})


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    access = [{"type": "repository", "name": "dev/app", "actions": ["pull", "push", "delete"]}]
    return {
        "iss": "ccr",
        "aud": "ccr",
        "sub": "admin",
        "gen": 10**15,
        "iat": now,
        "nbf": now,
        "exp": now + 600,
        "account": "default",
        "everywhere": [],
        "access": access,
        **changes,
    }


def unsigned(header: dict[str, Any], signature: str = "") -> str:
    parts = [json.dumps(header), json.dumps(claims())]
    encoded = [base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, signature])


def with_sha512() -> str:
    """The right key and another algorithm of its kind."""
    text = unsigned({"alg": "HS512", "kid": key_id(KEY)})
    mac = hmac.digest(KEY, text.rstrip(".").encode(), "sha512")
    return text + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def test_the_tokens_below_fail_for_what_is_wrong_with_them_alone(driver: Driver) -> None:
    driver.authorization = "Bearer " + signed()
    refused(driver.call("GET", driver.of("manifests/none")), 404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("x", id="garbage"),
        pytest.param("a.b.c", id="dotted garbage"),
        pytest.param("é" * 40, id="not ascii"),
        pytest.param("A" * 40_000, id="very long"),
        pytest.param(signed(exp=int(time.time()) - 60), id="expired"),
        pytest.param(signed(nbf=int(time.time()) + 600), id="not yet"),
        pytest.param(signed(aud="other"), id="another audience"),
        pytest.param(signed(aud=["x", "y"]), id="other audiences"),
        pytest.param(signed(iss="other"), id="another issuer"),
        pytest.param(signed(exp="soon"), id="an expiry that is none"),
        pytest.param(signed(without="exp"), id="no expiry"),
        pytest.param(signed(without="gen"), id="no generation"),
        pytest.param(jwt.encode(claims(), KEY, "HS256"), id="no key id"),
        pytest.param(signed(b"another key".ljust(32)), id="another key"),
        pytest.param(signed(SETTINGS.token_keys[0]), id="the key that keys are made of"),
        pytest.param(signed(derive_key(SETTINGS.token_keys[0], "capability")), id="the key of capabilities"),
        pytest.param(jwt.encode(claims(), None, "none", headers={"kid": key_id(KEY)}), id="alg none"),
        pytest.param(unsigned({"alg": "None", "kid": key_id(KEY)}), id="alg None"),
        pytest.param(unsigned({"alg": "HS256", "kid": key_id(KEY)}), id="no signature"),
        pytest.param(unsigned({"typ": "JWT", "kid": key_id(KEY)}), id="no alg"),
        pytest.param(unsigned({"alg": ["HS256"], "kid": key_id(KEY)}, "AAAA"), id="alg a list"),
        pytest.param(with_sha512(), id="HS512"),
        pytest.param(unsigned({"alg": "RS256", "kid": key_id(KEY)}, "AAAA"), id="RS256"),
        pytest.param(
            jwt.encode(
                claims(),
                b"other".ljust(32),
                headers={"kid": key_id(KEY), "jwk": {"kty": "oct", "k": "b3RoZXI"}},
            ),
            id="a key of its own",
        ),
    ],
)
def test_a_token_that_is_none_is_refused(driver: Driver, token: str) -> None:
    driver.authorization = f"Bearer {token}"
    with nothing_left_behind():
        answer = driver.call("POST", driver.of("blobs/uploads/"))
    refused(answer, 401, "UNAUTHORIZED", "log in")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_a_token_is_for_one_repository(driver: Driver) -> None:
    driver.push_image("v1")
    other = Driver(driver.deployment, "dev/other")
    other.log_in()
    with nothing_left_behind():
        for method, path in (
            ("GET", "manifests/v1"),
            ("PUT", "manifests/v2"),
            ("GET", "tags/list"),
            ("POST", "blobs/uploads/"),
            ("DELETE", "manifests/v1"),
        ):
            refused(
                other.call(method, driver.of(path), body=b"{}" if method == "PUT" else b""),
                401,
                "UNAUTHORIZED",
            )


def test_the_word_bearer_may_be_written_in_any_case(driver: Driver) -> None:
    token = driver.authorization.partition(" ")[2]
    assert driver.call("GET", "/v2/", authorization=f"bEARER {token}").status == 200
    assert driver.call("GET", "/v2/", authorization=f"bASIC {ADMIN.partition(' ')[2]}").status == 200
