"""Behind a bare function URL: which step of a client fails until the edge is in front, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests

from tests.conformance.edge import CHALLENGE, REMAPPED, Edge
from tests.conformance.upload_forms import pieces, send_chunks
from tests.conformance.ways import BARE
from tests.support.client import Client
from tests.support.content import UNKNOWN, digest_of, image, random_bytes

pytestmark = BARE

EVENT_BYTES = 6_291_456
TOO_LARGE = b'{"Message": "Request must be smaller than 6291456 bytes"}'


@pytest.fixture
def bare(client: Client) -> Iterator[Client]:
    """A client with no edge between it and the function URL."""
    with requests.Session() as session:
        yield replace(client, session=session, tokens={})


@pytest.mark.parametrize("path", ["/v2/", "/v2/test/app/tags/list", f"/v2/test/app/blobs/{UNKNOWN}"])
def test_the_challenge_comes_under_another_name(bare: Client, path: str) -> None:
    answer = bare.session.get(bare.url + path, timeout=30)
    assert answer.status_code == 401
    assert CHALLENGE not in answer.headers
    assert answer.headers[REMAPPED].startswith(f'Bearer realm="{bare.url}/token"')
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"


def test_logging_in_fails_for_want_of_a_realm(bare: Client) -> None:
    """The step that fails: a client told 401 looks for the challenge, to learn where to ask for a token."""
    with pytest.raises(KeyError, match=r"(?i)www-authenticate"):
        bare.get("tags/list")


def test_the_edge_is_all_that_logging_in_lacks(bare: Client) -> None:
    bare.session.mount(bare.url, Edge())
    one = image(b"through the edge")
    bare.push(one, "latest")
    assert bare.get("manifests/latest").content == one.raw


def test_a_client_that_needs_no_challenge_works_without_the_edge(bare: Client) -> None:
    answer = bare.session.get(f"{bare.url}/token", auth=(bare.username, bare.password), timeout=30)
    headers = {"Authorization": f"Bearer {answer.json()['token']}"}
    assert bare.call("GET", "/v2/", headers=headers).status_code == 200


def test_a_body_beyond_an_event_never_reaches_the_registry(client: Client) -> None:
    """The step that fails: a layer in one request. No code of ours runs, so there is no envelope."""
    content = random_bytes(EVENT_BYTES * 3 // 4)
    digest = digest_of(content)
    location = client.open_upload()

    for answer in (client.close_upload(location, digest, content), client.patch(location, iter([content]))):
        assert answer.status_code == 413
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.content == TOO_LARGE

    status = client.call("GET", location)
    assert (status.status_code, status.headers["Range"]) == (204, "0-0")
    assert client.head(f"blobs/{digest}").status_code == 404


def test_the_same_bytes_go_in_chunks_that_fit(client: Client) -> None:
    content = random_bytes(EVENT_BYTES * 3 // 4)
    chunks = list(pieces(content, 3 * 1024 * 1024))
    location = send_chunks(client, client.open_upload(), chunks)
    assert client.close_upload(location, digest_of(content)).status_code == 201
    assert client.get(f"blobs/{digest_of(content)}").content == content


def test_a_body_that_just_fits_is_taken(client: Client) -> None:
    content = random_bytes(EVENT_BYTES * 3 // 4 - 4096)
    assert client.push_blob(content) == digest_of(content)


@pytest.mark.parametrize("reference", ["latest", ""])
def test_head_of_a_manifest_tells_the_true_length(client: Client, reference: str) -> None:
    """A manifest of length 0 is refused by containerd; the front end takes the length from the body."""
    one = image(b"measured")
    client.push(one, "latest")
    head = client.head(f"manifests/{reference or one.digest}")
    assert head.headers["Content-Length"] == str(len(one.raw))
    assert head.content == b""
