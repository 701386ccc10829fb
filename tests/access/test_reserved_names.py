"""The name of a deleted registry is its account's for thirty days, and then anybody's, with nothing in it."""

from __future__ import annotations

import pytest

from chalicelib.identity.tenancy import RESERVED_SECONDS
from chalicelib.spec.digest import Digest
from tests.access.caller import Caller
from tests.access.estate import IMAGE, Estate, Image, pushed

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
