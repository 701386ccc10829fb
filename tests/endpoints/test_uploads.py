"""Upload sessions: every form of upload, mounts, and every way to get one wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.identity.capability import LIFETIME_SECONDS, Capabilities, derive_key
from chalicelib.identity.grants import Principal
from chalicelib.registry.uploads import LEASE_SECONDS, SESSION_SECONDS
from chalicelib.spec import running_digest
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.endpoints import inventory
from tests.endpoints.conftest import SETTINGS
from tests.endpoints.driver import Answer, Driver
from tests.endpoints.refusals import nothing_left_behind, nothing_visible_left_behind, refused

CONTENT = b"ten bytes!"
DIGEST = Digest.of(CONTENT)
OTHER = Digest.of(b"other bytes")


def stored(driver: Driver, digest: Digest) -> bytes:
    """The bytes that a blob's link leads to."""
    blobs = driver.deployment.services.blobs
    link = blobs.find(Repository("default", driver.repository), digest)
    return blobs.objects.get(link.storage_key) or b""


def is_there(driver: Driver, digest: str) -> bool:
    return driver.call("HEAD", driver.of(f"blobs/{digest}")).status == 307


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_blob_in_one_post(driver: Driver, algorithm: str) -> None:
    """end-4b."""
    digest = Digest.of(CONTENT, algorithm)
    answer = driver.call("POST", driver.of("blobs/uploads/"), {"digest": digest}, CONTENT)
    assert answer.status == 201
    assert answer.headers["location"] == driver.of(f"blobs/{digest}")
    assert answer.headers["docker-content-digest"] == digest
    assert stored(driver, digest) == CONTENT


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_blob_in_chunks_needs_no_credential_but_its_url(driver: Driver, algorithm: str) -> None:
    """end-4a, end-5, end-6, end-13: the Location is relative, on this host, and is the right to write."""
    digest = Digest.of(CONTENT, algorithm)
    opened = driver.call("POST", driver.of("blobs/uploads/"))
    assert (opened.status, opened.headers["range"]) == (202, "0-0")
    assert opened.headers["docker-upload-uuid"] in opened.headers["location"]
    driver.authorization = ""
    location = opened.headers["location"]
    assert location.startswith("/u/")
    first = driver.call("PATCH", location, body=CONTENT[:4], content_range="0-3")
    assert (first.status, first.headers["range"]) == (202, "0-3")
    second = driver.call("PATCH", first.headers["location"], body=CONTENT[4:7])
    assert (second.status, second.headers["range"]) == (202, "0-6")
    status = driver.call("GET", second.headers["location"])
    assert (status.status, status.headers["range"], status.body) == (204, "0-6", b"")
    last = driver.call(
        "PUT", status.headers["location"], {"digest": digest}, CONTENT[7:], content_range="7-9"
    )
    assert last.status == 201
    assert stored(driver, digest) == CONTENT
    assert not inventory.take().sessions


def test_the_session_may_be_written_to_by_token_too(driver: Driver) -> None:
    session = driver.call("POST", driver.of("blobs/uploads/")).headers["docker-upload-uuid"]
    path = driver.of(f"blobs/uploads/{session}")
    assert driver.call("PATCH", path, body=CONTENT).status == 202
    assert driver.call("PUT", path, {"digest": DIGEST}).status == 201
    driver.authorization = ""
    refused(driver.call("PATCH", path, body=CONTENT), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("content", [b"", b"{}"])
def test_tiny_blobs(driver: Driver, content: bytes) -> None:
    assert stored(driver, driver.push_blob(content)) == content


def test_a_cancelled_upload_is_gone_with_its_bytes(driver: Driver) -> None:
    """end-14."""
    with nothing_left_behind():
        location = driver.open_upload()
        driver.call("PATCH", location, body=CONTENT)
        assert driver.call("DELETE", location).status == 204
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            query = {"digest": DIGEST} if method == "PUT" else {}
            refused(driver.call(method, location, query), 404, "BLOB_UPLOAD_UNKNOWN", "POST")


def test_a_mount_takes_no_bytes(driver: Driver) -> None:
    """end-11."""
    driver.push_blob(CONTENT)
    other = Driver(driver.deployment, "dev/other")
    driver.log_in("repository:dev/app:pull repository:dev/other:pull,push")
    other.authorization = driver.authorization
    answer = other.call("POST", other.of("blobs/uploads/"), {"mount": DIGEST, "from": "dev/app"})
    assert answer.status == 201
    assert answer.headers["location"] == other.of(f"blobs/{DIGEST}")
    assert is_there(other, DIGEST)
    assert len(inventory.take().objects) == 1


@pytest.mark.parametrize("source", ["dev/none", "dev/app"])
def test_a_mount_that_cannot_be_is_an_upload(driver: Driver, source: str) -> None:
    answer = driver.call("POST", driver.of("blobs/uploads/"), {"mount": DIGEST, "from": source})
    assert answer.status == 202
    assert driver.call("PUT", answer.headers["location"], {"digest": DIGEST}, CONTENT).status == 201


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"mount": "sha256:short", "from": "dev/x"}, "DIGEST_INVALID"),
        ({"mount": "latest"}, "DIGEST_INVALID"),
        ({"mount": DIGEST, "from": "../x"}, "NAME_INVALID"),
        ({"mount": DIGEST, "from": "a" * 300}, "NAME_INVALID"),
        ({"mount": DIGEST, "from": "Upper/Case"}, "NAME_INVALID"),
    ],
)
def test_a_mount_of_what_is_no_name_or_digest_is_refused(
    driver: Driver, query: dict[str, str], code: str
) -> None:
    with nothing_left_behind():
        refused(driver.call("POST", driver.of("blobs/uploads/"), query), 400, code)


BAD_DIGESTS = [
    pytest.param("", "a digest looks like", id="empty"),
    pytest.param("latest", "a digest looks like", id="no digest"),
    pytest.param("sha256:" + "a" * 63, "64 lower-case", id="short"),
    pytest.param("sha256:" + "A" * 64, "64 lower-case", id="upper case"),
    pytest.param("sha256:" + "a" * 5000, "64 lower-case", id="very long"),
    pytest.param("md5:" + "a" * 32, "use sha256 or sha512", id="md5"),
    pytest.param("sha3-256:" + "a" * 64, "use sha256 or sha512", id="sha3"),
    pytest.param("blake3:" + "a" * 64, "use sha256 or sha512", id="blake3"),
    pytest.param("SHA256:" + "a" * 64, "a digest looks like", id="algorithm in upper case"),
    pytest.param("sha256:" + "a" * 64 + "/../x", "a digest looks like", id="path"),
    pytest.param("sha256:" + "\u0663" * 64, "a digest looks like", id="digits of another script"),
    pytest.param("sha256:" + "a" * 64 + "\n", "a digest looks like", id="newline"),
]


@pytest.mark.parametrize(("digest", "says"), BAD_DIGESTS)
def test_closing_with_what_is_no_digest_leaves_the_session_open(
    driver: Driver, digest: str, says: str
) -> None:
    location = driver.open_upload()
    with nothing_left_behind():
        refused(driver.call("PUT", location, {"digest": digest}, CONTENT), 400, "DIGEST_INVALID", says)
    assert driver.call("PUT", location, {"digest": DIGEST}, CONTENT).status == 201


def test_closing_without_a_digest_is_refused(driver: Driver) -> None:
    location = driver.open_upload()
    with nothing_left_behind():
        refused(driver.call("PUT", location, {}, CONTENT), 400, "DIGEST_INVALID")


@pytest.mark.parametrize("algorithm", ["md5", "sha384", "", "sha256 "])
def test_an_algorithm_announced_must_be_one_of_two(driver: Driver, algorithm: str) -> None:
    with nothing_visible_left_behind():
        answer = driver.call("POST", driver.of("blobs/uploads/"), {"digest-algorithm": algorithm})
        if algorithm:
            refused(answer, 400, "DIGEST_INVALID", "sha256 or sha512")
        else:
            assert answer.status == 202


Close = Callable[[Driver, str], Answer]


def by_post(driver: Driver, digest: str) -> Answer:
    return driver.call("POST", driver.of("blobs/uploads/"), {"digest": digest}, CONTENT)


def by_put(driver: Driver, digest: str) -> Answer:
    return driver.call("PUT", driver.open_upload(), {"digest": digest}, CONTENT)


def by_chunks(driver: Driver, digest: str) -> Answer:
    location = driver.call("PATCH", driver.open_upload(), body=CONTENT[:5]).headers["location"]
    location = driver.call("PATCH", location, body=CONTENT[5:]).headers["location"]
    return driver.call("PUT", location, {"digest": digest})


def by_stream(driver: Driver, digest: str) -> Answer:
    event = driver.event("PUT", driver.open_upload(), {"digest": digest}, b"", {"content-length": "10"})
    return driver.deliver(event, [CONTENT[:3], CONTENT[3:]])


@pytest.mark.parametrize("close", [by_post, by_put, by_chunks, by_stream])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_digest_that_does_not_match_is_refused_in_every_form(
    driver: Driver, close: Close, algorithm: str
) -> None:
    digest = Digest.of(b"other bytes", algorithm)
    with nothing_left_behind():
        entries = refused(close(driver, digest), 400, "DIGEST_INVALID", "start again")
    assert entries[0]["detail"] == {"digest": digest, "computed": Digest.of(CONTENT, algorithm)}
    assert not is_there(driver, digest)


def test_a_digest_is_checked_even_where_its_state_cannot_be_carried(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_digest, "CARRIES_STATE", False)
    with nothing_left_behind():
        refused(by_chunks(driver, OTHER), 400, "DIGEST_INVALID", "start again")
    assert by_chunks(driver, DIGEST).status == 201
    assert stored(driver, DIGEST) == CONTENT


@pytest.mark.parametrize("announced", [0, 9, 11, 10**12], ids=["none", "over-long", "truncated", "huge"])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_body_as_long_as_nobody_said_leaves_the_session_as_it_was(
    driver: Driver, method: str, announced: int
) -> None:
    location = driver.open_upload()
    location = driver.call("PATCH", location, body=b"before ").headers["location"]
    query = {"digest": Digest.of(b"before " + CONTENT)}
    with nothing_left_behind():
        answer = driver.call(method, location, query, CONTENT, content_length=str(announced))
        refused(answer, 400, "SIZE_INVALID", "send the chunk again")
    assert driver.call("GET", location).headers["range"] == "0-6"
    assert driver.call("PUT", location, query, CONTENT).status == 201


def test_a_truncated_single_post_leaves_nothing_to_see(driver: Driver) -> None:
    with nothing_visible_left_behind():
        answer = driver.call(
            "POST", driver.of("blobs/uploads/"), {"digest": DIGEST}, CONTENT[:5], content_length="10"
        )
        refused(answer, 400, "SIZE_INVALID")


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("0-9", 416, "BLOB_UPLOAD_INVALID"),
        ("8-17", 416, "BLOB_UPLOAD_INVALID"),
        ("6-15", 416, "BLOB_UPLOAD_INVALID"),
        ("bytes 8-17/18", 416, "BLOB_UPLOAD_INVALID"),
        ("999999999999999999-999999999999999999", 400, "SIZE_INVALID"),
        ("7-15", 400, "SIZE_INVALID"),
        ("7-17", 400, "SIZE_INVALID"),
        ("16-7", 400, "SIZE_INVALID"),
        ("", 416, "BLOB_UPLOAD_INVALID"),
        ("7", 416, "BLOB_UPLOAD_INVALID"),
        ("7-", 416, "BLOB_UPLOAD_INVALID"),
        ("-7", 416, "BLOB_UPLOAD_INVALID"),
        ("7--16", 416, "BLOB_UPLOAD_INVALID"),
        ("7-16,17-20", 416, "BLOB_UPLOAD_INVALID"),
        ("0x7-0x10", 416, "BLOB_UPLOAD_INVALID"),
        ("\u0667-\u0661\u0666", 416, "BLOB_UPLOAD_INVALID"),
        ("7.0-16.0", 416, "BLOB_UPLOAD_INVALID"),
        ("1e1-1e2", 416, "BLOB_UPLOAD_INVALID"),
        ("bytes */17", 416, "BLOB_UPLOAD_INVALID"),
        ("7-16/abc", 416, "BLOB_UPLOAD_INVALID"),
        ("9" * 200 + "-1", 416, "BLOB_UPLOAD_INVALID"),
    ],
)
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_chunk_off_the_end_is_refused_and_the_upload_goes_on(
    driver: Driver, method: str, text: str, status: int, code: str
) -> None:
    location = driver.call("PATCH", driver.open_upload(), body=b"before ").headers["location"]
    query = {"digest": Digest.of(b"before " + CONTENT)}
    with nothing_left_behind():
        answer = driver.call(method, location, query, CONTENT, content_range=text)
        refused(answer, status, code)
    assert driver.call("PUT", location, query, CONTENT, content_range="7-16").status == 201


def test_a_wrong_offset_is_told_the_right_one(driver: Driver) -> None:
    location = driver.call("PATCH", driver.open_upload(), body=b"before ").headers["location"]
    answer = driver.call("PATCH", location, body=CONTENT, content_range="3-12")
    entries = refused(answer, 416, "BLOB_UPLOAD_INVALID", "must start at byte 7")
    assert (entries[0]["detail"], answer.headers["range"]) == ({"offset": 7}, "0-6")


def meanwhile(act: Callable[[], Any]) -> Iterator[bytes]:
    """A body in whose middle something else happens."""
    yield CONTENT[:5]
    act()
    yield CONTENT[5:]


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_second_writer_is_refused_and_the_first_goes_on(driver: Driver, method: str) -> None:
    location = driver.open_upload()
    seen: list[Answer] = []

    def second() -> None:
        seen.append(driver.call(method, location, {"digest": DIGEST}, b"of another writer"))

    event = driver.event("PATCH", location, {}, b"", {"content-length": "10"})
    assert driver.deliver(event, meanwhile(second)).status == 202
    refused(seen[0], 409, "BLOB_UPLOAD_INVALID", "wait")
    assert driver.call("PUT", location, {"digest": DIGEST}).status == 201
    assert stored(driver, DIGEST) == CONTENT


def test_the_status_can_be_asked_while_another_writes(driver: Driver) -> None:
    location = driver.open_upload()
    seen: list[Answer] = []
    event = driver.event("PATCH", location, {}, b"", {"content-length": "10"})
    driver.deliver(event, meanwhile(lambda: seen.append(driver.call("GET", location))))
    assert (seen[0].status, seen[0].headers["range"]) == (204, "0-0")


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_writer_whose_session_is_cancelled_meanwhile_publishes_nothing(driver: Driver, method: str) -> None:
    location = driver.open_upload()
    event = driver.event(method, location, {"digest": DIGEST}, b"", {"content-length": "10"})
    answer = driver.deliver(event, meanwhile(lambda: driver.call("DELETE", location)))
    refused(answer, 404, "BLOB_UPLOAD_UNKNOWN", "POST")
    after = inventory.take()
    assert not after.sessions
    assert not after.objects
    assert not is_there(driver, DIGEST)


def test_a_writer_that_fell_silent_loses_its_session_to_the_next(driver: Driver) -> None:
    location = driver.open_upload()
    now = time.time()
    store = driver.deployment.services.uploads.sessions
    session = location.rpartition("/")[2]
    assert store.acquire(session, "silent", now=int(now), lease=int(now) + LEASE_SECONDS) is not None
    refused(driver.call("PATCH", location, body=CONTENT), 409, "BLOB_UPLOAD_INVALID", "wait")
    assert store.renew(session, "silent", int(now) - 1)
    assert driver.call("PATCH", location, body=CONTENT).status == 202
    row = store.get(session)
    assert row is not None
    assert not store.save(row, "silent")


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
def test_a_session_is_used_once(driver: Driver, method: str) -> None:
    location = driver.open_upload()
    assert driver.call("PUT", location, {"digest": DIGEST}, CONTENT).status == 201
    with nothing_left_behind():
        answer = driver.call(method, location, {"digest": OTHER}, b"other bytes")
        refused(answer, 404, "BLOB_UPLOAD_UNKNOWN", "POST")
    assert not is_there(driver, OTHER)


def _forge(location: str, change: Callable[[str, str, str], str]) -> str:
    """`change` makes a path of the repository's part, the capability and the session."""
    _, _, capability, path = location.split("/", 3)
    name, _, session = path.removeprefix("v2/").partition("/blobs/uploads/")
    return change(name, capability, session)


ADMIN = Principal("admin", "default", generation=10**15)


def _with_capability(issue: Callable[[Capabilities, str, str], str]) -> Callable[[str, str, str], str]:
    capabilities = Capabilities([derive_key(SETTINGS.token_keys[0], "capability")])

    def change(name: str, _capability: str, session: str) -> str:
        return f"/u/{issue(capabilities, name, session)}/v2/{name}/blobs/uploads/{session}"

    return change


def _expired(capabilities: Capabilities, name: str, session: str) -> str:
    old = Capabilities(capabilities.keys, lambda: time.time() - LIFETIME_SECONDS - 1)
    return old.issue(ADMIN, name, session)


def _prolonged(capabilities: Capabilities, name: str, session: str) -> str:
    bearer = capabilities.issue(ADMIN, name, session).partition(".")[0]
    return f"{bearer}.{_expired(capabilities, name, session).partition('.')[2]}"


FORGERIES = [
    pytest.param(_with_capability(_expired), id="expired"),
    pytest.param(_with_capability(_prolonged), id="prolonged"),
    pytest.param(_with_capability(lambda c, _n, s: c.issue(ADMIN, "dev/other", s)), id="another repository"),
    pytest.param(_with_capability(lambda c, n, _s: c.issue(ADMIN, n, "0" * 32)), id="another session"),
    pytest.param(
        _with_capability(lambda _c, n, s: Capabilities([SETTINGS.token_keys[0]]).issue(ADMIN, n, s)),
        id="another key",
    ),
    pytest.param(_with_capability(lambda _c, _n, _s: "x"), id="garbage"),
    pytest.param(_with_capability(lambda _c, _n, _s: "."), id="a dot"),
    pytest.param(_with_capability(lambda _c, _n, _s: "é" * 30), id="not ascii"),
    pytest.param(_with_capability(lambda _c, _n, _s: "f" * 9000), id="very long"),
    pytest.param(_with_capability(lambda c, n, s: c.issue(ADMIN, n, s)[:-1]), id="cut"),
    pytest.param(lambda _n, c, s: f"/u/{c}/v2/dev/other/blobs/uploads/{s}", id="used for another repository"),
    pytest.param(lambda n, c, _s: f"/u/{c}/v2/{n}/blobs/uploads/{'0' * 32}", id="used for another session"),
    pytest.param(lambda n, c, s: f"/u/{c}/v2/{n}/blobs/uploads/{s.upper()}", id="session in upper case"),
]


@pytest.mark.parametrize("forge", FORGERIES)
@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
def test_a_capability_that_is_none_is_refused(
    driver: Driver, method: str, forge: Callable[[str, str, str], str]
) -> None:
    location = driver.open_upload()
    path = _forge(location, forge)
    with nothing_left_behind():
        answer = driver.call(method, path, {"digest": DIGEST}, CONTENT)
        refused(answer, 404, "BLOB_UPLOAD_UNKNOWN", "POST")
    assert driver.call("PUT", location, {"digest": DIGEST}, CONTENT).status == 201


@pytest.mark.parametrize("session", ["x", "0" * 32, "..", "a" * 3000, "é", "0" * 31 + "%0a", "*"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
def test_a_session_that_never_was_is_unknown(driver: Driver, method: str, session: str) -> None:
    path = driver.of(f"blobs/uploads/{session}")
    with nothing_left_behind():
        refused(driver.call(method, path, {"digest": DIGEST}, CONTENT), 404, "BLOB_UPLOAD_UNKNOWN", "POST")


def test_a_session_of_another_repository_is_unknown(driver: Driver) -> None:
    session = driver.open_upload().rpartition("/")[2]
    other = Driver(driver.deployment, "dev/other")
    other.log_in()
    path = other.of(f"blobs/uploads/{session}")
    with nothing_left_behind():
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            refused(other.call(method, path, {"digest": DIGEST}, CONTENT), 404, "BLOB_UPLOAD_UNKNOWN", "POST")


def test_an_expired_session_is_unknown(driver: Driver) -> None:
    opened = replace(driver.deployment.services.uploads, clock=lambda: time.time() - SESSION_SECONDS - 1)
    row = opened.open(Repository("default", driver.repository))
    path = driver.of(f"blobs/uploads/{row.session}")
    with nothing_left_behind():
        answer = driver.call("PUT", path, {"digest": DIGEST}, CONTENT)
        refused(answer, 404, "BLOB_UPLOAD_UNKNOWN", "POST")


def test_regctl_patches_the_url_it_first_put_to(driver: Driver) -> None:
    """With `?digest=` still on it."""
    location = driver.open_upload()
    patched = driver.call("PATCH", location, {"digest": DIGEST}, CONTENT)
    assert patched.status == 202
    assert driver.call("PUT", patched.headers["location"], {"digest": DIGEST}).status == 201


def test_a_handler_that_fails_leaves_the_session_as_it_was(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = driver.call("PATCH", driver.open_upload(), body=b"before ").headers["location"]
    objects = type(driver.deployment.services.blobs.objects)

    def fail(*_: object) -> None:
        raise ConnectionError("S3 is away")

    with nothing_left_behind(), monkeypatch.context() as broken:
        broken.setattr(objects, "put", fail)
        refused(driver.call("PATCH", location, body=CONTENT), 500, "UNSUPPORTED", "try again")
    whole = Digest.of(b"before " + CONTENT)
    assert driver.call("PUT", location, {"digest": whole}, CONTENT).status == 201


def test_the_same_blob_twice_is_stored_once(driver: Driver, deployment: Deployment) -> None:
    driver.push_blob(CONTENT)
    with nothing_left_behind():
        driver.push_blob(CONTENT)
    other = Driver(deployment, "dev/other")
    other.log_in()
    other.push_blob(CONTENT)
    assert len(inventory.take().objects) == 1
