"""Signing in with ID tokens through the handler, as `docker login` and by token exchange."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from chalicelib.identity.credentials import Trust
from chalicelib.wiring import Deployment
from tests.endpoints.driver import Answer
from tests.endpoints.refusals import refused
from tests.identity.callers import ID_TOKEN, TOKEN_EXCHANGE, Caller, Tenant, basic, operations
from tests.identity.issuer import AUDIENCE, DISCOVERY, Issuer, rsa_key, running_issuer, send

RSA, OTHER = rsa_key(), rsa_key()
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"
ACCESS_TOKEN, JWT = TOKEN_TYPE + "access_token", TOKEN_TYPE + "jwt"
SUBJECT = "repo:acme/shop:ref:refs/heads/main"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer(RSA) as running:
        yield running


@pytest.fixture
def trusting(deploy: Callable[..., Deployment]) -> Deployment:
    return deploy(loopback_issuers=True)


@pytest.fixture
def tenant(trusting: Deployment) -> Tenant:
    return Tenant(trusting)


@pytest.fixture
def caller(trusting: Deployment) -> Caller:
    return Caller(trusting)


@pytest.fixture
def trust_id(tenant: Tenant, issuer: Issuer) -> str:
    trust = Trust(issuer.url, AUDIENCE, "repo:acme/shop:*", {"ref": "refs/heads/*"})
    return tenant.trust(trust, (f"{tenant.dev}/*", "pull,push")).id


def id_token(issuer: Issuer, **changes: object) -> str:
    return issuer.token(**{"sub": SUBJECT, "ref": "refs/heads/main", **changes})


def exchange(caller: Caller, *, type: str, **form: str) -> Answer:  # noqa: A002
    return caller.post(TOKEN_EXCHANGE, subject_token_type=type, **form)


def test_an_id_token_is_a_password_for_docker_login(
    tenant: Tenant, caller: Caller, issuer: Issuer, trust_id: str
) -> None:
    scope = f"repository:{tenant.dev}/app:pull,push"
    answer = caller.get(trust_id, id_token(issuer), scope, f"repository:{tenant.prod}/app:pull")
    assert (answer.status, answer.document["scope"]) == (200, scope)
    token = answer.document["token"]
    assert caller.bearing(token, "POST", f"/v2/{tenant.dev}/app/blobs/uploads/").status == 202
    refused(caller.bearing(token, "GET", f"/v2/{tenant.prod}/app/tags/list"), 401, "UNAUTHORIZED")
    by_basic = caller.send("GET", "/v2/", authorization=basic(trust_id, id_token(issuer)))
    assert by_basic.status == 200


def test_an_id_token_is_exchanged(tenant: Tenant, caller: Caller, issuer: Issuer, trust_id: str) -> None:
    scope = f"repository:{tenant.dev}/app:pull"
    answer = caller.exchange(trust_id, id_token(issuer), scope)
    assert (answer.status, answer.document["scope"]) == (200, scope)
    assert caller.bearing(answer.document["access_token"], "GET", "/v2/").status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.document["token_type"] == "Bearer"
    assert answer.document["issued_token_type"] == ACCESS_TOKEN


@pytest.mark.parametrize("subject", [ID_TOKEN, JWT])
@pytest.mark.parametrize("requested", [None, ACCESS_TOKEN, JWT])
def test_the_types_of_an_exchange_are_those_that_are_asked_for(
    caller: Caller, issuer: Issuer, trust_id: str, subject: str, requested: str | None
) -> None:
    asked = {} if requested is None else {"requested_token_type": requested}
    answer = exchange(caller, client_id=trust_id, subject_token=id_token(issuer), type=subject, **asked)
    assert answer.status == 200
    assert answer.document["issued_token_type"] == (requested or ACCESS_TOKEN)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"type": ""}, "takes subject_token_type"),
        ({"type": ACCESS_TOKEN}, "subject_token_type is one of"),
        ({"type": "urn:ietf:params:oauth:token-type:saml2"}, "subject_token_type is one of"),
        ({"type": "id_token"}, "subject_token_type is one of"),
        ({"type": ID_TOKEN.upper()}, "subject_token_type is one of"),
        ({"requested_token_type": ID_TOKEN}, "requested_token_type is one of"),
        ({"requested_token_type": TOKEN_TYPE + "refresh_token"}, "requested_token_type is one of"),
        ({"actor_token": "x"}, "actor_token"),
        ({"subject_token": ""}, "takes subject_token"),
        ({"client_id": ""}, "takes client_id"),
    ],
)
def test_an_exchange_of_something_else_is_no_request(
    caller: Caller, issuer: Issuer, trust_id: str, change: dict[str, str], says: str
) -> None:
    asked = {"client_id": trust_id, "subject_token": id_token(issuer), "type": ID_TOKEN, **change}
    with operations(caller.deployment) as seen:
        answer = exchange(caller, **asked)
    refused(answer, 400, "UNSUPPORTED", says)
    assert answer.document["error"] == "invalid_request"
    assert says in answer.document["error_description"]
    assert not seen
    assert issuer.asked == []


def test_a_robots_secret_is_no_id_token(tenant: Tenant, caller: Caller) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull"))
    refused(caller.exchange(robot.id, secret), 401, "UNAUTHORIZED")
    assert caller.get(robot.id, secret).status == 200


def test_a_refused_exchange_is_told_in_the_audit_trail(
    tenant: Tenant, caller: Caller, issuer: Issuer, trust_id: str
) -> None:
    token = id_token(issuer, ref="refs/tags/v1")
    refused(caller.exchange(trust_id, token), 401, "UNAUTHORIZED")
    now = int(time.time() * 1000)
    (told,) = [
        one
        for one in caller.deployment.trail.read("default", now - 60_000, now + 1000, "")
        if one.actor == trust_id
    ]
    assert (told.action, told.result) == ("login", "refused")
    reason = "the claim ref is 'refs/tags/v1', and not as 'refs/heads/*'"
    assert told.detail == {"by": "id_token", "reason": reason}
    assert token not in repr(told)


def test_a_stranger_makes_nobody_fetch_keys(caller: Caller, issuer: Issuer, trust_id: str) -> None:
    """Else whoever guesses at names would see by the time which of them is a trust."""
    for change in ({"sub": "repo:evil/shop:x"}, {"iss": "https://evil.example"}, {"ref": None}):
        refused(caller.exchange(trust_id, id_token(issuer, **change)), 401, "UNAUTHORIZED")
    assert issuer.asked == []


def test_an_id_token_costs_one_read_and_no_fetch_once_the_keys_are_known(
    trusting: Deployment, tenant: Tenant, caller: Caller, issuer: Issuer, trust_id: str
) -> None:
    assert caller.get(trust_id, id_token(issuer)).status == 200
    with operations(trusting) as seen:
        for _ in range(3):
            assert caller.get(trust_id, id_token(issuer), f"repository:{tenant.dev}/app:pull").status == 200
    assert seen == {"BatchGetItem": 3, "PutItem": 3}
    assert issuer.fetches == 1


def test_an_id_token_makes_nothing_that_outlives_it_for_long(
    caller: Caller, issuer: Issuer, trust_id: str
) -> None:
    assert "refresh_token" not in caller.get(trust_id, id_token(issuer), offline_token="true").document
    assert "refresh_token" not in caller.exchange(trust_id, id_token(issuer)).document


@pytest.mark.parametrize(
    "change",
    [
        {"sub": "repo:acme/other:ref:refs/heads/main"},
        {"ref": "refs/tags/v1"},
        {"ref": None},
        {"ref": ["refs/heads/main"]},
        {"aud": "https://another.test"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"exp": "1e99"},
        {"exp": float("inf")},
        {"nbf": 10**11},
        {"iat": "now"},
    ],
)
def test_an_id_token_that_is_not_trusted_is_refused_like_a_wrong_secret(
    tenant: Tenant,
    caller: Caller,
    issuer: Issuer,
    trust_id: str,
    change: dict[str, object],
) -> None:
    token = id_token(issuer, **change)
    for sign_in in (caller.get, caller.exchange):
        with operations(caller.deployment) as seen:
            answer = sign_in(trust_id, token)
        refused(answer, 401, "UNAUTHORIZED", "wrong user name or password")
        nobody = sign_in(f"nobody-{tenant.suffix}", token)
        assert answer == nobody
        assert seen == {"BatchGetItem": 1, "UpdateItem": 2, "PutItem": 1}


def test_an_id_token_signed_by_another_is_refused(caller: Caller, issuer: Issuer, trust_id: str) -> None:
    forged = issuer.token(OTHER, sub=SUBJECT, ref="refs/heads/main")
    refused(caller.get(trust_id, forged), 401, "UNAUTHORIZED")
    refused(caller.exchange(trust_id, forged), 401, "UNAUTHORIZED")


def test_an_id_token_is_for_the_trusts_it_fits_alone(
    tenant: Tenant, caller: Caller, issuer: Issuer, trust_id: str
) -> None:
    strict = Trust(issuer.url, AUDIENCE, "repo:acme/shop:environment:production")
    prod = tenant.trust(strict, (f"{tenant.prod}/*", "pull,push"), name="prod")
    robot, _ = tenant.robot((f"{tenant.prod}/*", "pull,push"))
    token = id_token(issuer)
    assert caller.get(trust_id, token).status == 200
    refused(caller.get(prod.id, token), 401, "UNAUTHORIZED")
    refused(caller.get(robot.id, token), 401, "UNAUTHORIZED")
    refused(caller.bearing(token, "GET", "/v2/"), 401, "UNAUTHORIZED")
    refused(caller.post("refresh_token", refresh_token=token), 401, "UNAUTHORIZED")


def test_a_trust_that_is_disabled_or_deleted_signs_nobody_in(
    trusting: Deployment, tenant: Tenant, caller: Caller, issuer: Issuer, trust_id: str
) -> None:
    desk = trusting.desk
    disabled = desk.change(tenant.admin, desk.get(tenant.admin, trust_id), is_disabled=True)
    refused(caller.get(trust_id, id_token(issuer)), 401, "UNAUTHORIZED")
    enabled = desk.change(tenant.admin, disabled, is_disabled=False)
    assert caller.get(trust_id, id_token(issuer)).status == 200
    desk.delete(tenant.admin, enabled)
    refused(caller.get(trust_id, id_token(issuer)), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("body", [b"garbage", b"[" * 100_000, b"{}", b"x" * 300_000])
def test_an_issuer_that_answers_with_garbage_is_a_login_that_fails(
    caller: Caller, issuer: Issuer, trust_id: str, body: bytes
) -> None:
    issuer.replies[DISCOVERY] = lambda handler: send(handler, body)
    refused(caller.get(trust_id, id_token(issuer)), 401, "UNAUTHORIZED")


def test_an_issuer_without_tls_is_for_tests_alone(
    deployment: Deployment, issuer: Issuer, trust_id: str
) -> None:
    refused(Caller(deployment).get(trust_id, id_token(issuer)), 401, "UNAUTHORIZED")
    assert issuer.asked == []


def test_a_service_account_of_kubernetes_signs_in(tenant: Tenant, caller: Caller, issuer: Issuer) -> None:
    subject = "system:serviceaccount:prod:puller"
    trust = tenant.trust(Trust(issuer.url, AUDIENCE, subject), (f"{tenant.prod}/*", "pull"), name="k8s")
    now = int(time.time())
    token = issuer.token(
        sub=subject,
        aud=[AUDIENCE],
        exp=now + 3600,
        **{"kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "puller", "uid": "1"}}},
    )
    scope = f"repository:{tenant.prod}/app:pull"
    assert caller.get(trust.id, token, scope).document["scope"] == scope
