"""A full account: what is refused, when, in which words, and that nothing of it is left."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from chalicelib.registry.parts import PART_SIZE
from chalicelib.registry.policies import RETENTION, Policy, repository_scope
from chalicelib.registry.quota import THRESHOLDS
from chalicelib.registry.stores import Usage
from chalicelib.registry.uploads import Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.endpoints import inventory
from tests.endpoints.driver import Answer, Driver
from tests.support import limits

USED = 1000
FREE = 500
LIMIT = USED + FREE
HELD = b"h" * USED


def limited(deployment: Deployment, limit: int) -> None:
    """As another process has it: what this one remembers stays."""
    limits.limited(deployment.quota.usages, deployment.settings.account, limit)


def usage(deployment: Deployment) -> Usage:
    found = deployment.quota.usages.get(deployment.settings.account)
    assert found is not None
    return found


@pytest.fixture
def near(driver: Driver) -> Driver:
    """Of an account that has `FREE` bytes left."""
    driver.push_blob(HELD)
    limited(driver.deployment, LIMIT)
    driver.deployment.quota.forget(driver.deployment.settings.account)
    return driver


def check_refused(answer: Answer, needed: int, used: int = USED, limit: int = LIMIT) -> None:
    assert (answer.status, answer.codes) == (403, ["DENIED"])
    (error,) = answer.document["errors"]
    assert error["detail"] == {"used": used, "limit": limit, "needed": needed}
    assert all(str(number) in error["message"] for number in (used, limit, needed))


def unread() -> Iterator[bytes]:
    raise AssertionError("the body was read")
    yield b""


def sent(driver: Driver, method: str, path: str, blocks: Iterator[bytes], **more: object) -> Answer:
    """With its body beside the event, as the gateway hands it over."""
    query = {"digest": more["digest"]} if "digest" in more else {}
    event = driver.event(method, path, query, b"", {})
    del event["body"], event["headers"]["content-length"]
    if "length" in more:
        event["headers"]["content-length"] = str(more["length"])
    return driver.deliver(event, blocks)


def test_what_exactly_fits_is_in_and_the_next_byte_is_not(near: Driver) -> None:
    near.push_blob(os.urandom(FREE))
    assert usage(near.deployment).free == 0
    check_refused(near.call("POST", near.of("blobs/uploads/")), needed=1, used=LIMIT)


def test_a_whole_blob_is_refused_before_it_is_read(near: Driver) -> None:
    before = inventory.take()
    digest = Digest.of(b"x" * (FREE + 1))
    path = near.of("blobs/uploads/")
    check_refused(sent(near, "POST", path, unread(), digest=digest, length=FREE + 1), needed=FREE + 1)
    assert inventory.take() == before


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_chunk_is_refused_before_it_is_read_with_what_came_before_it(near: Driver, method: str) -> None:
    before = inventory.take()
    location = near.open_upload()
    patched = near.call("PATCH", location, body=b"x" * 400)
    assert patched.status == 202
    digest = {"digest": Digest.of(b"any")} if method == "PUT" else {}
    answer = sent(near, method, patched.headers["location"], unread(), length=101, **digest)
    check_refused(answer, needed=501)
    assert inventory.take() == before


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("size", [FREE + 1, PART_SIZE + 1])
def test_what_has_no_length_is_refused_while_it_comes(near: Driver, method: str, size: int) -> None:
    before = inventory.take()
    blocks = iter([b"x" * FREE, b"y" * (size - FREE)])
    digest = {"digest": Digest.of(b"any")} if method == "PUT" else {}
    check_refused(sent(near, method, near.open_upload(), blocks, **digest), needed=size)
    assert inventory.take() == before


@pytest.mark.parametrize("chunks", [0, 1])
def test_a_charge_that_is_refused_in_the_end_leaves_nothing(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, chunks: int
) -> None:
    """The room was there when it began, and another took it."""
    monkeypatch.setattr(driver.deployment.quota, "clock", lambda: 0.0)
    driver.push_blob(HELD)
    before = inventory.take()
    content, location = os.urandom(600), driver.open_upload()
    if chunks:
        patched = driver.call("PATCH", location, body=content)
        location, sent_last = patched.headers["location"], b""
    else:
        sent_last = content
    limited(driver.deployment, LIMIT)
    answer = driver.call("PUT", location, {"digest": Digest.of(content)}, sent_last)
    check_refused(answer, needed=600)
    after = inventory.take()
    assert (after.objects, after.multiparts, after.sessions) == (before.objects, [], {})
    assert usage(driver.deployment).bytes == USED
    assert driver.call("PUT", location, {"digest": Digest.of(content)}).codes == ["BLOB_UPLOAD_UNKNOWN"]


def test_what_a_gateway_verified_is_dropped_when_there_is_no_room_for_it(driver: Driver) -> None:
    driver.push_blob(HELD)
    before = inventory.take()
    content, location = os.urandom(600), driver.open_upload()
    session, digest = location.rpartition("/")[2], Digest.of(content)
    repository = Repository(driver.deployment.settings.account, driver.repository)
    driver.deployment.services.uploads.verify(repository, session, digest, Chunk([content], 600))
    limited(driver.deployment, LIMIT)
    check_refused(driver.call("PUT", location, {"digest": digest}), needed=600)
    after = inventory.take()
    assert (after.objects, after.sessions) == (before.objects, {})


@pytest.mark.parametrize("limit", [USED, 0])
def test_what_the_account_has_costs_nothing(near: Driver, limit: int) -> None:
    limited(near.deployment, limit)
    near.deployment.quota.forget(near.deployment.settings.account)
    other = Driver(near.deployment, "dev/other")
    other.log_in()
    answer = other.call("POST", other.of("blobs/uploads/"), {"digest": Digest.of(HELD)}, HELD)
    assert answer.status == 201
    assert usage(near.deployment).bytes == USED
    assert other.call("HEAD", other.of(f"blobs/{Digest.of(HELD)}")).status == 307


def test_below_its_use_a_limit_refuses_pushes_and_no_pull(near: Driver) -> None:
    near.push_image("v1")
    used = usage(near.deployment).bytes
    limited(near.deployment, 10)
    near.deployment.quota.forget(near.deployment.settings.account)
    check_refused(near.call("POST", near.of("blobs/uploads/")), needed=1, used=used, limit=10)
    assert near.call("GET", near.of("manifests/v1")).status == 200
    assert near.call("GET", near.of(f"blobs/{Digest.of(HELD)}")).status == 307
    assert (
        near.call(
            "PUT",
            near.of("manifests/v2"),
            None,
            near.call("GET", near.of("manifests/v1")).body,
            content_type="application/vnd.oci.image.manifest.v1+json",
        ).status
        == 201
    )


def test_room_that_was_made_is_had_at_once(near: Driver) -> None:
    content = os.urandom(FREE + 1)
    assert near.call("POST", near.of("blobs/uploads/"), {"digest": Digest.of(content)}, content).status == 403
    limited(near.deployment, LIMIT + 1)
    near.push_blob(content)


def told(deployment: Deployment) -> list[int]:
    """The thresholds in the audit trail, as they came."""
    now = int(time.time() * 1000)
    entries = deployment.trail.read(deployment.settings.account, now - 3_600_000, now + 60_000, "")
    return [one.detail["threshold"] for one in entries if one.action == "quota-threshold"][::-1]


def test_each_threshold_is_told_once_as_it_is_crossed(driver: Driver) -> None:
    driver.push_blob(b"0" * 10)
    limited(driver.deployment, 100)
    driver.deployment.quota.forget(driver.deployment.settings.account)
    seen = []
    for size in (69, 1, 9, 1, 2, 8):
        driver.push_blob(os.urandom(size))
        seen.append(told(driver.deployment))
    assert seen == [[], [80], [80], [80, 90], [80, 90], [80, 90, 100]]
    assert usage(driver.deployment).level == 100


def test_a_leap_over_several_thresholds_tells_of_all(driver: Driver) -> None:
    driver.push_blob(b"0" * 10)
    limited(driver.deployment, 100)
    driver.deployment.quota.forget(driver.deployment.settings.account)
    driver.push_blob(os.urandom(90))
    assert sorted(told(driver.deployment)) == list(THRESHOLDS)


def test_a_refusal_is_in_the_words_that_docker_shows(near: Driver) -> None:
    """It prints `denied: ` and the message of the first error."""
    event = near.event("POST", near.of("blobs/uploads/"), {"digest": Digest.of(b"1" * 501)}, b"1" * 501, {})
    answer = near.deployment.handler(event)
    document = json.loads(base64.b64decode(answer["body"]))
    assert document["errors"][0]["message"] == (
        "the account has no room: it uses 1000 of 1500 bytes, and this needs 501 more; "
        "delete images, or have the limit raised"
    )


@pytest.fixture
def warm(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> Driver:
    monkeypatch.setattr(driver.deployment.quota, "clock", lambda: 0.0)
    driver.push_blob(HELD)
    driver.open_upload()
    return driver


def test_far_from_the_limit_room_is_asked_for_once_in_a_while(warm: Driver) -> None:
    assert warm.call("POST", warm.of("blobs/uploads/")).calls == (1, 0)
    warm.deployment.quota.forget(warm.deployment.settings.account)
    assert warm.call("POST", warm.of("blobs/uploads/")).calls == (2, 0)
    assert warm.call("POST", warm.of("blobs/uploads/")).calls == (1, 0)


def test_near_the_limit_each_request_looks(near: Driver) -> None:
    """A refusal looks at what gives way too, and then once more at what is free."""
    location = near.open_upload()
    assert near.call("PATCH", location, body=b"x" * (FREE // 2 + 1)).calls == (3, 1)
    assert near.call(
        "POST", near.of("blobs/uploads/"), {"digest": Digest.of(b"x" * 501)}, b"x" * 501
    ).calls == (4, 0)


def test_a_full_account_lets_in_what_deleted_images_give_way_for(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = driver.deployment
    quota, account = deployment.quota, deployment.settings.account
    repository = Repository(account, driver.repository)
    assert quota.eviction is not None
    # Its links go at once here, and nobody waits for the hour of their URLs.
    monkeypatch.setattr(quota, "eviction", replace(quota.eviction, url_seconds=-1))
    policy = Policy(repository_scope(repository), RETENTION, {"days": 1, "counted": False})
    assert deployment.policies.put(policy)
    digest = driver.push_image()
    used = usage(deployment).bytes
    layers = [one["digest"] for one in driver.image()["layers"]]
    assert driver.call("DELETE", driver.of(f"manifests/{digest}")).status == 202
    for layer in layers:
        assert driver.call("DELETE", driver.of(f"blobs/{layer}")).status == 202
    limited(deployment, used)
    quota.forget(account)
    # The config is linked yet.
    giving = used - len(b"{}")
    large = os.urandom(giving + 1)
    answer = driver.call("POST", driver.of("blobs/uploads/"), {"digest": Digest.of(large)}, large)
    (error,) = answer.document["errors"]
    detail = {"used": used, "limit": used, "needed": giving + 1, "gives_way": giving}
    assert (answer.status, error["detail"]) == (403, detail)
    assert f"it uses {used} of {used} bytes, of which {giving} can give way, and this" in error["message"]
    assert deployment.trash.rows.get(repository, digest) is not None
    fits = large[1:]
    answer = driver.call("POST", driver.of("blobs/uploads/"), {"digest": Digest.of(fits)}, fits)
    assert answer.status == 201
    assert deployment.trash.rows.get(repository, digest) is None
    assert usage(deployment).bytes == used
