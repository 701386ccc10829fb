"""Pulling blobs: whole, in part, by redirect or through the registry."""

from __future__ import annotations

import pytest
import requests

from tests.conformance.ways import EMBEDDED, PASSED_THROUGH, REDIRECTED
from tests.support.client import Client, refused
from tests.support.content import UNKNOWN, digest_of, random_bytes

SIZE = 2048
ALGORITHMS = pytest.mark.parametrize("algorithm", ["sha256", "sha512"])


@ALGORITHMS
def test_a_blob_is_served_whole(client: Client, algorithm: str) -> None:
    content = random_bytes(SIZE)
    digest = client.push_blob(content, algorithm)

    head = client.head(f"blobs/{digest}")
    answer = client.get(f"blobs/{digest}")

    assert head.status_code == answer.status_code == 200
    assert head.headers["Content-Length"] == answer.headers["Content-Length"] == str(SIZE)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert head.content == b""
    assert answer.content == content


@ALGORITHMS
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_the_registry_names_the_digest_that_was_asked_for(
    client: Client, blob_status: int, method: str, algorithm: str
) -> None:
    digest = client.push_blob(random_bytes(64), algorithm)
    answer = client.call(method, client.of(f"blobs/{digest}"), allow_redirects=False)
    assert answer.status_code == blob_status
    assert answer.headers["Docker-Content-Digest"] == digest


@REDIRECTED
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_redirect_serves_whoever_holds_it(client: Client, method: str) -> None:
    """Go's client keeps its Authorization between two ports of one host."""
    digest = client.push_blob(b"signed for")
    answer = client.call(method, client.of(f"blobs/{digest}"), allow_redirects=False)
    location = answer.headers["Location"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert not location.startswith(client.url)
    for headers in ({}, {"Authorization": f"Bearer {next(iter(client.tokens.values()))}"}):
        blob = requests.request(method, location, headers=headers, timeout=30)
        assert blob.status_code == 200
        assert blob.headers["Content-Length"] == "10"
        assert blob.content == (b"signed for" if method == "GET" else b"")


@PASSED_THROUGH
def test_no_redirect_is_seen_when_blobs_pass_through(client: Client) -> None:
    digest = client.push_blob(b"carried")
    answer = client.get(f"blobs/{digest}", allow_redirects=False)
    assert (answer.status_code, answer.content) == (200, b"carried")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("digest", [UNKNOWN, digest_of(b"never pushed", "sha512")], ids=["sha256", "sha512"])
def test_a_missing_blob_is_404(client: Client, digest: str, method: str) -> None:
    answer = client.call(method, client.of(f"blobs/{digest}"))
    if method == "GET":
        refused(answer, 404, "BLOB_UNKNOWN")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json")


@EMBEDDED
@pytest.mark.parametrize("digest", ["sha256:totallywrong", "sha256:", "latest", "md5:" + "0" * 32])
def test_a_malformed_digest_is_refused(client: Client, digest: str) -> None:
    refused(client.get(f"blobs/{digest}"), 400, "DIGEST_INVALID")
    assert client.head(f"blobs/{digest}").status_code == 400


def test_a_blob_is_seen_only_in_its_repository(client: Client, other: Client) -> None:
    digest = other.push_blob(random_bytes(50))
    refused(client.get(f"blobs/{digest}"), 404, "BLOB_UNKNOWN")


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=500-1499", 500, 1499),
        ("bytes=500-", 500, SIZE - 1),
        ("bytes=-500", SIZE - 500, SIZE - 1),
        ("bytes=2000-5000", 2000, SIZE - 1),
        ("bytes=0-0", 0, 0),
        ("bytes=-5000", 0, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
    ],
)
def test_part_of_a_blob_is_206(client: Client, asked: str, first: int, last: int) -> None:
    content = random_bytes(SIZE)
    for algorithm in ("sha256", "sha512"):
        digest = client.push_blob(content, algorithm)

        answer = client.get(f"blobs/{digest}", headers={"Range": asked})

        assert answer.status_code == 206
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
        assert answer.headers["Content-Length"] == str(last - first + 1)
        assert answer.content == content[first : last + 1]


def test_a_range_past_the_end_of_a_larger_blob_is_served(client: Client) -> None:
    content = random_bytes(6000)
    digest = client.push_blob(content)
    answer = client.get(f"blobs/{digest}", headers={"Range": "bytes=2000-5000"})
    assert (answer.status_code, answer.content) == (206, content[2000:5001])
    assert answer.headers["Content-Range"] == "bytes 2000-5000/6000"


@pytest.mark.parametrize("asked", ["bytes=500-0", "bytes=5000-10000", f"bytes={SIZE}-"])
def test_a_range_with_nothing_in_it_is_416(client: Client, asked: str) -> None:
    digest = client.push_blob(random_bytes(SIZE))
    answer = client.get(f"blobs/{digest}", headers={"Range": asked})
    refused(answer, 416)
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


def test_no_part_of_a_blob_of_no_bytes_can_be_had(client: Client) -> None:
    digest = client.push_blob(b"")
    refused(client.get(f"blobs/{digest}", headers={"Range": "bytes=0-10"}), 416)
    assert client.get(f"blobs/{digest}").content == b""
