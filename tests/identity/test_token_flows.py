"""`/token` through the handler: what is asked, what is granted, what it costs, what it is good for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from chalicelib.identity.revocations import FRESH_SECONDS
from chalicelib.identity.tokens import LIFETIME_SECONDS, REFRESH_SECONDS
from chalicelib.wiring import Deployment
from tests.endpoints.conftest import SETTINGS
from tests.endpoints.driver import PASSWORD, Answer
from tests.endpoints.refusals import refused
from tests.identity.callers import Caller, Tenant, basic, operations
from tests.identity.memory import Clock


@pytest.fixture
def tenant(deployment: Deployment) -> Tenant:
    return Tenant(deployment)


@pytest.fixture
def caller(deployment: Deployment) -> Caller:
    return Caller(deployment)


def claims_of(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer
    return jwt.decode(answer.document["token"], options={"verify_signature": False})


def scope_of(answer: Answer) -> list[str]:
    """As the answer says it; the token must say the same."""
    told: list[str] = answer.document["scope"].split()
    access = claims_of(answer)["access"]
    assert told == [f"{one['type']}:{one['name']}:{','.join(one['actions'])}" for one in access]
    return told


def of(name: str, actions: str) -> str:
    return f"repository:{name}:{actions}"


# What is asked and what is granted


def test_several_scopes_come_in_parameters_or_with_spaces(tenant: Tenant, caller: Caller) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull,push"), (f"{tenant.prod}/*", "pull"))
    first, second = of(f"{tenant.dev}/app", "pull,push"), of(f"{tenant.prod}/app", "pull")
    catalog = "registry:catalog:*"
    wanted = [first, second, catalog]
    assert scope_of(caller.get(robot.id, secret, *wanted)) == wanted
    assert scope_of(caller.get(robot.id, secret, " ".join(wanted))) == wanted
    assert scope_of(caller.get(robot.id, secret, f"{first} {second}", catalog)) == wanted
    for scopes in (wanted, [" ".join(wanted)]):
        assert scope_of(caller.post("password", *scopes, username=robot.id, password=secret)) == wanted


def test_what_is_granted_is_what_was_asked_and_is_had(tenant: Tenant, caller: Caller) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull,push"), (f"{tenant.prod}/app", "pull"))
    dev, prod = f"{tenant.dev}/app", f"{tenant.prod}/app"
    for asked, granted in (
        (of(dev, "pull"), [of(dev, "pull")]),
        (of(dev, "pull,push,delete"), [of(dev, "pull,push")]),
        (of(dev, "*"), [of(dev, "pull,push")]),
        (of(dev, "delete"), []),
        (of(prod, "pull,push"), [of(prod, "pull")]),
        (of(f"{tenant.prod}/other", "pull"), []),
        (of(tenant.dev, "pull"), []),
        (of("none/app", "pull"), []),
        (of(f"{tenant.dev}/*", "pull"), []),
        (of(f"{tenant.dev}/APP", "pull"), []),
        (of(f"{tenant.dev}/../{tenant.prod}/app", "pull"), []),
        (of(f"{tenant.dev}/caf\u00e9", "pull"), []),
        ("registry:catalog:pull", []),
        ("", []),
    ):
        assert scope_of(caller.get(robot.id, secret, asked)) == granted, asked


def test_a_pattern_asked_for_is_a_name_and_opens_nothing(tenant: Tenant, caller: Caller) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull,push"))
    token = caller.get(robot.id, secret, of(f"{tenant.dev}/*", "pull")).document["token"]
    refused(caller.bearing(token, "GET", f"/v2/{tenant.dev}/app/tags/list"), 401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    "name",
    [
        "/app",
        "//",
        "x" * 256 + "/app",
        "x" * 64 + "/app",
        "caf\u00e9/app",
        "\0/app",
        "../app",
        "DEV/app",
        "a//b",
    ],
)
@pytest.mark.parametrize("actions", ["pull", "pull,push", "*"])
def test_a_scope_that_names_no_registry_is_granted_nothing(caller: Caller, name: str, actions: str) -> None:
    answer = caller.get("admin", PASSWORD, of(name, actions))
    assert (answer.status, answer.document["scope"]) == (200, "")


def test_fifty_scopes_are_enough(caller: Caller) -> None:
    assert caller.get("admin", PASSWORD, *(of(f"r{n}/app", "pull") for n in range(50))).status == 200
    answer = caller.get("admin", PASSWORD, *(of(f"r{n}/app", "pull") for n in range(51)))
    refused(answer, 400, "UNSUPPORTED", "at most 50")
    answer = caller.get("admin", PASSWORD, " ".join(["nothing"] * 51))
    refused(answer, 400, "UNSUPPORTED", "at most 50")


def test_a_scope_longer_than_any_can_be_is_refused(caller: Caller, deployment: Deployment) -> None:
    long = of("dev/" + "x" * 600, "pull")
    for answer_of in (
        lambda: caller.get("admin", PASSWORD, "registry:catalog:*", long),
        lambda: caller.post("password", long, username="admin", password=PASSWORD),
    ):
        with operations(deployment) as seen:
            answer = answer_of()
        refused(answer, 400, "UNSUPPORTED", "at most 512 characters")
        assert answer.document["error"] == "invalid_scope"
        assert not seen


def test_a_user_gets_what_the_role_in_the_project_allows(
    tenant: Tenant, caller: Caller, deployment: Deployment
) -> None:
    user, secret = deployment.desk.create_user(tenant.admin, f"ada-{tenant.suffix}", {})
    dev = f"{tenant.dev}/app"
    asked = of(dev, "pull,push,delete")
    assert scope_of(caller.get(user.id, secret, asked)) == []
    for role, granted in (("viewer", "pull"), ("developer", "pull,push"), ("maintainer", "pull,push,delete")):
        user = deployment.desk.set_role(tenant.admin, user, tenant.project.name, role)
        assert scope_of(caller.get(user.id, secret, asked)) == [of(dev, granted)]


def test_nothing_is_granted_in_another_account(
    tenant: Tenant, caller: Caller, deployment: Deployment
) -> None:
    other = f"other-{tenant.suffix}"
    deployment.tenancy.create_account(other)
    stranger, secret = deployment.desk.create_user(
        tenant.admin, f"zoe-{tenant.suffix}", {"*": "owner"}, account=other
    )
    for actions in ("pull", "pull,push", "*"):
        assert scope_of(caller.get(stranger.id, secret, of(f"{tenant.dev}/app", actions))) == []
    registry = deployment.tenancy.store.registry(tenant.dev)
    assert registry is not None
    assert registry.account == "default"


def test_a_token_is_for_its_own_repository_and_not_replayed_elsewhere(tenant: Tenant, caller: Caller) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull,push"), (f"{tenant.prod}/*", "pull"))
    token = caller.get(robot.id, secret, of(f"{tenant.dev}/app", "pull,push")).document["token"]
    assert caller.bearing(token, "GET", f"/v2/{tenant.dev}/app/tags/list").status == 404
    for name in (f"{tenant.dev}/other", f"{tenant.prod}/app", tenant.dev, f"{tenant.dev}/app/x"):
        answer = caller.bearing(token, "GET", f"/v2/{name}/tags/list")
        refused(answer, 401, "UNAUTHORIZED")
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    refused(caller.bearing(token, "DELETE", f"/v2/{tenant.dev}/app/manifests/v1"), 401, "UNAUTHORIZED")
    refused(caller.bearing(token, "GET", "/v2/_catalog"), 401, "UNAUTHORIZED")


def test_a_repository_that_is_there_is_refused_like_one_that_is_not(tenant: Tenant, caller: Caller) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull"))
    admin = caller.get("admin", PASSWORD, of(f"{tenant.prod}/app", "pull,push")).document["token"]
    assert caller.bearing(admin, "POST", f"/v2/{tenant.prod}/app/blobs/uploads/").status == 202
    token = caller.get(robot.id, secret, of(f"{tenant.dev}/app", "pull")).document["token"]

    def told(answer: Answer, name: str) -> tuple[int, str, bytes, tuple[int, int]]:
        return (
            answer.status,
            str(answer.headers).replace(name, "_"),
            answer.body.replace(name.encode(), b"_"),
            answer.calls,
        )

    for authorization in (f"Bearer {token}", basic(robot.id, secret)):
        answers = {
            told(caller.send("GET", f"/v2/{name}/tags/list", authorization=authorization), name)
            for name in (f"{tenant.prod}/app", f"{tenant.prod}/non", f"none-{tenant.suffix}/app")
        }
        assert len(answers) == 1


# What it costs


def test_a_token_takes_one_read_and_one_line_of_the_audit_trail(
    tenant: Tenant, caller: Caller, deployment: Deployment
) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull,push"), (f"{tenant.prod}/*", "pull"))
    scopes = [of(f"{tenant.dev}/app", "pull,push"), of(f"{tenant.prod}/app", "pull"), "registry:catalog:*"]
    with operations(deployment) as first:
        assert caller.get(robot.id, secret, *scopes).status == 200
    assert first == {"BatchGetItem": 1, "PutItem": 1, "UpdateItem": 1, "DeleteItem": 1}
    for answer_of in (
        lambda: caller.get(robot.id, secret, *scopes),
        lambda: caller.get(robot.id, secret),
        lambda: caller.post("password", *scopes, username=robot.id, password=secret),
        lambda: caller.get(robot.id, secret, *(of(f"r{n}/app", "pull") for n in range(50))),
    ):
        with operations(deployment) as seen:
            answer = answer_of()
        assert (answer.status, answer.calls) == (200, (2, 0))
        assert seen == {"BatchGetItem": 1, "PutItem": 1}


def test_a_refresh_takes_one_read_too(tenant: Tenant, caller: Caller, deployment: Deployment) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull"))
    refresh = caller.get(robot.id, secret, offline_token="true").document["refresh_token"]
    with operations(deployment) as seen:
        assert caller.post("refresh_token", refresh_token=refresh).status == 200
    assert seen == {"BatchGetItem": 1, "PutItem": 1}


def test_a_token_is_checked_without_a_read(tenant: Tenant, caller: Caller, deployment: Deployment) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull"))
    token = caller.get(robot.id, secret).document["token"]
    assert caller.bearing(token, "GET", "/v2/").status == 200
    with operations(deployment) as seen:
        for _ in range(20):
            answer = caller.bearing(token, "GET", "/v2/")
            assert (answer.status, answer.calls) == (200, (0, 0))
            refused(caller.bearing(token + "x", "GET", "/v2/"), 401, "UNAUTHORIZED")
    assert not seen


def test_what_is_no_login_is_refused_without_a_read(caller: Caller, deployment: Deployment) -> None:
    with operations(deployment) as seen:
        for _ in range(3):
            refused(caller.send("GET", "/token"), 401, "UNAUTHORIZED")
            refused(caller.send("GET", "/v2/"), 401, "UNAUTHORIZED")
            refused(caller.get("", ""), 401, "UNAUTHORIZED")
            refused(caller.get("admin", ""), 401, "UNAUTHORIZED")
            refused(caller.get("admin", "x" * 9000), 401, "UNAUTHORIZED")
            refused(caller.post("refresh_token", refresh_token="a.b.c"), 401, "UNAUTHORIZED")
            refused(caller.post("refresh_token"), 400, "UNSUPPORTED")
            refused(caller.post("password"), 400, "UNSUPPORTED")
            refused(caller.exchange("", "a.b.c"), 400, "UNSUPPORTED")
    assert not seen


# Refresh tokens


def test_a_refresh_token_comes_to_those_who_ask_for_one(tenant: Tenant, caller: Caller) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull"))
    login = {"username": robot.id, "password": secret}
    assert "refresh_token" in caller.get(robot.id, secret, offline_token="true").document
    assert "refresh_token" in caller.post("password", access_type="offline", **login).document
    assert "refresh_token" not in caller.get(robot.id, secret).document
    assert "refresh_token" not in caller.get(robot.id, secret, offline_token="false").document
    assert "refresh_token" not in caller.post("password", access_type="online", **login).document
    assert "refresh_token" not in caller.post("password", **login).document


def test_a_refresh_token_gets_tokens_and_is_none(tenant: Tenant, caller: Caller) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull"))
    first = caller.get(robot.id, secret, offline_token="true")
    refresh, access = first.document["refresh_token"], first.document["token"]
    scope = of(f"{tenant.dev}/app", "pull")
    answer = caller.post("refresh_token", of(f"{tenant.dev}/app", "pull,push"), refresh_token=refresh)
    assert scope_of(answer) == [scope]
    claims = claims_of(answer)
    assert claims["exp"] - claims["iat"] == LIFETIME_SECONDS
    refused(caller.bearing(refresh, "GET", "/v2/"), 401, "UNAUTHORIZED")
    refused(caller.post("refresh_token", refresh_token=access), 401, "UNAUTHORIZED")
    refused(caller.get(robot.id, refresh), 401, "UNAUTHORIZED")
    told = jwt.decode(refresh, options={"verify_signature": False})
    assert told["exp"] - told["iat"] == REFRESH_SECONDS


@pytest.mark.parametrize("what", ["rotate", "disable", "narrow", "delete", "make again"])
def test_a_refresh_token_ends_with_what_it_was_given_for(
    tenant: Tenant, caller: Caller, deployment: Deployment, what: str
) -> None:
    desk = deployment.desk
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull,push"))
    refresh = caller.get(robot.id, secret, offline_token="true").document["refresh_token"]
    robot = desk.change(tenant.admin, robot, title="a change that takes nothing away")
    assert caller.post("refresh_token", refresh_token=refresh).status == 200
    if what == "rotate":
        robot, _ = desk.rotate(tenant.admin, robot, 60)
        assert caller.post("refresh_token", refresh_token=refresh).status == 200
        desk.rotate(tenant.admin, robot, 0)
    elif what == "disable":
        desk.change(tenant.admin, robot, is_disabled=True)
    elif what == "narrow":
        desk.change(tenant.admin, robot, grants=[next(iter(robot.grants))])
        assert caller.post("refresh_token", refresh_token=refresh).status == 200
        robot = desk.get(tenant.admin, robot.id)
        desk.change(
            tenant.admin, robot, grants=[type(robot.grants[0])(f"{tenant.dev}/app", frozenset({"pull"}))]
        )
    else:
        desk.delete(tenant.admin, robot)
    if what == "make again":
        tenant.robot((f"{tenant.dev}/*", "pull"))
    refused(caller.post("refresh_token", refresh_token=refresh), 401, "UNAUTHORIZED")


# What is taken away


@pytest.fixture
def revocation_clock(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time that passes for the look at what was revoked, and for nothing else."""
    clock = Clock(time.monotonic() + 10**6)
    monkeypatch.setattr(deployment.services.revocations, "clock", clock)
    monkeypatch.setattr(deployment.services.revocations, "_read", None)
    return clock


@pytest.mark.parametrize(
    "take",
    [
        lambda desk, admin, robot: desk.change(admin, robot, is_disabled=True),
        lambda desk, admin, robot: desk.change(admin, robot, expires=int(time.time()) + 5),
        lambda desk, admin, robot: desk.rotate(admin, robot, 0),
        lambda desk, admin, robot: desk.delete(admin, robot),
    ],
    ids=["disabled", "expires", "rotated at once", "deleted"],
)
def test_a_token_falls_within_seconds_of_what_takes_it_away(
    tenant: Tenant,
    caller: Caller,
    deployment: Deployment,
    revocation_clock: Clock,
    take: Callable[[Any, Any, Any], Any],
) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull,push"))
    other, other_secret = tenant.robot((f"{tenant.dev}/*", "pull"), name="other")
    token = caller.get(robot.id, secret, of(f"{tenant.dev}/app", "pull,push")).document["token"]
    others = caller.get(other.id, other_secret).document["token"]
    upload = caller.bearing(token, "POST", f"/v2/{tenant.dev}/app/blobs/uploads/").headers["location"]
    take(deployment.desk, tenant.admin, robot)
    revocation_clock.now += FRESH_SECONDS + 1
    answer = caller.bearing(token, "GET", "/v2/")
    refused(answer, 401, "UNAUTHORIZED")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    refused(caller.send("PATCH", upload, body=b"bytes"), 404, "BLOB_UPLOAD_UNKNOWN")
    assert caller.bearing(others, "GET", "/v2/").status == 200


def test_a_credential_of_the_same_id_is_another_and_works_at_once(
    tenant: Tenant, caller: Caller, deployment: Deployment, revocation_clock: Clock
) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull,push"))
    old = caller.get(robot.id, secret).document["token"]
    deployment.desk.delete(tenant.admin, robot)
    _, new_secret = tenant.robot((f"{tenant.dev}/*", "pull"))
    refused(caller.get(robot.id, secret), 401, "UNAUTHORIZED")
    new = caller.get(robot.id, new_secret).document["token"]
    revocation_clock.now += FRESH_SECONDS + 1
    assert caller.bearing(new, "GET", "/v2/").status == 200
    refused(caller.bearing(old, "GET", "/v2/"), 401, "UNAUTHORIZED")


def test_tokens_live_through_a_rotation_with_overlap(
    tenant: Tenant, caller: Caller, deployment: Deployment, revocation_clock: Clock
) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull,push"))
    token = caller.get(robot.id, secret, of(f"{tenant.dev}/app", "pull,push")).document["token"]
    upload = caller.bearing(token, "POST", f"/v2/{tenant.dev}/app/blobs/uploads/").headers["location"]
    _, new_secret = deployment.desk.rotate(tenant.admin, robot, 60)
    revocation_clock.now += FRESH_SECONDS + 1
    assert caller.bearing(token, "GET", "/v2/").status == 200
    assert caller.send("PATCH", upload, body=b"bytes").status == 202
    assert caller.get(robot.id, secret).status == caller.get(robot.id, new_secret).status == 200


def test_a_registry_that_is_deleted_gives_no_token_more(
    tenant: Tenant, caller: Caller, deployment: Deployment
) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull"))
    tenancy = deployment.tenancy
    tenancy.begin_deletion(tenancy.registry("default", tenant.dev))
    assert scope_of(caller.get(robot.id, secret, of(f"{tenant.dev}/app", "pull"))) == []
    assert scope_of(caller.get("admin", PASSWORD, of(f"{tenant.dev}/app", "pull,push"))) == []


# Keys


def test_signing_keys_rotate_with_overlap(
    tenant: Tenant, caller: Caller, deploy: Callable[..., Deployment]
) -> None:
    """Two deployments on the same tables, as while a rotation is rolled out."""
    old_key, new_key = SETTINGS.token_keys[0], b"the next key of the tests".ljust(32)
    during, after = deploy(token_keys=(new_key, old_key)), deploy(token_keys=(new_key,))
    tenant = Tenant(during)
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull,push"))
    scope = of(f"{tenant.dev}/app", "pull,push")
    old, new = (
        Caller(one).get(robot.id, secret, scope, offline_token="true").document
        for one in (caller.deployment, during)
    )
    upload = caller.bearing(old["token"], "POST", f"/v2/{tenant.dev}/app/blobs/uploads/").headers["location"]
    assert Caller(during).bearing(old["token"], "GET", "/v2/").status == 200
    assert Caller(during).send("PATCH", upload, body=b"bytes").status == 202
    assert Caller(during).post("refresh_token", refresh_token=old["refresh_token"]).status == 200
    assert Caller(after).bearing(new["token"], "GET", "/v2/").status == 200
    refused(Caller(after).bearing(old["token"], "GET", "/v2/"), 401, "UNAUTHORIZED")
    refused(Caller(after).send("PATCH", upload, body=b"bytes"), 404, "BLOB_UPLOAD_UNKNOWN")
    refused(Caller(after).post("refresh_token", refresh_token=old["refresh_token"]), 401, "UNAUTHORIZED")
    refused(caller.bearing(new["token"], "GET", "/v2/"), 401, "UNAUTHORIZED")


# Registries that open with a push


def test_a_pull_by_basic_opens_no_registry(caller: Caller, tenant: Tenant, deployment: Deployment) -> None:
    name = f"typo-{tenant.suffix}"
    for method, path in (("GET", "tags/list"), ("GET", "manifests/v1"), ("DELETE", "manifests/v1")):
        answer = caller.send(method, f"/v2/{name}/app/{path}", authorization=basic("admin", PASSWORD))
        refused(answer, 403, "DENIED")
    assert deployment.tenancy.store.registry(name) is None
    answer = caller.send("POST", f"/v2/{name}/app/blobs/uploads/", authorization=basic("admin", PASSWORD))
    assert answer.status == 202
    assert deployment.tenancy.store.registry(name) is not None


def test_basic_is_good_for_what_the_request_names(tenant: Tenant, caller: Caller) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull,push"))
    by_basic = basic(robot.id, secret)
    upload = caller.send("POST", f"/v2/{tenant.dev}/app/blobs/uploads/", authorization=by_basic)
    assert upload.status == 202
    refused(
        caller.send("POST", f"/v2/{tenant.prod}/app/blobs/uploads/", authorization=by_basic), 403, "DENIED"
    )
    refused(
        caller.send("DELETE", f"/v2/{tenant.dev}/app/manifests/v1", authorization=by_basic), 403, "DENIED"
    )


def test_a_refused_refresh_token_is_told_in_the_audit_trail_and_counted(
    tenant: Tenant, caller: Caller, deployment: Deployment
) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull"))
    refresh = caller.get(robot.id, secret, offline_token="true").document["refresh_token"]
    deployment.desk.rotate(tenant.admin, robot, 0)
    with operations(deployment) as seen:
        refused(caller.post("refresh_token", refresh_token=refresh), 401, "UNAUTHORIZED")
    assert seen == {"BatchGetItem": 1, "UpdateItem": 1, "PutItem": 1}
    now = int(time.time() * 1000)
    records = list(deployment.trail.read("default", now - 60_000, now + 1000, ""))
    told = [one.detail for one in records if (one.actor, one.result) == (robot.id, "refused")]
    assert told == [{"by": "refresh_token"}]
    assert refresh not in repr(records)


def test_a_refresh_token_of_a_leaked_secret_ends_with_its_overlap(
    tenant: Tenant, caller: Caller, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull"))
    old = caller.get(robot.id, secret, offline_token="true").document["refresh_token"]
    _, new_secret = deployment.desk.rotate(tenant.admin, robot, 120)
    again = caller.post("refresh_token", refresh_token=old, access_type="offline").document
    assert again["expires_in"] <= 120
    new = caller.get(robot.id, new_secret, offline_token="true").document["refresh_token"]
    monkeypatch.setattr(deployment.sign_in, "clock", Clock(time.time() + 121))
    for token, status in ((old, 401), (again["refresh_token"], 401), (new, 200)):
        assert Caller(deployment).post("refresh_token", refresh_token=token).status == status


def test_every_login_is_told_in_the_audit_trail(
    tenant: Tenant, caller: Caller, deployment: Deployment
) -> None:
    robot, secret = tenant.robot((f"{tenant.dev}/*", "pull"))
    scope = of(f"{tenant.dev}/app", "pull")
    refresh = caller.get(robot.id, secret, scope, offline_token="true").document["refresh_token"]
    caller.get(robot.id, "a guess")
    caller.post("refresh_token", refresh_token=refresh)
    now = int(time.time() * 1000)
    records = list(deployment.trail.read("default", now - 60_000, now + 1000, ""))
    mine = [(one.action, one.result, one.detail) for one in reversed(records) if one.actor == robot.id]
    assert mine == [
        ("login", "ok", {"scope": scope}),
        ("login", "refused", {}),
        ("login", "ok", {"scope": ""}),
    ]
    assert {one.address for one in records if one.actor == robot.id} == {caller.address}
    assert secret not in repr(records)
    assert refresh not in repr(records)
