"""What was taken away stops, also in the middle of a push: tokens and capabilities within a minute."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.identity.capability import LIFETIME_SECONDS as CAPABILITY_SECONDS
from chalicelib.identity.credential_desk import CredentialDesk
from chalicelib.identity.refusals import RefusedError
from chalicelib.identity.revocations import FRESH_SECONDS
from chalicelib.spec.digest import Digest
from tests.access.caller import Caller, Reply
from tests.access.estate import Estate
from tests.access.ground import content

SCOPE = "repository:dev/app:pull,push,delete"
LAYER = b"a layer in two parts"


class Push:
    """One that is under way: a token, and an upload with its first bytes in."""

    def __init__(self, estate: Estate, id_: str = "ci") -> None:
        self.estate, self.id = estate, id_
        estate.robot("acme-owner", id_, "shop", ("dev/*", "pull,push"))
        self.caller = estate.caller(id_)
        opened = self.caller.v2("GET", "/token", {"scope": SCOPE, "offline_token": "true"}).document
        self.refresh = opened["refresh_token"]
        self.bearer = Caller(estate.ground.deployment, f"Bearer {opened['token']}")
        self.anonymous = Caller(estate.ground.deployment)
        self.location = self.bearer.v2("POST", "/v2/dev/app/blobs/uploads/").headers["location"]
        answered = self.patch(LAYER[:5])
        assert answered.status == 202
        self.location = answered.headers["location"]

    def patch(self, part: bytes) -> Reply:
        return self.anonymous.v2("PATCH", self.location, body=part)

    def close(self) -> Reply:
        return self.anonymous.v2("PUT", self.location, {"digest": Digest.of(LAYER)}, LAYER[5:])

    def tag(self) -> Reply:
        image = self.estate.images["dev/app"]
        media_type = "application/vnd.oci.image.manifest.v1+json"
        return self.bearer.v2("PUT", "/v2/dev/app/manifests/v2", body=image.raw, content_type=media_type)

    def renew(self) -> Reply:
        form = f"grant_type=refresh_token&refresh_token={self.refresh}&scope={SCOPE}"
        return self.anonymous.v2("POST", "/token", body=form.encode())

    def is_over(self) -> bool:
        """Nothing of it goes on: not its secret, tokens, refresh token, nor its upload; nothing changes."""
        before = content()
        asked = [self.close(), self.patch(b"x"), self.anonymous.v2("GET", self.location)]
        assert {one.status for one in asked} == {404}, asked
        asked = [self.tag(), self.renew(), self.bearer.v2("GET", "/v2/"), self.caller.v2("GET", "/v2/")]
        assert content() == before
        return {one.status for one in asked} == {401}


def change(estate: Estate, method: str, path: str, document: Any = None) -> None:
    assert estate.caller("acme-owner").api(method, path, document).status < 300


TAKEN: dict[str, Callable[[Estate], None]] = {
    "deleted": lambda estate: change(estate, "DELETE", "/credentials/ci"),
    "disabled": lambda estate: change(estate, "PATCH", "/credentials/ci", {"disabled": True}),
    "rotated without overlap": lambda estate: change(
        estate, "POST", "/credentials/ci/rotation", {"overlap_seconds": 0}
    ),
}


@pytest.mark.parametrize("how", TAKEN)
def test_a_push_ends_when_its_credential_is_taken_away(estate: Estate, how: str) -> None:
    push = Push(estate)
    TAKEN[how](estate)
    assert push.caller.v2("GET", "/v2/").status == 401, "by secret it counts at once"
    estate.ground.let_revocations_arrive()
    assert push.is_over()


def test_revocations_arrive_within_a_minute() -> None:
    assert FRESH_SECONDS <= 60


def test_a_token_lives_no_longer_than_the_look_at_what_was_revoked(estate: Estate) -> None:
    push = Push(estate)
    assert push.bearer.v2("GET", "/v2/").status == 200
    TAKEN["deleted"](estate)
    estate.ground.clock.advance(FRESH_SECONDS - 1)
    still = push.bearer.v2("GET", "/v2/").status
    estate.ground.clock.advance(2)
    assert (still, push.bearer.v2("GET", "/v2/").status) == (200, 401)


def test_fewer_grants_end_a_push_and_more_do_not(estate: Estate) -> None:
    push = Push(estate)
    more = {"grants": [{"pattern": "stage/*", "actions": ["pull"]}]}
    change(estate, "PATCH", "/credentials/ci", more)
    estate.ground.let_revocations_arrive()
    assert push.close().status == 404
    assert push.tag().status == 401
    assert push.renew().status == 401
    assert push.caller.v2("GET", "/v2/stage/app/tags/list").status == 200
    assert push.caller.v2("GET", "/v2/dev/app/tags/list").status == 403


def test_a_push_goes_on_through_a_rotation_with_overlap(estate: Estate) -> None:
    push = Push(estate)
    before = push.caller
    change(estate, "POST", "/credentials/ci/rotation", {"overlap_seconds": 300})
    estate.ground.let_revocations_arrive()
    assert push.patch(LAYER[5:7]).status == 202
    assert before.v2("GET", "/v2/").status == 200
    assert push.tag().status == 201
    estate.ground.clock.advance(301)
    assert before.v2("GET", "/v2/").status == 401, "the secret before lives for the overlap"


def test_the_second_rotation_ends_the_secret_before_the_last(estate: Estate) -> None:
    push = Push(estate)
    owner, rotation = estate.caller("acme-owner"), ("POST", "/credentials/ci/rotation")
    etag = owner.api(*rotation, {"overlap_seconds": 600}).headers["etag"]
    estate.ground.let_revocations_arrive()
    assert push.bearer.v2("GET", "/v2/").status == 200
    assert owner.api(*rotation, {"overlap_seconds": 600}, if_match=etag).status == 201
    assert push.caller.v2("GET", "/v2/").status == 401
    estate.ground.let_revocations_arrive()
    assert push.bearer.v2("GET", "/v2/").status == 401, "its token ends with it"


def test_a_second_rotation_while_the_first_goes_on_says_that_it_means_it(estate: Estate) -> None:
    """Two pipelines that rotate by schedule would else end the secret that every job still has."""
    push = Push(estate)
    owner, rotation = estate.caller("acme-owner"), ("POST", "/credentials/ci/rotation")
    assert owner.api(*rotation, {"overlap_seconds": 600}).status == 201
    assert owner.api(*rotation, {"overlap_seconds": 600}).status == 409
    assert owner.api(*rotation, {"overlap_seconds": 600}, if_match="*").status == 409
    assert push.caller.v2("GET", "/v2/").status == 200
    assert owner.api(*rotation, {"overlap_seconds": 0}).status == 201
    assert push.caller.v2("GET", "/v2/").status == 401
    assert owner.api(*rotation, {"overlap_seconds": 600}).status == 201
    estate.ground.clock.advance(601)
    assert owner.api(*rotation, {"overlap_seconds": 600}).status == 201


def test_a_secret_that_was_rotated_away_cannot_rotate_it_back(estate: Estate) -> None:
    estate.robot("acme-owner", "ci", "shop", ("dev/*", "pull"))
    outgoing = estate.caller("ci")
    rotation = ("POST", "/credentials/ci/rotation", {"overlap_seconds": 600})
    estate.secrets["ci"] = estate.caller("acme-owner").api(*rotation).document["secret"]
    assert outgoing.v2("GET", "/v2/").status == 200
    end_now = ("POST", "/credentials/ci/rotation", {"overlap_seconds": 0})
    assert outgoing.api(*end_now).status == 403
    assert estate.caller("ci").api(*end_now).status == 201
    assert outgoing.v2("GET", "/v2/").status == 401


def test_a_user_who_loses_the_role_stops_pushing(estate: Estate) -> None:
    estate.user("acme-owner", "coder", shop="developer")
    token = estate.caller("coder").with_token(SCOPE)
    location = token.v2("POST", "/v2/dev/app/blobs/uploads/").headers["location"]
    change(estate, "PUT", "/projects/shop/members/coder", {"role": "viewer"})
    estate.ground.let_revocations_arrive()
    assert token.v2("GET", "/v2/dev/app/tags/list").status == 401
    query = {"digest": Digest.of(LAYER)}
    assert Caller(estate.ground.deployment).v2("PUT", location, query, LAYER).status == 404
    assert estate.caller("coder").v2("GET", "/v2/dev/app/tags/list").status == 200
    assert estate.caller("coder").v2("POST", "/v2/dev/app/blobs/uploads/").status == 403


@pytest.mark.parametrize("account", ["acme", "rival"])
def test_nothing_of_a_deleted_credential_is_good_for_the_next_of_its_id(estate: Estate, account: str) -> None:
    """Ids are free again at once, for other accounts too."""
    push = Push(estate)
    TAKEN["deleted"](estate)
    estate.ground.clock.advance(1)
    project, pattern = ("shop", "dev/*") if account == "acme" else ("yard", "yard/*")
    estate.robot(f"{account}-owner", "ci", project, (pattern, "pull,push,delete"))
    estate.ground.let_revocations_arrive()
    assert push.is_over()
    assert estate.caller("ci").with_token().v2("GET", "/v2/").status == 200


def test_a_capability_ends_with_its_hour(estate: Estate) -> None:
    push = Push(estate)
    estate.ground.clock.advance(CAPABILITY_SECONDS + 1)
    assert push.close().status == 404


@pytest.mark.parametrize("by_token", [True, False])
def test_an_upload_ends_when_its_credential_expires(estate: Estate, *, by_token: bool) -> None:
    ends = int(estate.ground.clock.now) + 600
    expires = datetime.fromtimestamp(ends, UTC).isoformat()
    estate.robot("acme-owner", "brief", "shop", ("dev/*", "pull,push"), expires=expires)
    caller = estate.caller("brief")
    opener = caller.with_token(SCOPE) if by_token else caller
    location = opener.v2("POST", "/v2/dev/app/blobs/uploads/").headers["location"]
    nobody = Caller(estate.ground.deployment)
    estate.ground.clock.advance(598)
    answer = nobody.v2("PATCH", location, body=LAYER[:3])
    assert answer.status == 202
    estate.ground.clock.advance(2)
    late = nobody.v2("PATCH", answer.headers["location"], body=LAYER[3:])
    assert late.status == 404


def test_of_two_rotations_at_once_one_wins_and_the_other_is_told(estate: Estate) -> None:
    """Both have read the same version; a third, later, starts from the winner's."""
    estate.robot("acme-owner", "ci", "shop", ("dev/*", "pull"))
    deployment = estate.ground.deployment
    by, before = deployment.credentials.get("acme-owner"), deployment.credentials.get("ci")
    assert by is not None
    assert before is not None
    _, won = deployment.desk.rotate(by, before, 60)
    with pytest.raises(RefusedError, match="changed since"):
        deployment.desk.rotate(by, before, 60)
    estate.secrets["ci"] = won
    assert estate.caller("ci").v2("GET", "/v2/").status == 200


def test_rotations_that_race_leave_the_secret_that_was_told_last(estate: Estate) -> None:
    estate.robot("acme-owner", "ci", "shop", ("dev/*", "pull"))
    deployment = estate.ground.deployment
    by, before = deployment.credentials.get("acme-owner"), deployment.credentials.get("ci")
    assert by is not None
    assert before is not None
    won, lost = race(deployment.desk, lambda desk: desk.rotate(by, before, 60)[1])
    assert (len(won), len(lost)) == (1, 7)
    estate.secrets["ci"] = won[0]
    assert estate.caller("ci").v2("GET", "/v2/").status == 200


def test_a_rotation_that_races_a_deletion_brings_nothing_back(estate: Estate) -> None:
    estate.robot("acme-owner", "ci", "shop", ("dev/*", "pull"))
    deployment = estate.ground.deployment
    by, before = deployment.credentials.get("acme-owner"), deployment.credentials.get("ci")
    assert by is not None
    assert before is not None
    deployment.desk.delete(by, before)
    for late in (
        lambda: deployment.desk.rotate(by, before, 60),
        lambda: deployment.desk.change(by, before, is_disabled=False),
        lambda: deployment.desk.delete(by, before),
    ):
        with pytest.raises(RefusedError, match="changed since"):
            late()
    assert deployment.credentials.get("ci") is None


def test_a_stale_etag_changes_nothing(estate: Estate) -> None:
    estate.robot("acme-owner", "ci", "shop", ("dev/*", "pull"))
    owner = estate.caller("acme-owner")
    etag = owner.api("GET", "/credentials/ci").headers["etag"]
    rotate = ("POST", "/credentials/ci/rotation", {"overlap_seconds": 0})
    assert owner.api(*rotate, if_match=etag).status == 201
    for method, path, document in (
        rotate,
        ("DELETE", "/credentials/ci", None),
        ("PATCH", "/credentials/ci", {}),
    ):
        assert owner.api(method, path, document, if_match=etag).status == 412


def race(desk: CredentialDesk, act: Callable[[CredentialDesk], str]) -> tuple[list[str], list[RefusedError]]:
    """Eight at once."""
    won: list[str] = []
    lost: list[RefusedError] = []
    gate = threading.Barrier(8)

    def run() -> None:
        gate.wait()
        try:
            won.append(act(desk))
        except RefusedError as error:
            lost.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won, lost
