"""Nobody gets more than they were given: by patterns, as robots, maintainers, owners or operators."""

from __future__ import annotations

from typing import Any

import pytest

from tests.access.caller import Caller
from tests.access.estate import Estate
from tests.access.ground import content

PULL = ["pull"]


def robot(pattern: str, *, project: str = "shop", actions: list[str] | None = None) -> dict[str, Any]:
    grants = [{"pattern": pattern, "actions": actions or PULL}]
    return {"kind": "robot", "id": "spy", "project": project, "grants": grants}


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "**",
        "*/*",
        "/*",
        "dev*",
        "de*/app",
        "d?v/*",
        "[d]ev/*",
        "{dev,lab}/*",
        "dev*/x",
        "dev/[a]pp",
        "dev/?pp",
        "dev/",
        "dev//*",
        "dev/*/",
        "dev/*//x",
        "dev/*\n",
        "dev\n/*",
        "dev/* lab/*",
        "dev/*,lab/*",
        "dev|lab/*",
        "(dev)/*",
        "Dev/*",
        "DEV/*",
        "d\u0435v/*",
        "\uff44\uff45\uff56/*",
        "dev\0/*",
        "dev%2F*",
        "%64ev/*",
        "../dev/*",
        ".*/*",
        "dev/" + "a" * 252,
        "a" * 64 + "/*",
    ],
)
def test_a_pattern_that_is_none_makes_no_robot(estate: Estate, pattern: str) -> None:
    reply = estate.caller("acme-owner").api("POST", "/credentials", robot(pattern))
    assert reply.status == 422, reply
    assert estate.ground.deployment.credentials.get("spy") is None


@pytest.mark.parametrize(
    "pattern",
    ["dev/../lab/app", "dev/..", "dev/*/../../lab/app", "dev/./app*", "dev/-*", "dev/lab/app", "dev/**"],
)
def test_a_pattern_reaches_its_own_registry_alone(estate: Estate, pattern: str) -> None:
    estate.robot("acme-owner", "spy", "shop", (pattern, "pull,push,delete"))
    spy = estate.caller("spy")
    names = ["lab/app", "stage/app", "yard/app", f"{pattern}", "dev/../lab/app"]
    token = spy.with_token(*(f"repository:{name}:pull,push,delete" for name in names))
    for name in names:
        for caller in (spy, token):
            for path in (f"/v2/{name}/tags/list", f"/v2/{name}/manifests/v1"):
                assert caller.v2("GET", path).status in {400, 401, 403, 404}, (name, path)
    assert "lab" not in spy.api("GET", "/registries").body.decode()


@pytest.mark.parametrize(
    "document",
    [
        robot("lab/*"),
        robot("lab/*", project="lab"),
        robot("yard/*"),
        robot("yard/*", project="yard"),
        robot("none/*"),
        robot("dev/*", project="lab"),
        robot("dev/*", project="none"),
        robot("dev/*", project="*"),
        robot("dev/*", project=""),
    ],
)
def test_a_maintainer_makes_robots_in_its_own_project_alone(estate: Estate, document: dict[str, Any]) -> None:
    estate.user("acme-owner", "maintainer", shop="maintainer")
    maintainer = estate.caller("maintainer")
    before = content()
    assert maintainer.api("POST", "/credentials", document).status in {403, 404, 422}
    trust = {"issuer": "https://issuer.test", "audience": "a", "subject": "s"}
    reply = maintainer.api("POST", "/credentials", {**document, "kind": "trust", "trust": trust})
    assert reply.status in {403, 404, 422}
    assert estate.ground.deployment.credentials.get("spy") is None
    assert content() == before
    assert (
        maintainer.api("POST", "/credentials", robot("dev/*", actions=["pull", "push", "delete"])).status
        == 201
    )


def test_one_grant_outside_the_project_spoils_all(estate: Estate) -> None:
    estate.user("acme-owner", "maintainer", shop="maintainer", lab="viewer")
    document = robot("dev/*")
    document["grants"].append({"pattern": "lab/*", "actions": PULL})
    assert estate.caller("maintainer").api("POST", "/credentials", document).status == 404
    assert estate.ground.deployment.credentials.get("spy") is None


def test_changing_a_robot_is_as_hard_as_making_it(estate: Estate) -> None:
    estate.user("acme-owner", "maintainer", shop="maintainer")
    estate.robot("acme-owner", "shop-robot", "shop", ("dev/*", "pull"))
    estate.robot("acme-owner", "lab-robot", "lab", ("lab/*", "pull"))
    maintainer = estate.caller("maintainer")
    for pattern, status in (("lab/*", 404), ("yard/*", 404), ("*", 422), ("stage/*", 200)):
        change = {"grants": [{"pattern": pattern, "actions": ["pull", "push"]}]}
        assert maintainer.api("PATCH", "/credentials/shop-robot", change).status == status
    for method, path, document in (
        ("PATCH", "/credentials/lab-robot", {"title": "mine"}),
        ("POST", "/credentials/lab-robot/rotation", {"overlap_seconds": 0}),
        ("DELETE", "/credentials/lab-robot", None),
    ):
        assert maintainer.api(method, path, document).status == 404


def test_a_registry_that_moves_leaves_the_robots_of_its_project_behind(estate: Estate) -> None:
    """Else the maintainers of the old project would have a way into the new one: its secret."""
    estate.robot("acme-owner", "ci", "shop", ("dev/*", "pull,push"))
    ci, owner = estate.caller("ci"), estate.caller("acme-owner")
    assert ci.v2("GET", "/v2/dev/app/manifests/v1").status == 200
    assert owner.api("PATCH", "/registries/dev", {"project": "lab"}).status == 200
    assert ci.v2("GET", "/v2/dev/app/manifests/v1").status == 403
    assert ci.api("GET", "/registries/dev").status == 404
    assert ci.api("GET", "/repositories/dev%2Fapp").status == 404
    token = ci.v2("GET", "/token", {"scope": "repository:dev/app:pull"})
    assert (token.status, token.document["scope"]) == (200, "")


def test_a_registry_moves_only_between_projects_where_its_mover_keeps_registries(estate: Estate) -> None:
    estate.user("acme-owner", "maintainer", shop="maintainer", lab="developer")
    maintainer = estate.caller("maintainer")
    assert maintainer.api("PATCH", "/registries/dev", {"project": "lab"}).status == 403
    assert maintainer.api("PATCH", "/registries/lab", {"project": "shop"}).status == 403
    assert maintainer.api("PATCH", "/registries/dev", {"project": "yard"}).status == 404


@pytest.mark.parametrize("actions", ["pull", "pull,push,delete"])
def test_a_robot_makes_and_changes_nothing(estate: Estate, actions: str) -> None:
    estate.robot("acme-owner", "robot", "shop", ("dev/*", actions))
    estate.robot("acme-owner", "victim", "shop", ("dev/*", "pull"))
    estate.user("acme-owner", "person", shop="viewer")
    caller = estate.caller("robot")
    before = content()
    for method, path, document in (
        ("POST", "/credentials", robot("dev/*")),
        ("POST", "/credentials", {"kind": "user", "id": "spy", "roles": {"shop": "owner"}}),
        ("POST", "/projects", {"name": "mine"}),
        ("POST", "/registries", {"name": "mine", "project": "shop"}),
        ("POST", "/accounts", {"id": "mine", "owner": "spy"}),
        ("PUT", "/projects/shop/members/robot", {"role": "owner"}),
        ("PUT", "/projects/shop/members/person", {"role": "owner"}),
        ("PATCH", "/credentials/robot", {"grants": [{"pattern": "stage/*", "actions": PULL}]}),
        ("PATCH", "/credentials/robot", {"expires": "2099-01-01T00:00:00Z"}),
        ("PATCH", "/credentials/victim", {"disabled": True}),
        ("POST", "/credentials/victim/rotation", {"overlap_seconds": 0}),
        ("POST", "/credentials/person/rotation", {"overlap_seconds": 0}),
        ("DELETE", "/credentials/robot", None),
        ("DELETE", "/credentials/victim", None),
        ("DELETE", "/registries/dev", None),
        ("PATCH", "/registries/dev", {"project": "lab"}),
    ):
        assert caller.api(method, path, document).status in {403, 404}, (method, path)
    assert content() == before
    assert estate.ground.deployment.credentials.get("spy") is None


def test_a_robot_rotates_its_own_secret_and_is_what_it_was(estate: Estate) -> None:
    estate.robot("acme-owner", "robot", "shop", ("dev/app", "pull"))
    before = estate.ground.deployment.credentials.get("robot")
    reply = estate.caller("robot").api("POST", "/credentials/robot/rotation", {"overlap_seconds": 60})
    assert reply.status == 201
    after = estate.ground.deployment.credentials.get("robot")
    assert before is not None
    assert after is not None
    assert (after.grants, after.project, after.kind) == (before.grants, before.project, before.kind)


def test_an_owner_of_a_project_raises_nobody_beyond_it_and_never_itself(estate: Estate) -> None:
    estate.user("acme-owner", "boss", shop="owner")
    estate.user("acme-owner", "person", lab="viewer")
    boss = estate.caller("boss")
    for path, document in (
        ("/projects/shop/members/boss", {"role": "owner"}),
        ("/projects/shop/members/boss", {"role": "viewer"}),
        ("/projects/lab/members/boss", {"role": "owner"}),
        ("/projects/lab/members/person", {"role": "owner"}),
        ("/projects/*/members/boss", {"role": "owner"}),
        ("/projects/*/members/person", {"role": "owner"}),
        ("/projects/%2A/members/person", {"role": "owner"}),
        ("/projects//members/person", {"role": "owner"}),
    ):
        assert boss.api("PUT", path, document).status in {403, 404}, path
    for roles in ({"*": "owner"}, {"lab": "owner"}, {"shop": "owner"}):
        made = boss.api("POST", "/credentials", {"kind": "user", "id": "spy", "roles": roles})
        assert made.status == 403
    for path in ("/credentials/person", "/credentials/acme-owner", "/credentials/boss"):
        assert boss.api("PATCH", path, {"title": "mine"}).status in {403, 404}
        assert boss.api("DELETE", path).status in {403, 404}
    assert boss.api("POST", "/credentials/acme-owner/rotation", {}).status == 404
    assert boss.api("PUT", "/projects/shop/members/person", {"role": "maintainer"}).status == 200
    person = estate.ground.deployment.credentials.get("person")
    assert person is not None
    assert dict(person.roles) == {"lab": "viewer", "shop": "maintainer"}


def test_nobody_disables_or_deletes_or_demotes_itself(estate: Estate) -> None:
    owner = estate.caller("acme-owner")
    assert owner.api("PATCH", "/credentials/acme-owner", {"disabled": True}).status == 403
    assert owner.api("DELETE", "/credentials/acme-owner").status == 403
    assert owner.api("DELETE", "/projects/*/members/acme-owner").status == 403
    assert owner.api("GET", "/whoami").status == 200


def test_an_owner_of_everything_gives_and_takes_roles_everywhere(estate: Estate) -> None:
    estate.user("acme-owner", "person")
    owner, person = estate.caller("acme-owner"), estate.caller("person")
    assert owner.api("PUT", "/projects/*/members/person", {"role": "viewer"}).status == 200
    assert person.v2("GET", "/v2/lab/app/tags/list").status == 200
    assert person.v2("GET", "/v2/dev/app/tags/list").status == 200
    assert person.v2("GET", "/v2/yard/app/tags/list").status == 403
    assert owner.api("DELETE", "/projects/*/members/person").status == 204
    assert person.v2("GET", "/v2/lab/app/tags/list").status == 403


def test_who_may_not_change_members_learns_of_no_user(estate: Estate) -> None:
    estate.user("acme-owner", "viewer", shop="viewer")
    estate.user("acme-owner", "person", lab="viewer")
    viewer = estate.caller("viewer")
    viewer.api("GET", "/whoami")
    for method, document in (("PUT", {"role": "viewer"}), ("DELETE", None)):
        asked = [
            viewer.api(method, f"/projects/shop/members/{name}", document)
            for name in ("person", "nobody", "rival-owner")
        ]
        assert {(one.status, one.body, one.calls) for one in asked} == {(403, asked[0].body, asked[0].calls)}


def test_a_user_of_another_account_is_no_member(estate: Estate) -> None:
    owner = estate.caller("acme-owner")
    asked = [
        owner.api("PUT", f"/projects/shop/members/{name}", {"role": "viewer"}).about(name, "-")
        for name in ("rival-owner", "rival-ownex")
    ]
    assert asked[0] == asked[1]
    assert asked[0].status == 404


def test_a_role_everywhere_ends_at_the_account(estate: Estate) -> None:
    owner, rival = estate.caller("acme-owner"), estate.caller("rival-owner")
    for caller, name in ((owner, "yard/app"), (rival, "dev/app")):
        token = caller.with_token(f"repository:{name}:pull,push,delete")
        for one in (caller, token):
            for method, path in (
                ("GET", "manifests/v1"),
                ("POST", "blobs/uploads/"),
                ("DELETE", "manifests/v1"),
            ):
                assert one.v2(method, f"/v2/{name}/{path}").status in {401, 403}
        blob = estate.images[name].blob
        own = "dev/app" if name == "yard/app" else "yard/app"
        for source in ({}, {"from": name}):
            reply = caller.v2("POST", f"/v2/{own}/blobs/uploads/", {"mount": blob, **source})
            assert reply.status == 202, "mounted from another account"


def test_an_operator_keeps_accounts_and_reaches_nothing_in_them(estate: Estate) -> None:
    operator = estate.caller("admin")
    assert {one["id"] for one in operator.api("GET", "/accounts").document["items"]} == {
        "default",
        "acme",
        "rival",
    }
    assert operator.api("GET", "/accounts/acme").status == 200
    for method, path, document in (
        ("GET", "/projects/shop", None),
        ("GET", "/registries/dev", None),
        ("GET", "/repositories/dev%2Fapp", None),
        ("GET", "/credentials/acme-owner", None),
        ("POST", "/credentials/acme-owner/rotation", {"overlap_seconds": 0}),
        ("PATCH", "/credentials/acme-owner", {"disabled": True}),
        ("PUT", "/projects/shop/members/admin", {"role": "owner"}),
        ("POST", "/registries", {"name": "mine", "project": "shop"}),
        ("POST", "/promotions", {"source": "dev/app:v1", "target": "dev/app:v2"}),
    ):
        assert operator.api(method, path, document).status == 404, path
    assert operator.v2("GET", "/v2/dev/app/tags/list").status == 403
    for path in ("/projects", "/registries", "/credentials"):
        said = operator.api("GET", path).body.decode()
        assert not any(name in said for name in ("acme", "shop", '"dev"'))
    assert {one["actor"] for one in operator.api("GET", "/audit").document["items"]} == {"admin"}


def test_an_owner_beside_the_operator_is_none(estate: Estate) -> None:
    """Who could rotate the operator's secret would be the operator."""
    estate.user("admin", "beside", everywhere="owner")
    beside = estate.caller("beside")
    for method, path, document in (
        ("POST", "/credentials/admin/rotation", {"overlap_seconds": 0}),
        ("PATCH", "/credentials/admin", {"disabled": True}),
        ("DELETE", "/credentials/admin", None),
        ("PUT", "/projects/default/members/admin", {"role": "viewer"}),
        ("POST", "/accounts", {"id": "mine", "owner": "spy"}),
        ("DELETE", "/accounts/rival", None),
        ("PATCH", "/accounts/rival", {"title": "mine"}),
    ):
        assert beside.api(method, path, document).status in {403, 404}, path
    assert estate.caller("admin").api("GET", "/whoami").document["operator"] is True


@pytest.mark.parametrize(
    "more",
    [{"is_operator": True}, {"operator": True}, {"account": "rival"}, {"generation": 9}, {"secrets": []}],
)
def test_a_field_that_is_not_for_callers_is_refused(estate: Estate, more: dict[str, Any]) -> None:
    owner = estate.caller("acme-owner")
    user = {"kind": "user", "id": "spy", "roles": {}}
    assert owner.api("POST", "/credentials", {**user, **more}).status == 422
    assert owner.api("POST", "/credentials", {**robot("dev/*"), **more}).status == 422
    assert owner.api("POST", "/credentials", {**robot("dev/*"), "roles": {"shop": "owner"}}).status == 422
    assert estate.ground.deployment.credentials.get("spy") is None


@pytest.mark.parametrize(
    ("source", "target", "status"),
    [
        ("dev/app:v1", "stage/app:v2", 201),
        ("stage/app:v1", "dev/app:v2", 404),
        ("dev/app:v1", "lab/app:v2", 404),
        ("lab/app:v1", "stage/app:v2", 404),
        ("dev/app:v1", "yard/app:v2", 404),
        ("yard/app:v1", "stage/app:v2", 404),
        ("dev/app:v1", "dev/app:v2", 403),
        ("dev/app:v1", "none/app:v2", 404),
    ],
)
def test_a_promotion_takes_pull_there_and_push_here(
    estate: Estate, source: str, target: str, status: int
) -> None:
    estate.robot("acme-owner", "robot", "shop", ("dev/*", "pull"), ("stage/*", "push"))
    before = content()
    reply = estate.caller("robot").api("POST", "/promotions", {"source": source, "target": target})
    assert reply.status == status, reply
    assert (content() == before) == (status != 201)


def test_an_idempotency_key_replays_nothing_of_somebody_else(estate: Estate) -> None:
    document = robot("dev/*")
    owner = estate.caller("acme-owner")
    assert owner.api("POST", "/credentials", document, idempotency_key="k").status == 201
    estate.user("acme-owner", "viewer", shop="viewer")
    for caller in (estate.caller("viewer"), estate.caller("rival-owner"), Caller(estate.ground.deployment)):
        reply = caller.api("POST", "/credentials", document, idempotency_key="k")
        assert reply.status in {401, 403, 404}
        assert "idempotency-replayed" not in reply.headers
