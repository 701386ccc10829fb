"""Direct uploads through the management API, on moto: who may, what is answered, and what is left."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.registry.direct import SESSION_SECONDS
from chalicelib.registry.stores import OPEN, PUBLISHED, REFUSED, VERIFYING
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.access.caller import Caller
from tests.management.direct_client import (
    PART_SIZE,
    PUT_LIMIT,
    DirectClient,
    House,
    checksum,
    eventually,
    sent,
)
from tests.support.limits import limited

NO_BLOB = str(Digest.of(b"what nobody ever sends"))
NO_SESSION = "direct-" + "0" * 32
LARGE = PUT_LIMIT + 17


@pytest.mark.parametrize("size", [0, 1, 1000, PUT_LIMIT, LARGE, 2 * PART_SIZE])
def test_blob_that_was_sent_to_s3_can_be_pulled(client: DirectClient, house: House, size: int) -> None:
    content = os.urandom(size)
    before, others = house.stored(), house.multiparts()
    assert client.pushed(content)["state"] == PUBLISHED
    assert client.pulls(content)
    assert eventually(lambda: len(house.stored() - before) == 1)
    assert house.multiparts() == others


def test_no_byte_is_visible_before_it_is_verified(client: DirectClient) -> None:
    content = os.urandom(LARGE)
    opened = client.opened(content)
    client.send(opened, content)
    assert not client.pulls(content)
    assert client.open(content).document["state"] == OPEN


def test_blob_that_the_repository_has_needs_no_upload(client: DirectClient) -> None:
    content = os.urandom(100)
    client.pushed(content)
    reply = client.open(content)
    assert (reply.status, reply.document["state"]) == (200, "present")
    assert reply.document["session"] is None


def test_blob_is_mounted_from_where_the_caller_may_pull(house: House) -> None:
    content = os.urandom(100)
    both = house.client("both-robot", "lab/base")
    both.pushed(content)
    target = replace(both, repository="shop/mounted")
    reply = target.open(content, mount_from=["shop/nothing", "lab/base"])
    assert (reply.status, reply.document["state"]) == (201, "mounted")
    assert target.pulls(content)


@pytest.mark.parametrize("source", ["lab/secret", "yard/app", "none/such"])
def test_nothing_is_mounted_or_told_of_where_the_caller_may_not_pull(house: House, source: str) -> None:
    content = f"of {source}".encode() * 9
    if source == "lab/secret":
        house.client("lab-robot", source).pushed(content)
    if source == "yard/app":
        house.client("yard-robot", source).pushed(content)
    reply = house.client("shop-robot").open(content, mount_from=[source])
    assert (reply.status, reply.document["state"]) == (201, OPEN)


def test_session_says_how_its_bytes_are_cut(client: DirectClient) -> None:
    content = os.urandom(2 * PART_SIZE + 5)
    opened = client.opened(content)
    assert (opened["method"], opened["part_size"], opened["parts"]) == ("multipart", PART_SIZE, 3)
    assert opened["url"] is None
    expires = datetime.fromisoformat(opened["expires"])
    assert 0 < (expires - datetime.now(UTC)).total_seconds() <= SESSION_SECONDS


@pytest.mark.parametrize("size", [PART_SIZE * 10_000 + 1, 5 * 1024**4])
def test_parts_grow_where_ten_thousand_are_too_few(
    client: DirectClient, account_limit: Callable[[int], None], size: int
) -> None:
    account_limit(size)
    opened = client.open(b"", digest=Digest.of(os.urandom(8)), size=size).document
    assert opened["parts"] <= 10_000
    assert (opened["parts"] - 1) * opened["part_size"] < size <= opened["parts"] * opened["part_size"]


def test_status_says_what_a_killed_client_need_not_send_again(client: DirectClient) -> None:
    content = os.urandom(2 * PART_SIZE + 5)
    opened = client.opened(content)
    client.send(opened, content, [1, 3])
    found = client.status(opened["session"]).document
    assert [(one["number"], one["size"]) for one in found["uploaded"]] == [(1, PART_SIZE), (3, 5)]
    reply = client.complete(opened["session"])
    assert reply.status == 409
    assert reply.document["detail"].endswith("1 of 3 parts are missing or of a wrong size: 2")
    client.send(opened, content, [2])
    assert client.complete(opened["session"]).status == 202
    assert client.ended(opened["session"])["state"] == PUBLISHED


def test_status_of_one_put_gives_a_fresh_url(client: DirectClient) -> None:
    content = os.urandom(100)
    opened = client.opened(content)
    found = client.status(opened["session"]).document
    assert sent(found["url"], content, found["headers"]) == 200
    assert client.complete(opened["session"]).document["state"] == PUBLISHED


def test_completing_before_the_put_is_refused_and_the_session_stays(client: DirectClient) -> None:
    content = os.urandom(100)
    opened = client.opened(content)
    assert client.complete(opened["session"]).status == 409
    client.send(opened, content)
    assert client.complete(opened["session"]).document["state"] == PUBLISHED


def test_completing_again_says_what_became_of_it(client: DirectClient) -> None:
    content = os.urandom(100)
    opened = client.opened(content)
    client.send(opened, content)
    client.complete(opened["session"])
    reply = client.complete(opened["session"])
    assert (reply.status, reply.document["state"]) == (200, PUBLISHED)


@pytest.mark.parametrize("size", [100, LARGE])
def test_other_bytes_than_announced_are_refused_and_deleted(
    client: DirectClient, house: House, size: int
) -> None:
    """Moto stores what S3 would refuse of a single PUT: the registry looks for itself."""
    content, other = os.urandom(size), os.urandom(size)
    before = house.stored()
    opened = client.opened(content)
    if size > PUT_LIMIT:
        client.send(opened, other)
    else:
        key = house.deployment.direct.find(opened["session"]).key
        house.deployment._s3.put_object(Bucket="ccr", Key=key, Body=other)
    client.complete(opened["session"])
    ended = client.ended(opened["session"])
    assert ended["state"] == REFUSED
    assert str(Digest.of(other)) in ended["detail"]
    assert eventually(lambda: house.stored() == before)
    assert not client.pulls(content)
    assert not client.pulls(other)
    assert client.complete(opened["session"]).document["state"] == REFUSED


@pytest.mark.parametrize("size", [99, 101])
def test_fewer_or_more_bytes_than_announced_are_refused(
    client: DirectClient, house: House, size: int
) -> None:
    content = os.urandom(100)
    opened = client.opened(content)
    key = house.deployment.direct.find(opened["session"]).key
    house.deployment._s3.put_object(Bucket="ccr", Key=key, Body=(content * 2)[:size])
    client.complete(opened["session"])
    ended = client.ended(opened["session"])
    assert (ended["state"], ended["detail"]) == (
        REFUSED,
        f"{size} bytes were uploaded, 100 announced; start again",
    )
    assert eventually(lambda: key not in house.stored())


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"number": 1, "size": 5}, f"part 1 has {PART_SIZE} bytes, not 5"),
        ({"number": 2, "size": PART_SIZE}, "part 2 has 5 bytes, not"),
        ({"number": 3, "size": 5}, "there is no part 3: parts go from 1 to 2"),
    ],
)
def test_url_is_signed_only_for_a_part_as_it_must_be(
    client: DirectClient, part: dict[str, Any], why: str
) -> None:
    opened = client.opened(os.urandom(PART_SIZE + 5))
    reply = client.sign(opened["session"], [{**part, "sha256": checksum(b"")}])
    assert reply.status == 422
    assert why in reply.document["detail"]


def test_one_put_has_no_parts(client: DirectClient) -> None:
    opened = client.opened(b"small" + os.urandom(4))
    reply = client.sign(opened["session"], [{"number": 1, "size": 9, "sha256": checksum(b"")}])
    assert reply.status == 409


def test_cancelled_session_is_gone_with_its_bytes(client: DirectClient, house: House) -> None:
    before, others = house.stored(), house.multiparts()
    content = os.urandom(PART_SIZE + 5)
    opened = client.opened(content)
    client.send(opened, content)
    assert client.cancel(opened["session"]).status == 204
    assert house.stored() == before
    assert house.multiparts() == others
    assert client.status(opened["session"]).status == 404
    assert client.complete(opened["session"]).status == 404


def test_published_session_cannot_be_cancelled(client: DirectClient) -> None:
    content = os.urandom(50)
    session = client.pushed(content)["session"]
    assert client.cancel(session).status == 409
    assert client.pulls(content)


@pytest.mark.parametrize("id_", ["shop-puller", "lab-robot", "yard-robot", "rival-owner"])
def test_session_of_a_repository_that_one_may_not_push_to_is_as_one_that_is_not_there(
    house: House, client: DirectClient, id_: str
) -> None:
    opened = client.opened(os.urandom(LARGE))
    stranger = house.client(id_)
    part = [{"number": 1, "size": 1, "sha256": checksum(b"")}]
    for ask in (
        stranger.status,
        stranger.complete,
        stranger.cancel,
        lambda session: stranger.sign(session, part),
    ):
        theirs, none = ask(opened["session"]), ask(NO_SESSION)
        assert theirs.status == 404
        assert theirs == replace(none, calls=theirs.calls)
    assert client.status(opened["session"]).status == 200


@pytest.mark.parametrize(("id_", "status"), [("shop-puller", 403), ("lab-robot", 404), ("yard-robot", 404)])
def test_nothing_is_opened_where_one_may_not_push(house: House, id_: str, status: int) -> None:
    content = os.urandom(30)
    house.client("shop-robot").pushed(content)
    assert house.client(id_).open(content).status == status
    assert house.client(id_).open(b"what it has not").status == status


def test_repository_one_may_not_see_is_as_one_that_is_not_there(house: House) -> None:
    there = house.client("lab-robot", "shop/app").open(b"x")
    absent = house.client("lab-robot", "shap/app").open(b"x")
    assert there.about("shop", "shap").body == absent.body


def test_expired_session_is_gone(client: DirectClient, house: House) -> None:
    content = os.urandom(50)
    opened = client.opened(content)
    client.send(opened, content)
    direct = house.deployment.direct
    later = replace(direct, clock=lambda: direct.clock() + SESSION_SECONDS + 1)
    house.deployment.__dict__["direct"] = later
    house.deployment.__dict__.pop("_management")
    try:
        assert client.status(opened["session"]).status == 404
        assert client.complete(opened["session"]).status == 404
    finally:
        house.deployment.__dict__["direct"] = direct
        house.deployment.__dict__.pop("_management")
    assert not client.pulls(content)


@pytest.mark.parametrize("session", ["x", "0" * 32, "direct-" + "G" * 32, "direct-%00"])
def test_what_is_no_session_is_not_found(client: DirectClient, session: str) -> None:
    assert client.status(session).status == 404


def test_neither_way_in_takes_the_sessions_of_the_other(client: DirectClient, house: House) -> None:
    opened = client.opened(os.urandom(50))
    path = f"/v2/shop/app/blobs/uploads/{opened['session']}"
    for method in ("GET", "DELETE", "PATCH", "PUT"):
        query = {"digest": str(Digest.of(b""))} if method == "PUT" else ""
        assert client.caller.v2(method, path, query).status == 404
    row = house.deployment.services.uploads.open(Repository("acme", "shop/app"))
    assert client.status(row.session).status == 404
    assert client.cancel(row.session).status == 404


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"repository": "shop/app", "digest": "md5:00", "size": 1},
        {"repository": "shop/app", "digest": str(Digest.of(b"", "sha512")), "size": 1},
        {"repository": "shop/app", "digest": NO_BLOB, "size": -1},
        {"repository": "shop/app", "digest": NO_BLOB, "size": 5 * 1024**4 + 1},
        {"repository": "shop/app", "digest": NO_BLOB, "size": 1, "mount_from": ["a"] * 21},
        {"repository": "shop/app", "digest": NO_BLOB, "size": 1, "more": 1},
    ],
)
def test_what_cannot_be_opened_is_told(client: DirectClient, document: dict[str, Any]) -> None:
    reply = client.caller.api("POST", "/uploads", document)
    assert reply.status == 422
    assert reply.headers["content-type"] == "application/problem+json"


def test_name_that_is_none_is_told(client: DirectClient) -> None:
    assert replace(client, repository="Shop//App").open(b"").status == 422


@pytest.mark.parametrize("count", [0, 501])
def test_parts_are_signed_in_batches(client: DirectClient, count: int) -> None:
    opened = client.opened(os.urandom(PART_SIZE))
    part = {"number": 1, "size": PART_SIZE, "sha256": checksum(b"")}
    assert client.sign(opened["session"], [part] * count).status in {413, 422}
    assert client.sign(opened["session"], [part] * 500).status == 200


def test_checksum_that_is_none_is_told(client: DirectClient) -> None:
    opened = client.opened(os.urandom(LARGE))
    part = {"number": 1, "size": PART_SIZE, "sha256": "0" * 64}
    assert client.sign(opened["session"], [part]).status == 422


def test_token_with_push_opens_uploads_of_its_repository_alone(house: House, client: DirectClient) -> None:
    content = os.urandom(60)
    bearer = replace(client, caller=client.caller.with_token("repository:shop/app:pull,push"))
    assert bearer.pushed(content)["state"] == PUBLISHED
    assert replace(bearer, repository="shop/other").open(content).status == 404
    pulling = replace(client, caller=client.caller.with_token("repository:shop/app:pull"))
    assert pulling.open(content).status == 403


def test_token_opens_nothing_else_of_the_management_api(client: DirectClient) -> None:
    bearer = client.caller.with_token("repository:shop/app:pull,push")
    assert bearer.api("GET", "/whoami").status == 401
    assert bearer.api("GET", "/uploads/../whoami").status in {401, 404}


def test_token_of_a_deleted_credential_opens_nothing(house: House) -> None:
    owner = house.client("acme-owner").caller
    grants = [{"pattern": "shop/*", "actions": ["pull", "push"]}]
    robot = {"kind": "robot", "id": "leaving-robot", "project": "default", "grants": grants}
    house.secrets["leaving-robot"] = owner.api("POST", "/credentials", robot).document["secret"]
    leaving = house.client("leaving-robot")
    bearer = replace(leaving, caller=leaving.caller.with_token("repository:shop/app:pull,push"))
    assert bearer.open(b"x").status == 201
    assert owner.api("DELETE", "/credentials/leaving-robot").status == 204
    assert bearer.open(b"x").status == 401


def test_nobody_and_forged_tokens_are_turned_away(house: House, client: DirectClient) -> None:
    for authorization in ("", "Bearer x.y.z", "Bearer ", "Basic Zm9vOmJhcg=="):
        caller = Caller(house.deployment, authorization, "192.0.2.77")
        assert replace(client, caller=caller).open(b"x").status == 401


def test_presigned_url_is_kept_nowhere_for_an_idempotency_key(client: DirectClient) -> None:
    document = {"repository": "shop/app", "digest": str(Digest.of(os.urandom(9))), "size": 9}
    first, second = (
        client.caller.api("POST", "/uploads", document, **{"idempotency-key": "the same"}) for _ in range(2)
    )
    assert first.document["session"] != second.document["session"]


def test_push_makes_the_registry_where_a_deployment_wants_that(house: House) -> None:
    deployment = Deployment(replace(house.deployment.settings, create_on_push=True))
    owner = House(deployment, house.secrets).client("acme-owner", "fresh/app")
    assert owner.pushed(b"the first of it")["state"] == PUBLISHED
    assert house.client("acme-owner", "fresher/app").open(b"x").status == 404


def test_verification_that_failed_is_done_again_when_somebody_looks(
    client: DirectClient, house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    content = os.urandom(LARGE)
    opened = client.opened(content)
    client.send(opened, content)
    failures = iter([OSError("S3 does not answer")])

    def stat(*_: object) -> Any:
        if error := next(failures, None):
            raise error
        return original(*_)

    checked = type(house.deployment.direct.objects)
    original = checked.stat
    monkeypatch.setattr(checked, "stat", stat)
    reply = client.complete(opened["session"])
    assert (reply.status, reply.document["state"]) == (202, VERIFYING)
    assert client.ended(opened["session"])["state"] == PUBLISHED
    assert "could not be verified yet" in caplog.text


def test_verifier_is_a_function_where_one_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invoked with the session alone; the entry point of the same event publishes it."""
    deployment = Deployment(replace(house.deployment.settings, verifier_function="ccr-verifier"))
    client = House(deployment, house.secrets).client("shop-robot")
    invoked: list[dict[str, Any]] = []
    monkeypatch.setattr(deployment.direct.start._client, "invoke", lambda **call: invoked.append(call))
    content = os.urandom(LARGE)
    opened = client.opened(content)
    client.send(opened, content)
    assert client.complete(opened["session"]).status == 202
    payload = f'{{"session": "{opened["session"]}"}}'.encode()
    assert invoked == [{"FunctionName": "ccr-verifier", "InvocationType": "Event", "Payload": payload}]
    deployment.verify(opened["session"], 900)
    assert client.status(opened["session"]).document["state"] == PUBLISHED


@pytest.fixture
def account_limit(house: House) -> Iterator[Callable[[int], None]]:
    """Sets how many bytes are free, for as long as a test takes."""
    quota, account = house.deployment.quota, "acme"
    before = quota.usage(account)

    def free(size: int) -> None:
        limited(quota.usages, account, quota.usage(account).bytes + size)
        quota.forget(account)

    yield free
    limited(quota.usages, account, before.limit)
    quota.forget(account)


def test_what_there_is_no_room_for_is_refused_before_a_byte_is_sent(
    client: DirectClient, house: House, account_limit: Callable[[int], None]
) -> None:
    held = os.urandom(100)
    client.pushed(held)
    account_limit(LARGE - 1)
    others = house.multiparts()
    reply = client.open(os.urandom(LARGE))
    assert reply.status == 403
    assert f"this needs {LARGE} more" in reply.document["detail"]
    assert house.multiparts() == others
    account_limit(0)
    assert client.open(b"x").status == 403
    assert replace(client, repository="shop/second").open(held).status == 201


@pytest.mark.parametrize("size", [100, LARGE])
def test_what_lost_its_room_is_refused_in_the_end_and_gone(
    client: DirectClient, house: House, account_limit: Callable[[int], None], size: int
) -> None:
    content, before = os.urandom(size), house.stored()
    opened = client.opened(content)
    client.send(opened, content)
    account_limit(size - 1)
    client.complete(opened["session"])
    assert eventually(lambda: client.status(opened["session"]).document["state"] == REFUSED)
    assert f"this needs {size} more" in client.status(opened["session"]).document["detail"]
    assert eventually(lambda: house.stored() == before)
    assert not client.pulls(content)
