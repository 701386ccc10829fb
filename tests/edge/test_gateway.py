"""The seam to the gateway: what the edge sends to it, over HTTP, as it came."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.client import Client
from tests.support.content import digest_of, random_bytes
from tests.support.process import RegistryProcess

MEBIBYTE = 1024 * 1024


@pytest.fixture(params=["containerd/2.3.0", "skopeo/1.9.3"])
def client(request: pytest.FixtureRequest, full: RegistryProcess) -> Client:
    client = Client(full.url, full.username, full.password, f"test/{os.urandom(6).hex()}")
    client.session.headers["User-Agent"] = request.param
    return client


def in_blocks(content: bytes) -> Iterator[bytes]:
    """Of unknown length: sent with a chunked transfer coding."""
    for begin in range(0, len(content), MEBIBYTE):
        yield content[begin : begin + MEBIBYTE]


def test_a_stream_of_unknown_length_goes_to_the_gateway(client: Client) -> None:
    content = random_bytes(9 * MEBIBYTE)
    digest = digest_of(content)
    patched = client.patch(client.open_upload(), in_blocks(content))
    assert patched.status_code == 202
    assert patched.headers["Range"] == f"0-{len(content) - 1}"
    assert client.close_upload(patched.headers["Location"], digest).status_code == 201
    assert client.get(f"blobs/{digest}").content == content


def test_a_put_that_s3_cannot_check_goes_to_the_gateway(client: Client) -> None:
    content = random_bytes(6 * MEBIBYTE)
    digest = digest_of(content, "sha512")
    assert client.close_upload(client.open_upload(), digest, content).status_code == 201
    assert client.get(f"blobs/{digest}").content == content


def test_status_and_cancellation_go_to_the_gateway(client: Client) -> None:
    location = client.open_upload()
    assert client.call("GET", location).status_code == 204
    assert client.call("DELETE", location).status_code == 204
    assert client.call("GET", location).status_code == 404
