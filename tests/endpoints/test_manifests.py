"""Manifests: stored byte for byte, and every document that is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.spec.digest import Digest
from chalicelib.spec.manifest import SIZE_LIMIT
from tests.endpoints import inventory
from tests.endpoints.driver import IMAGE, INDEX, Driver, index_of
from tests.endpoints.refusals import nothing_left_behind, refused

MISSING = Digest.of(b"never pushed")


def descriptor(digest: object = MISSING, size: object = 3, **more: object) -> dict[str, Any]:
    return {"mediaType": "application/octet-stream", "digest": digest, "size": size, **more}


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_manifest_comes_back_byte_for_byte(driver: Driver, algorithm: str) -> None:
    """end-7a, end-3. Nothing in it is the registry's to change, not even its spaces."""
    raw = b'{ "mediaType":"%s",\n\t"unknown": [1, 2.50, null], "schemaVersion":2 }\r\n' % IMAGE.encode()
    digest = Digest.of(raw, algorithm)
    put = driver.put_raw(digest, raw)
    assert put.status == 201
    assert put.headers["location"] == driver.of(f"manifests/{digest}")
    assert put.headers["docker-content-digest"] == digest
    got = driver.call("GET", put.headers["location"])
    assert (got.status, got.body) == (200, raw)
    assert got.headers["content-type"] == IMAGE
    assert got.headers["content-length"] == str(len(raw))
    assert got.headers["etag"] == f'"{digest}"'
    head = driver.call("HEAD", put.headers["location"])
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(raw)))


@pytest.mark.parametrize("media_type", ["application/vnd.example.thing+json", "text/plain"])
def test_an_unknown_media_type_is_kept(driver: Driver, media_type: str) -> None:
    assert driver.put_raw("v1", b'{"a": 1}', f"{media_type}; charset=utf-8").status == 201
    assert driver.call("GET", driver.of("manifests/v1")).headers["content-type"] == media_type


def test_several_tags_in_one_request(driver: Driver) -> None:
    """end-7b."""
    raw = b'{"schemaVersion": 2}'
    answer = driver.put_raw(Digest.of(raw), raw, query={"tag": ["v1", "v1.0"]})
    assert (answer.status, answer.headers["oci-tag"]) == (201, "v1, v1.0")
    assert driver.call("GET", driver.of("manifests/v1.0")).body == raw


def test_the_subject_is_told_though_it_is_missing(driver: Driver) -> None:
    document = {"schemaVersion": 2, "mediaType": IMAGE, "subject": descriptor()}
    assert driver.put_manifest("v1", document).headers["oci-subject"] == MISSING


def test_a_known_manifest_is_not_sent_again(driver: Driver) -> None:
    digest = driver.push_image("v1")
    answer = driver.call("GET", driver.of("manifests/v1"), if_none_match=f'"{digest}"')
    assert (answer.status, answer.body) == (304, b"")
    assert driver.call("GET", driver.of("manifests/v1"), if_none_match='"other"').status == 200


def test_a_precondition_that_does_not_hold_moves_no_tag(driver: Driver) -> None:
    driver.push_image("v1")
    other = b'{"schemaVersion": 2}'
    with nothing_left_behind():
        for headers in ({"if_none_match": "*"}, {"if_match": f'"{MISSING}"'}):
            refused(driver.put_raw("v1", other, **headers), 412, "MANIFEST_INVALID", "v1")
        refused(driver.put_raw("v2", other, if_match="*"), 412, "MANIFEST_INVALID", "is not there")


def test_a_tag_goes_alone_and_a_digest_with_its_tags(driver: Driver) -> None:
    """end-9."""
    digest = driver.push_image("v1")
    driver.put_manifest("v2", driver.image())
    assert driver.call("DELETE", driver.of("manifests/v2")).status == 202
    assert driver.call("GET", driver.of("manifests/v1")).status == 200
    assert driver.call("DELETE", driver.of(f"manifests/{digest}")).status == 202
    for reference in ("v1", "v2", digest):
        with nothing_left_behind():
            for method in ("GET", "DELETE"):
                answer = driver.call(method, driver.of(f"manifests/{reference}"))
                refused(answer, 404, "MANIFEST_UNKNOWN")


def test_what_an_index_names_stays(driver: Driver) -> None:
    document = driver.image()
    raw = json.dumps(document).encode()
    driver.put_raw("child", raw)
    driver.put_manifest("index", index_of((Digest.of(raw), len(raw))))
    with nothing_left_behind():
        answer = driver.call("DELETE", driver.of(f"manifests/{Digest.of(raw)}"))
        refused(answer, 405, "DENIED", "delete those first")


@pytest.mark.parametrize(
    ("raw", "media_type", "says"),
    [
        (b"", IMAGE, "not JSON"),
        (b"not json", IMAGE, "not JSON"),
        (b"{", IMAGE, "not JSON"),
        (b"\xff\xfe", IMAGE, "not JSON"),
        (b"\x1f\x8b\x08\x00", IMAGE, "not JSON"),
        (b"[" * 200_000, IMAGE, "not JSON"),
        (b'{"size": ' + b"9" * 5000 + b"}", IMAGE, "not JSON"),
        (b"[]", IMAGE, "not a JSON object"),
        (b"null", IMAGE, "not a JSON object"),
        (b'"text"', IMAGE, "not a JSON object"),
        (b'{"mediaType": 7}', IMAGE, "mediaType"),
        (json.dumps({"mediaType": INDEX}).encode(), IMAGE, "make them the same"),
        (b"{}", "application/vnd.docker.distribution.manifest.v1+json", "schema 2"),
        (b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 2"),
        (b"{}", "t" * 300, "media type"),
        (b'{"mediaType": "text/\\u0000"}', "", "media type"),
        (b'{"layers": {}}', IMAGE, "layers is not a list"),
        (b'{"layers": [7]}', IMAGE, "not a descriptor"),
        (b'{"config": []}', IMAGE, "not a descriptor"),
        (b'{"manifests": "x"}', INDEX, "manifests is not a list"),
        (json.dumps({"config": descriptor(digest=7)}).encode(), IMAGE, "no digest"),
        (json.dumps({"config": descriptor(size=None)}).encode(), IMAGE, "no size"),
        (json.dumps({"config": descriptor(size=-1)}).encode(), IMAGE, "no size"),
        (json.dumps({"config": descriptor(size=1.5)}).encode(), IMAGE, "no size"),
        (json.dumps({"config": descriptor(size="3")}).encode(), IMAGE, "no size"),
        (json.dumps({"config": descriptor(size=True)}).encode(), IMAGE, "no size"),
        (json.dumps({"subject": descriptor(mediaType=7)}).encode(), IMAGE, "subject"),
    ],
)
def test_a_document_that_is_no_manifest_is_refused(
    driver: Driver, raw: bytes, media_type: str, says: str
) -> None:
    with nothing_left_behind():
        refused(driver.put_raw("v1", raw, media_type), 400, "MANIFEST_INVALID", says)
    refused(driver.call("GET", driver.of("manifests/v1")), 404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize("digest", ["", "sha256:short", "md5:" + "a" * 32, "../../x", "a" * 9000])
def test_a_descriptor_whose_digest_is_none_is_refused(driver: Driver, digest: str) -> None:
    with nothing_left_behind():
        answer = driver.put_manifest("v1", {"layers": [descriptor(digest=digest)]})
        refused(answer, 400, "DIGEST_INVALID", "invalid digest")
        assert len(answer.body) < 1000


def _padded(size: int) -> bytes:
    raw = json.dumps({"mediaType": IMAGE, "x": ""}).encode()
    return raw[:-2] + b"y" * (size - len(raw)) + b'"}'


def test_a_manifest_of_exactly_the_limit_is_kept(driver: Driver) -> None:
    raw = _padded(SIZE_LIMIT)
    assert len(raw) == SIZE_LIMIT
    assert driver.put_raw("large", raw).status == 201
    assert driver.call("GET", driver.of("manifests/large")).body == raw


@pytest.mark.parametrize("announced", [True, False])
def test_a_manifest_over_the_limit_is_413(driver: Driver, announced: bool) -> None:  # noqa: FBT001
    event = driver.event("PUT", driver.of("manifests/large"), {}, _padded(SIZE_LIMIT + 1), {})
    if not announced:
        del event["headers"]["content-length"]
    with nothing_left_behind():
        refused(driver.deliver(event), 413, "MANIFEST_INVALID", f"at most {SIZE_LIMIT} bytes")


@pytest.mark.parametrize(
    "more",
    [
        {"annotations": {"key": "v" * 300_000}},
        {"artifactType": "t" * 300_000},
        {"annotations": {str(number): "v" * 100 for number in range(3000)}},
    ],
)
def test_what_a_referrers_row_cannot_hold_is_413(driver: Driver, more: dict[str, object]) -> None:
    with nothing_left_behind():
        answer = driver.put_manifest("v1", {"subject": descriptor(), **more})
        refused(answer, 413, "MANIFEST_INVALID", "with a subject")


def test_every_missing_blob_has_an_entry_of_its_own(driver: Driver) -> None:
    digests = [Digest.of(bytes([number])) for number in range(150)]
    here = driver.pushed(b"here", "application/octet-stream")
    document = {"config": here, "layers": [descriptor(digest=digest) for digest in digests]}
    with nothing_left_behind():
        entries = refused(driver.put_manifest("v1", document), 400, "MANIFEST_BLOB_UNKNOWN", "push or mount")
    assert [entry["detail"]["digest"] for entry in entries] == digests


def test_a_missing_child_of_an_index_is_named(driver: Driver) -> None:
    with nothing_left_behind():
        answer = driver.put_manifest("v1", index_of((MISSING, 3)))
        entries = refused(answer, 400, "MANIFEST_BLOB_UNKNOWN")
    assert entries[0]["detail"]["digest"] == MISSING


def test_a_blob_of_another_repository_is_missing_here(driver: Driver) -> None:
    other = Driver(driver.deployment, "dev/other")
    other.log_in()
    there = other.pushed(b"there", "application/octet-stream")
    with nothing_left_behind():
        refused(driver.put_manifest("v1", {"layers": [there]}), 400, "MANIFEST_BLOB_UNKNOWN")


@pytest.mark.parametrize("claimed", [0, 3, 5, 10**30])
def test_a_lie_about_a_size_is_refused(driver: Driver, claimed: int) -> None:
    layer = driver.pushed(b"four", "application/octet-stream")
    with nothing_left_behind():
        answer = driver.put_manifest("v1", {"layers": [{**layer, "size": claimed}]})
        entries = refused(answer, 400, "SIZE_INVALID", "not the stored one")
    assert (entries[0]["detail"]["size"], entries[0]["detail"]["stored"]) == (claimed, 4)


def test_a_lie_about_the_size_of_a_child_is_refused(driver: Driver) -> None:
    raw = b'{"schemaVersion": 2}'
    driver.put_raw("child", raw)
    with nothing_left_behind():
        answer = driver.put_manifest("index", index_of((Digest.of(raw), len(raw) + 1)))
        refused(answer, 400, "SIZE_INVALID")


def test_a_digest_that_is_not_the_documents_is_refused(driver: Driver) -> None:
    raw = b'{"schemaVersion": 2}'
    with nothing_left_behind():
        answer = driver.put_raw(MISSING, raw)
        entries = refused(answer, 400, "DIGEST_INVALID", "hashes to")
    assert entries[0]["detail"] == {"digest": MISSING, "computed": Digest.of(raw)}


@pytest.mark.parametrize("announced", ["0", "1", "19", "21", "99999999"])
def test_a_body_as_long_as_nobody_said_is_refused(driver: Driver, announced: str) -> None:
    with nothing_left_behind():
        answer = driver.put_raw("v1", b'{"schemaVersion": 2}', content_length=announced)
        assert answer.status in {400, 413}
        assert answer.codes[0] in {"SIZE_INVALID", "MANIFEST_INVALID"}


def _without_body(event: dict[str, Any]) -> None:
    del event["body"], event["isBase64Encoded"]


def _empty_body(event: dict[str, Any]) -> None:
    event["body"] = None


def _bad_base64(event: dict[str, Any]) -> None:
    event["body"] = "not base64!"


def _unpadded_base64(event: dict[str, Any]) -> None:
    event["body"] = "e30"


def _foreign_base64(event: dict[str, Any]) -> None:
    event["body"] = "éé=="


@pytest.mark.parametrize("spoil", [_without_body, _empty_body])
def test_an_event_without_a_body_is_an_empty_one(
    driver: Driver, spoil: Callable[[dict[str, Any]], None]
) -> None:
    event = driver.event("PUT", driver.of("manifests/v1"), {}, b"", {"content-type": IMAGE})
    spoil(event)
    with nothing_left_behind():
        refused(driver.deliver(event), 400, "MANIFEST_INVALID", "not JSON")


@pytest.mark.parametrize("spoil", [_bad_base64, _unpadded_base64, _foreign_base64])
@pytest.mark.parametrize("upload", [True, False])
def test_a_body_that_is_not_base64_is_refused(
    driver: Driver,
    spoil: Callable[[dict[str, Any]], None],
    upload: bool,  # noqa: FBT001
) -> None:
    path = driver.open_upload() if upload else driver.of("manifests/v1")
    event = driver.event("PUT", path, {"digest": MISSING}, b"x", {"content-type": IMAGE})
    spoil(event)
    with nothing_left_behind():
        refused(driver.deliver(event), 400, "SIZE_INVALID", "base64")


def test_an_event_without_headers_is_a_request_without_any(driver: Driver) -> None:
    event = driver.event("GET", "/v2/", {}, b"", {})
    del event["headers"]
    refused(driver.deliver(event), 401, "UNAUTHORIZED")
    event["headers"] = None
    refused(driver.deliver(event), 401, "UNAUTHORIZED")


def test_a_body_that_is_text_in_the_event_is_as_good(driver: Driver) -> None:
    """AWS sends JSON as it is."""
    raw = '{"schemaVersion": 2, "name": "überall"}'
    event = driver.event("PUT", driver.of("manifests/v1"), {}, b"", {"content-type": IMAGE})
    event |= {"body": raw, "isBase64Encoded": False}
    event["headers"]["content-length"] = str(len(raw.encode()))
    assert driver.deliver(event).status == 201
    assert driver.call("GET", driver.of("manifests/v1")).body == raw.encode()


@pytest.mark.parametrize("count", [33, 200])
def test_more_tags_than_one_request_may_move(driver: Driver, count: int) -> None:
    raw = b"{}"
    tags = [f"t{number}" for number in range(count)]
    with nothing_left_behind():
        answer = driver.put_raw(Digest.of(raw), raw, query={"tag": tags})
        refused(answer, 413, "MANIFEST_INVALID", "at most 32 tags")


def test_a_large_manifest_that_is_refused_leaves_no_bytes(driver: Driver) -> None:
    with nothing_left_behind():
        document = {"layers": [descriptor()], "annotations": {"large": "x" * 300_000}}
        refused(driver.put_manifest("v1", document), 400, "MANIFEST_BLOB_UNKNOWN")
    assert not inventory.take().objects
