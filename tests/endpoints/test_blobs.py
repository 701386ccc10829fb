"""Blobs by presigned redirect: where it leads, ranges, deletes."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.spec.digest import Digest
from tests.endpoints.driver import Driver
from tests.endpoints.refusals import nothing_left_behind, refused
from tests.endpoints.test_uploads import BAD_DIGESTS

MISSING = Digest.of(b"never pushed")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_blob_is_where_a_signed_url_says(driver: Driver, method: str) -> None:
    """end-2. The URL is for this object, for a while, and no cache may keep it."""
    digest = driver.push_blob(b"content")
    answer = driver.call(method, driver.of(f"blobs/{digest}"))
    assert (answer.status, answer.body) == (307, b"")
    assert answer.headers["docker-content-digest"] == digest
    assert answer.headers["cache-control"] == "no-store"
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert 0 < int(query["X-Amz-Expires"][0]) <= 3600
    assert len(query["X-Amz-Signature"][0]) == 64


def test_the_urls_of_get_and_head_are_signed_apart(driver: Driver) -> None:
    """S3 refuses HEAD on a URL made for GET."""
    digest = driver.push_blob(b"content")
    get, head = (driver.call(method, driver.of(f"blobs/{digest}")) for method in ("GET", "HEAD"))
    assert get.headers["location"] != head.headers["location"]


@pytest.mark.parametrize("text", ["bytes=0-3", "bytes=3-", "bytes=-3", "bytes=0-0,2-3", "odd", "bytes=", ""])
def test_a_range_is_for_s3_to_answer(driver: Driver, text: str) -> None:
    digest = driver.push_blob(b"content")
    assert driver.call("GET", driver.of(f"blobs/{digest}"), range=text).status == 307


@pytest.mark.parametrize("text", ["bytes=7-", "bytes=7-9", "bytes=5-3", "bytes=999999999999999999-"])
def test_a_range_outside_the_blob_is_416(driver: Driver, text: str) -> None:
    digest = driver.push_blob(b"content")
    answer = driver.call("GET", driver.of(f"blobs/{digest}"), range=text)
    refused(answer, 416, "SIZE_INVALID", "7 bytes")
    assert answer.headers["content-range"] == "bytes */7"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_blob_that_is_not_here_is_404(driver: Driver, method: str) -> None:
    with nothing_left_behind():
        entries = refused(driver.call(method, driver.of(f"blobs/{MISSING}")), 404, "BLOB_UNKNOWN")
    assert entries[0]["detail"] == {"digest": MISSING}


def test_a_blob_of_another_repository_is_not_here(driver: Driver) -> None:
    digest = driver.push_blob(b"content")
    other = Driver(driver.deployment, "dev/other")
    other.log_in()
    with nothing_left_behind():
        for method in ("GET", "DELETE"):
            refused(other.call(method, other.of(f"blobs/{digest}")), 404, "BLOB_UNKNOWN")


def test_a_deleted_blob_is_gone_at_once(driver: Driver) -> None:
    """end-10."""
    digest = driver.push_blob(b"content")
    assert driver.call("DELETE", driver.of(f"blobs/{digest}")).status == 202
    refused(driver.call("GET", driver.of(f"blobs/{digest}")), 404, "BLOB_UNKNOWN")


def test_a_blob_that_a_manifest_names_stays(driver: Driver) -> None:
    document = driver.image()
    driver.put_manifest("v1", document)
    with nothing_left_behind():
        answer = driver.call("DELETE", driver.of(f"blobs/{document['config']['digest']}"))
        refused(answer, 405, "DENIED", "delete those first")


@pytest.mark.parametrize(("digest", "says"), [bad for bad in BAD_DIGESTS if bad.id not in {"empty", "path"}])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_is_no_digest_is_refused(driver: Driver, method: str, digest: str, says: str) -> None:
    with nothing_left_behind():
        refused(driver.call(method, driver.of(f"blobs/{digest}")), 400, "DIGEST_INVALID", says)
