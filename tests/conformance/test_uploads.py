"""Uploads: every form, chunks in and out of order, status, cancelling, and sessions that are not there."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
import requests

from tests.conformance.upload_forms import (
    FORMS,
    Form,
    content_range,
    patch_chunk,
    pieces,
    post_then_put,
    put_chunk,
    send_chunks,
    single_post,
    stream,
)
from tests.conformance.ways import EMBEDDED, SEES_SESSIONS
from tests.support.client import Client, refused
from tests.support.content import UNKNOWN, digest_of, random_bytes

CHUNK = 1024
ALGORITHMS = pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
EVERY_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
SPARE = "sha256:" + "0" * 64


@ALGORITHMS
@EVERY_FORM
def test_every_form_of_upload_publishes_the_blob(client: Client, form: Form, algorithm: str) -> None:
    content = random_bytes(3 * CHUNK - 5)
    digest = digest_of(content, algorithm)

    answer = form(client, content, digest)

    assert answer.status_code == 201, answer.text
    assert answer.headers["Docker-Content-Digest"] == digest
    assert urlsplit(answer.headers["Location"]).path == client.of(f"blobs/{digest}")
    assert client.call("GET", answer.headers["Location"]).content == content
    assert client.head(f"blobs/{digest}").status_code == 200


@ALGORITHMS
@EVERY_FORM
def test_a_wrong_digest_is_400_and_leaves_nothing(client: Client, form: Form, algorithm: str) -> None:
    content = random_bytes(3 * CHUNK - 5)
    digest = digest_of(content, algorithm)

    refused(form(client, content + b"more", digest), 400, "DIGEST_INVALID")

    assert client.head(f"blobs/{digest}").status_code == 404
    assert client.head(f"blobs/{digest_of(content + b'more', algorithm)}").status_code == 404


@SEES_SESSIONS
def test_a_session_is_gone_once_its_digest_was_wrong(client: Client) -> None:
    location = client.open_upload()
    client.close_upload(location, UNKNOWN, b"something else")
    refused(client.call("GET", location), 404, "BLOB_UPLOAD_UNKNOWN")


@EMBEDDED
@ALGORITHMS
@pytest.mark.parametrize("content", [b"", b"{}"], ids=["zero bytes", "empty object"])
@pytest.mark.parametrize("form", [single_post, post_then_put, stream], ids=lambda form: form.__name__)
def test_the_smallest_blobs_can_be_pushed(client: Client, form: Form, content: bytes, algorithm: str) -> None:
    digest = digest_of(content, algorithm)
    assert form(client, content, digest).status_code == 201
    answer = client.get(f"blobs/{digest}")
    assert (answer.content, answer.headers["Content-Length"]) == (content, str(len(content)))


def test_a_blob_that_is_there_already_can_be_pushed_again(client: Client) -> None:
    digest = client.push_blob(b"twice")
    assert client.push_blob(b"twice") == digest
    assert client.get(f"blobs/{digest}").content == b"twice"


def test_opening_an_upload_says_where_it_goes_on(client: Client) -> None:
    answer = client.call("POST", client.of("blobs/uploads/"))
    assert answer.status_code == 202
    assert answer.headers["Range"] == "0-0"
    assert answer.headers["Docker-Upload-UUID"]
    assert answer.headers["Location"].startswith("/")
    assert int(answer.headers.get("OCI-Chunk-Min-Length", "0")) <= CHUNK
    assert answer.content == b""


def test_an_upload_needs_no_credential_but_its_location(client: Client) -> None:
    location = client.url + client.open_upload()
    nobody = client.session
    assert nobody.patch(location, data=b"abc", timeout=30).status_code == 202
    wrong = {"Authorization": "Bearer of another registry"}
    assert nobody.get(location, headers=wrong, timeout=30).headers["Range"] == "0-2"


def test_chunks_of_one_byte_are_taken(client: Client) -> None:
    content = b"tiny"
    location = send_chunks(client, client.open_upload(), list(pieces(content, 1)))
    assert client.close_upload(location, digest_of(content)).status_code == 201


def test_a_content_range_in_the_form_of_http_is_understood(client: Client) -> None:
    location = client.open_upload()
    answer = client.patch(location, b"0123456789", Content_Range="bytes 0-9/10")
    assert answer.status_code == 202
    assert answer.headers["Range"] == "0-9"


def test_an_upload_may_go_on_from_chunks_to_a_stream(client: Client) -> None:
    content = random_bytes(300)
    location = send_chunks(client, client.open_upload(), [content[:100]])
    answer = client.patch(location, iter([content[100:]]))
    assert answer.headers["Range"] == "0-299"
    assert client.close_upload(answer.headers["Location"], digest_of(content)).status_code == 201


@EMBEDDED
@pytest.mark.parametrize("text", ["", "nonsense", "0-", "-5", "5", "bytes=a-b", "0-4,5-9", "9-x"])
def test_a_content_range_that_is_none_is_416(client: Client, text: str) -> None:
    location = client.open_upload()
    refused(client.patch(location, b"01234", Content_Range=text), 416, "BLOB_UPLOAD_INVALID")
    assert client.call("GET", location).headers["Range"] == "0-0"


Misplaced = Callable[[Client, str, bytes, str], requests.Response]


def _skips_a_chunk(client: Client, location: str, content: bytes, _digest: str) -> requests.Response:
    return patch_chunk(client, location, content[2 * CHUNK :], 2 * CHUNK)


def _repeats_a_chunk(client: Client, location: str, content: bytes, _digest: str) -> requests.Response:
    return patch_chunk(client, location, content[:CHUNK], 0)


def _closes_after_a_gap(client: Client, location: str, content: bytes, digest: str) -> requests.Response:
    return put_chunk(client, location, digest, content[2 * CHUNK :], 2 * CHUNK)


def _closes_with_a_repetition(
    client: Client, location: str, content: bytes, digest: str
) -> requests.Response:
    return put_chunk(client, location, digest, content[:CHUNK], 0)


@ALGORITHMS
@pytest.mark.parametrize(
    "misplaced",
    [_skips_a_chunk, _repeats_a_chunk, _closes_after_a_gap, _closes_with_a_repetition],
    ids=lambda one: one.__name__.strip("_"),
)
def test_a_misplaced_chunk_is_416_and_the_upload_goes_on(
    client: Client, misplaced: Misplaced, algorithm: str
) -> None:
    content = random_bytes(3 * CHUNK - 5)
    digest = digest_of(content, algorithm)
    location = send_chunks(client, client.open_upload(), [content[:CHUNK]])

    answer = misplaced(client, location, content, digest)
    refused(answer, 416, "BLOB_UPLOAD_INVALID")
    assert answer.headers["Range"] == f"0-{CHUNK - 1}"

    status = client.call("GET", location)
    assert status.status_code == 204
    assert status.headers["Range"] == f"0-{CHUNK - 1}"

    second = patch_chunk(client, status.headers["Location"], content[CHUNK : 2 * CHUNK], CHUNK)
    assert second.status_code == 202
    last = put_chunk(client, second.headers["Location"], digest, content[2 * CHUNK :], 2 * CHUNK)
    assert last.status_code == 201
    assert client.get(f"blobs/{digest}").content == content


def test_a_first_chunk_that_does_not_begin_at_zero_is_416(client: Client) -> None:
    location = client.open_upload()
    refused(patch_chunk(client, location, b"late", 4), 416, "BLOB_UPLOAD_INVALID")
    assert client.call("GET", location).status_code == 204


def test_an_earlier_location_of_the_session_still_serves(client: Client) -> None:
    """A client that lost an answer has only the location before it."""
    first = client.open_upload()
    chunk = random_bytes(CHUNK)
    send_chunks(client, first, [chunk])

    refused(patch_chunk(client, first, chunk, 0), 416, "BLOB_UPLOAD_INVALID")
    status = client.call("GET", first)

    assert status.status_code == 204
    assert status.headers["Range"] == content_range(chunk, 0)
    assert status.headers["Location"]


def test_the_status_of_an_upload_has_no_body(client: Client) -> None:
    location = client.open_upload()
    for method in ("GET", "HEAD"):
        answer = client.call(method, location)
        assert answer.status_code == 204
        assert answer.headers["Location"]
        assert answer.content == b""


@EMBEDDED
@pytest.mark.parametrize("last", [2, 9])
def test_a_length_that_differs_from_its_range_is_size_invalid(client: Client, last: int) -> None:
    location = client.open_upload()
    refused(client.patch(location, b"01234", Content_Range=f"0-{last}"), 400, "SIZE_INVALID")
    closing = client.close_upload(location, digest_of(b"01234"), b"01234", Content_Range=f"0-{last}")
    refused(closing, 400, "SIZE_INVALID")
    assert client.call("GET", location).headers["Range"] == "0-0"


@EMBEDDED
@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha256:short",
        "sha256:" + "A" * 64,
        "sha256:" + "0" * 63,
        "sha512:" + "0" * 64,
        "md5:" + "0" * 32,
        "sha384:" + "0" * 96,
        "blake3:" + "0" * 64,
        "nonsense",
    ],
)
def test_a_digest_that_is_none_is_400_however_the_upload_ends(client: Client, digest: str) -> None:
    location = client.open_upload()
    refused(client.close_upload(location, digest, b"content"), 400, "DIGEST_INVALID")
    assert client.call("GET", location).status_code == 204
    if digest:
        path = client.of("blobs/uploads/")
        refused(client.call("POST", path, params={"digest": digest}, data=b"x"), 400, "DIGEST_INVALID")


@EMBEDDED
def test_an_unsupported_algorithm_is_refused_when_the_upload_opens(client: Client) -> None:
    path = client.of("blobs/uploads/")
    refused(client.call("POST", path, params={"digest-algorithm": "md5"}), 400, "DIGEST_INVALID")
    assert client.call("POST", path, params={"digest-algorithm": "sha512"}).status_code == 202


def test_a_cancelled_upload_is_gone(client: Client) -> None:
    location = send_chunks(client, client.open_upload(), [b"abandoned"])

    answer = client.call("DELETE", location)

    assert answer.status_code == 204
    assert answer.content == b""
    for method in ("GET", "PATCH", "DELETE"):
        refused(client.call(method, location), 404, "BLOB_UPLOAD_UNKNOWN")
    refused(client.close_upload(location, digest_of(b"abandoned")), 404, "BLOB_UPLOAD_UNKNOWN")
    assert client.head(f"blobs/{digest_of(b'abandoned')}").status_code == 404


@SEES_SESSIONS
def test_a_session_takes_one_blob(client: Client) -> None:
    location = client.open_upload()
    assert client.close_upload(location, digest_of(b"once"), b"once").status_code == 201
    refused(client.close_upload(location, digest_of(b"twice"), b"twice"), 404, "BLOB_UPLOAD_UNKNOWN")
    refused(client.call("GET", location), 404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
def test_an_unknown_session_is_404(client: Client, method: str) -> None:
    path = client.of("blobs/uploads/" + "0" * 32)
    answer = client.call(method, path, params={"digest": SPARE}, data=b"lost")
    refused(answer, 404, "BLOB_UPLOAD_UNKNOWN")


def test_a_session_belongs_to_its_repository(client: Client, other: Client) -> None:
    session = client.open_upload().rpartition("/")[2]
    assert client.get(f"blobs/uploads/{session}").status_code == 204
    refused(other.get(f"blobs/uploads/{session}"), 404, "BLOB_UPLOAD_UNKNOWN")


def test_a_location_that_was_changed_is_worth_nothing(client: Client, other: Client) -> None:
    location = client.open_upload()
    forged = [
        location.replace(client.repository, other.repository),
        location[:-1] + ("0" if location[-1] != "0" else "1"),
        location.replace(".", "A.", 1),
    ]
    for url in forged:
        refused(client.session.get(client.url + url, timeout=30), 404, "BLOB_UPLOAD_UNKNOWN")
