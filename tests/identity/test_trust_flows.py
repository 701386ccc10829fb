"""Signing in with ID tokens through the handler, as `docker login` and by token exchange."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from chalicelib.identity.credentials import Trust
from chalicelib.wiring import Deployment
from tests.endpoints.refusals import refused
from tests.identity.callers import Caller, Tenant, basic, operations
from tests.identity.issuer import AUDIENCE, DISCOVERY, Issuer, rsa_key, running_issuer, send

RSA, OTHER = rsa_key(), rsa_key()
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
