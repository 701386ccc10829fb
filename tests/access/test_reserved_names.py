"""The name of a deleted registry is its account's for thirty days, and then anybody's, with nothing in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.identity.tenancy import RESERVED_SECONDS
from chalicelib.spec.digest import Digest
from tests.access.caller import Caller
from tests.access.estate import IMAGE, Estate, Image, manifest, pushed, put
from tests.identity.callers import basic

DAY = 24 * 3600


def delete(estate: Estate, registry: str = "dev") -> None:
    reply = estate.caller("acme-owner").api("DELETE", f"/registries/{registry}", query={"force": "true"})
    assert reply.status == 204, reply


def take(estate: Estate, by: str, project: str, registry: str = "dev") -> int:
    return estate.caller(by).api("POST", "/registries", {"name": registry, "project": project}).status


@pytest.mark.parametrize("day", [0, 1, 29])
def test_another_account_does_not_get_it(estate: Estate, day: int) -> None:
    delete(estate)
    estate.ground.clock.advance(day * DAY)
    assert take(estate, "rival-owner", "yard") == 409


def test_it_is_refused_as_a_name_in_use_is(estate: Estate) -> None:
    """Whether a name is taken or reserved is its account's business."""
    document = {"name": "dev", "project": "yard"}
    rival = estate.caller("rival-owner")
    rival.api("GET", "/whoami")
    in_use = rival.api("POST", "/registries", document)
    delete(estate)
    assert rival.api("POST", "/registries", document) == in_use


@pytest.mark.parametrize("day", [0, 1, 29, 31])
def test_its_own_account_gets_it_at_any_time(estate: Estate, day: int) -> None:
    delete(estate)
    estate.ground.clock.advance(day * DAY)
    assert take(estate, "acme-owner", "lab") == 201
    assert take(estate, "rival-owner", "yard") == 409


@pytest.mark.parametrize("day", [0, 31])
def test_another_project_does_not_get_what_is_kept_of_it(estate: Estate, day: int) -> None:
    """Deleted images come back by the name, and the history of tags is shown by it."""
    user = {"kind": "user", "id": "lab-head", "roles": {"lab": "owner"}}
    secret = estate.made("acme-owner", "/credentials", user)["secret"]
    head = Caller(estate.ground.deployment, basic("lab-head", secret))
    document = {"name": "dev", "project": "lab"}
    head.api("GET", "/whoami")
    in_use = head.api("POST", "/registries", document)
    delete(estate)
    estate.ground.clock.advance(day * DAY)
    refused = head.api("POST", "/registries", document)
    assert (refused.status, refused.body) == (in_use.status, in_use.body) == (409, in_use.body)
    assert head.api("GET", "/repositories/dev%2Fapp/trash").status == 404
    assert take(estate, "acme-owner", "shop") == 201


def test_anybody_gets_it_after_thirty_days(estate: Estate) -> None:
    delete(estate)
    estate.ground.clock.advance(RESERVED_SECONDS - 1)
    assert take(estate, "rival-owner", "yard") == 409
    estate.ground.clock.advance(3)
    assert take(estate, "rival-owner", "yard") == 201
    assert take(estate, "acme-owner", "shop") == 409


def test_two_who_wait_for_it_do_not_both_get_it(estate: Estate) -> None:
    delete(estate)
    estate.ground.clock.advance(RESERVED_SECONDS + 1)
    estate.made("admin", "/accounts", {"id": "third", "owner": "third-owner"})
    answered = [take(estate, "rival-owner", "yard"), take(estate, "third-owner", "default")]
    assert answered == [201, 409]


def test_neither_credentials_nor_content_go_with_the_name(estate: Estate) -> None:
    estate.robot("acme-owner", "ci", "shop", ("dev/*", "pull,push,delete"))
    image = estate.images["dev/app"]
    delete(estate)
    estate.ground.clock.advance(RESERVED_SECONDS + 1)
    assert take(estate, "rival-owner", "yard") == 201
    assert not found(estate.caller("rival-owner"), image)
    estate.push("rival-owner", "dev/app")
    for id_ in ("ci", "acme-owner"):
        caller = estate.caller(id_)
        assert caller.v2("GET", "/v2/dev/app/manifests/v1").status == 403
        assert caller.api("GET", "/registries/dev").status == 404
        assert "dev" not in caller.v2("GET", "/token", {"scope": "repository:dev/app:pull"}).document["scope"]


@pytest.mark.parametrize("day", [0, 31])
def test_what_was_granted_on_it_is_nothing_on_the_next_of_its_name(estate: Estate, day: int) -> None:
    """In the same project of the same account, where no other check would tell them apart."""
    grants = ("dev/*", "pull,push,delete"), ("stage/*", "pull")
    estate.robot("acme-owner", "ci", "shop", *grants)
    token = estate.caller("ci").with_token("repository:dev/app:pull,push")
    delete(estate)
    estate.ground.clock.advance(day * DAY)
    assert take(estate, "acme-owner", "shop") == 201
    estate.push("acme-owner", "dev/app")
    estate.ground.let_revocations_arrive()
    assert token.v2("GET", "/v2/dev/app/manifests/v1").status == 401
    robot, owner = estate.caller("ci"), estate.caller("acme-owner")
    assert robot.v2("GET", "/v2/dev/app/manifests/v1").status == 403
    assert robot.v2("GET", "/token", {"scope": "repository:dev/app:pull"}).document["scope"] == ""
    assert robot.api("GET", "/registries/dev").status == 404
    assert robot.v2("GET", "/v2/stage/app/manifests/v1").status == 200
    assert owner.api("GET", "/credentials/ci").document["grants"] == [
        {"pattern": "stage/*", "actions": ["pull"]}
    ]
    again = [{"pattern": pattern, "actions": actions.split(",")} for pattern, actions in grants]
    assert owner.api("PATCH", "/credentials/ci", {"grants": again}).status == 200
    assert robot.v2("GET", "/v2/dev/app/manifests/v1").status == 200


def test_a_grant_that_a_deletion_missed_is_nothing_on_the_next_of_its_name(estate: Estate) -> None:
    """Lists of credentials are a second behind, and a robot may be made in that second."""
    estate.robot("acme-owner", "ci", "shop", ("dev/*", "pull,push"))
    store = estate.ground.deployment.credentials
    missed = store.get("ci")
    assert missed is not None
    delete(estate)
    held = store.get("ci")
    assert held is not None
    assert store.put(replace(held, grants=missed.grants, version=held.version + 1))
    assert take(estate, "acme-owner", "shop") == 201
    estate.push("acme-owner", "dev/app")
    assert estate.caller("ci").v2("GET", "/v2/dev/app/manifests/v1").status == 403
    assert estate.caller("ci").api("GET", "/registries/dev").status == 404


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_a_users_token_and_upload_end_with_it(estate: Estate, how: str) -> None:
    """Whatever roles the user has where it is, or where the next of its name is."""
    estate.user("acme-owner", "coder", shop="developer")
    coder, owner = estate.caller("coder"), estate.caller("acme-owner")
    tokens = [one.with_token("repository:dev/app:pull,push") for one in (coder, owner)]
    other = coder.with_token("repository:stage/app:pull")
    uploads = [one.v2("POST", "/v2/dev/app/blobs/uploads/").headers["location"] for one in [*tokens, coder]]
    estate.ground.clock.advance(1)
    if how == "deleted":
        delete(estate)
        assert take(estate, "acme-owner", "lab") == 201
        estate.push("acme-owner", "dev/app")
    else:
        assert owner.api("PATCH", "/registries/dev", {"project": "lab"}).status == 200
    estate.ground.let_revocations_arrive()
    for token in tokens:
        refused = token.v2("GET", "/v2/dev/app/manifests/v1")
        assert refused.status == 401
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    for upload in uploads:
        assert Caller(estate.ground.deployment).v2("PATCH", upload, body=b"x").status == 404
    assert other.v2("GET", "/v2/stage/app/manifests/v1").status == 200
    assert coder.v2("GET", "/v2/dev/app/manifests/v1").status == 403
    again = owner.with_token("repository:dev/app:pull,push")
    assert again.v2("GET", "/v2/dev/app/manifests/v1").status == 200
    for caller in (again, owner):
        opened = caller.v2("POST", "/v2/dev/app/blobs/uploads/")
        assert (
            Caller(estate.ground.deployment).v2("PATCH", opened.headers["location"], body=b"x").status == 202
        )


def test_the_robot_named_after_it_goes_with_it_and_comes_anew(estate: Estate) -> None:
    owner = estate.caller("acme-owner")
    made = owner.api("POST", "/registries", {"name": "fresh", "project": "shop"}).document
    assert made["credential"] == "fresh"
    first = replace(owner, authorization=basic("fresh", made["secret"]))
    assert first.v2("POST", "/v2/fresh/app/blobs/uploads/").status == 202
    token = first.with_token("repository:fresh/app:pull,push")
    delete(estate, "fresh")
    assert owner.api("GET", "/credentials/fresh").status == 404
    assert first.v2("GET", "/v2/").status == 401
    estate.ground.let_revocations_arrive()
    assert token.v2("GET", "/v2/").status == 401
    again = owner.api("POST", "/registries", {"name": "fresh", "project": "shop"}).document
    assert again["credential"] == "fresh"
    assert first.v2("GET", "/v2/").status == 401
    second = replace(owner, authorization=basic("fresh", again["secret"]))
    assert second.v2("POST", "/v2/fresh/app/blobs/uploads/").status == 202


def test_what_was_had_in_a_deleted_project_is_nothing_in_the_next_of_its_name(estate: Estate) -> None:
    owner = estate.caller("acme-owner")
    estate.made("acme-owner", "/projects", {"name": "brief"})
    estate.made("acme-owner", "/registries", {"name": "short", "project": "brief"})
    estate.robot("acme-owner", "brief-ci", "brief", ("short/*", "pull"))
    estate.user("acme-owner", "coder", brief="maintainer", shop="viewer")
    delete(estate, "short")
    assert owner.api("DELETE", "/projects/brief").status == 204
    assert owner.api("GET", "/credentials/brief-ci").status == 404
    assert owner.api("GET", "/credentials/coder").document["roles"] == {"shop": "viewer"}
    estate.made("acme-owner", "/projects", {"name": "brief"})
    assert estate.caller("coder").api("GET", "/projects/brief").status == 404
    assert estate.caller("coder").api("GET", "/projects/shop").status == 200


def test_nobody_gets_the_id_of_a_deleted_account(estate: Estate) -> None:
    """Its audit trail stays under that id."""
    admin = estate.caller("admin")
    estate.made("admin", "/accounts", {"id": "third", "owner": "third-owner"})
    assert estate.caller("third-owner").api("DELETE", "/projects/default").status == 204
    etag = admin.api("GET", "/accounts/third").headers["etag"]
    assert admin.api("DELETE", "/accounts/third").status == 204
    assert estate.caller("third-owner").api("GET", "/whoami").status == 401
    assert admin.api("GET", "/accounts/third").status == 404
    assert admin.api("PATCH", "/accounts/third", {"title": "back"}, if_match=etag).status == 404
    assert "third" not in {one["id"] for one in admin.api("GET", "/accounts").document["items"]}
    estate.ground.clock.advance(RESERVED_SECONDS + 1)
    for owner in ("third-owner", "another-owner"):
        assert admin.api("POST", "/accounts", {"id": "third", "owner": owner}).status == 409


def test_an_account_whose_owner_could_not_be_made_leaves_its_id_free(estate: Estate) -> None:
    admin = estate.caller("admin")
    assert admin.api("POST", "/accounts", {"id": "third", "owner": "acme-owner"}).status == 409
    assert admin.api("POST", "/accounts", {"id": "third", "owner": "third-owner"}).status == 201


def test_a_push_just_after_a_deletion_leaves_nothing_for_the_next_of_the_name(estate: Estate) -> None:
    """With a token from before, which counts until revocations arrive."""
    estate.user("acme-owner", "coder", shop="developer")
    estate.user("acme-owner", "keeper", lab="maintainer")
    token = estate.caller("coder").with_token("repository:dev/app:pull,push")
    layer = b"layer of dev/app"
    assert token.v2("GET", "/v2/dev/app/manifests/v1").status == 200
    delete(estate)
    for blob in (b"{}", layer):
        pushed(token, "dev/app", blob)
    put(token, "dev/app", "v1", manifest(b"{}", layer))
    assert take(estate, "acme-owner", "lab") == 201
    keeper = estate.caller("keeper")
    assert keeper.api("GET", "/registries/dev/repositories").document["items"] == []
    assert keeper.v2("GET", "/v2/dev/app/manifests/v1").status == 404
    assert keeper.v2("HEAD", f"/v2/dev/app/blobs/{Digest.of(layer)}").status == 404


@pytest.mark.parametrize("how", ["deleted", "moved"])
@pytest.mark.parametrize("wide", [False, True], ids=["by scope", "everywhere"])
def test_nothing_is_mounted_from_it_with_a_token_from_before(estate: Estate, how: str, *, wide: bool) -> None:
    estate.user("acme-owner", "coder", shop="developer", lab="developer")
    by = estate.caller("acme-owner" if wide else "coder")
    scopes = ["repository:lab/steal:pull,push", *([] if wide else ["repository:dev/app:pull"])]
    token, blob = by.with_token(*scopes), estate.images["dev/app"].blob
    query = {"mount": str(blob), "from": "dev/app"}
    other = {"mount": str(estate.images["stage/app"].blob), "from": "stage/app"}
    estate.ground.clock.advance(1)
    if how == "deleted":
        delete(estate)
    else:
        moved = estate.caller("acme-owner").api("PATCH", "/registries/dev", {"project": "lab"})
        assert moved.status == 200
    estate.ground.let_revocations_arrive()
    assert token.v2("POST", "/v2/lab/steal/blobs/uploads/", query).status == 202
    assert token.v2("HEAD", f"/v2/lab/steal/blobs/{blob}").status == 404
    if wide:
        assert token.v2("POST", "/v2/lab/steal/blobs/uploads/", other).status == 201


def test_a_blob_that_no_repository_has_is_mounted_from_nowhere(estate: Estate) -> None:
    owner = estate.caller("acme-owner")
    digest = pushed(owner, "dev/app", b"nobody's soon")
    path, query = "/v2/lab/app/blobs/uploads/", {"mount": str(digest)}
    everywhere = owner.with_token("repository:lab/app:pull,push")
    assert owner.v2("DELETE", f"/v2/dev/app/blobs/{digest}").status == 202
    assert everywhere.v2("POST", path, query).status == 202
    pushed(owner, "dev/app", b"nobody's soon")
    assert everywhere.v2("POST", path, query).status == 201


def test_a_deleted_registry_is_as_one_that_never_was(estate: Estate) -> None:
    delete(estate)
    for id_ in ("acme-owner", "rival-owner"):
        caller = estate.caller(id_)
        caller.v2("GET", "/v2/")
        for path in ("tags/list", "manifests/v1", f"blobs/{estate.images['dev/app'].blob}"):
            gone, never = (caller.v2("GET", f"/v2/{name}/{path}") for name in ("dev/app", "deq/app"))
            assert gone.about("dev/app", "deq/app") == never
        gone, never = (caller.api("GET", f"/registries/{name}") for name in ("dev", "deq"))
        assert gone.about("dev", "deq") == never


def test_a_blob_that_no_manifest_names_does_not_go_with_the_name(estate: Estate) -> None:
    """A repository that nothing but blobs were pushed to is in no list."""
    digest = pushed(estate.caller("acme-owner"), "dev/blobs", b"of acme alone")
    delete(estate)
    estate.ground.clock.advance(RESERVED_SECONDS + 1)
    assert take(estate, "rival-owner", "yard") == 201
    assert estate.caller("rival-owner").v2("GET", f"/v2/dev/blobs/blobs/{digest}").status == 404


def test_a_push_that_goes_on_after_the_deletion_does_not_go_with_the_name(estate: Estate) -> None:
    """A token lives for minutes more, and so does the capability of an upload."""
    image = estate.images["dev/app"]
    token = estate.caller("acme-owner").with_token("repository:dev/app:pull,push")
    delete(estate)
    for blob in (image.layer, b"config of dev/app"):
        token.v2("POST", "/v2/dev/app/blobs/uploads/", {"digest": Digest.of(blob)}, blob)
    token.v2("PUT", "/v2/dev/app/manifests/v1", body=image.raw, content_type=IMAGE)
    estate.ground.clock.advance(RESERVED_SECONDS + 1)
    assert take(estate, "rival-owner", "yard") == 201
    assert not found(estate.caller("rival-owner"), image)


def found(caller: Caller, image: Image) -> bool:
    """Whether anything of the image is to be had."""
    name = image.repository
    paths = ("manifests/v1", f"manifests/{image.digest}", f"blobs/{image.blob}")
    statuses = {caller.v2("GET", f"/v2/{name}/{path}").status for path in paths}
    referrers = caller.v2("GET", f"/v2/{name}/referrers/{image.digest}").document["manifests"]
    return statuses != {404} or bool(referrers)
