"""`CCR_EMULATE=aws` over HTTP: uploads that S3 itself takes, and everything that can be wrong with them."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.cli.terminal import Terminal
from tests.conftest import Registries
from tests.support.client import Client, refused
from tests.support.content import digest_of, image, random_bytes
from tests.support.process import RegistryProcess

MEBIBYTE = 1024 * 1024
WAIT_SECONDS = 30


@pytest.fixture(scope="module")
def registry(registries: Registries) -> RegistryProcess:
    return registries.get("aws")


@pytest.fixture
def client(registry: RegistryProcess) -> Client:
    return fresh(registry)


def fresh(registry: RegistryProcess, repository: str = "") -> Client:
    """One whose uploads begin at S3, on a connection of its own."""
    name = repository or f"test/{os.urandom(6).hex()}"
    client = Client(registry.url, registry.username, registry.password, name)
    client.session.headers["User-Agent"] = "containerd/2.3.0"
    return client


def status(client: Client, digest: str) -> int:
    return client.head(f"blobs/{digest}", allow_redirects=False).status_code


@pytest.mark.parametrize("size", [1, 1000, 5 * MEBIBYTE, 20 * MEBIBYTE])
def test_a_blob_in_one_put_is_there_at_once(client: Client, size: int) -> None:
    content = random_bytes(size)
    digest = digest_of(content)
    location = client.open_upload()
    answer = client.close_upload(location, digest, content)
    assert location.startswith("/s/")
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["Docker-Content-Digest"] == digest
    assert answer.headers["Location"] == client.of(f"blobs/{digest}")
    assert "ETag" not in answer.headers
    assert status(client, digest) == 307
    assert client.get(f"blobs/{digest}").content == content


def test_an_empty_blob_goes_through_the_function(client: Client) -> None:
    answer = client.close_upload(client.open_upload(), digest_of(b""), b"")
    assert answer.status_code == 201
    assert client.get(f"blobs/{digest_of(b'')}").content == b""


def test_an_image_goes_in_without_asking_for_its_blobs_first(client: Client) -> None:
    document = image(random_bytes(100), random_bytes(200))
    for blob in document.blobs:
        client.push_blob(blob)
    assert client.put_manifest(document, "v1").status_code == 201
    assert client.get("manifests/v1").content == document.raw


def test_the_memory_of_a_large_blob_is_not_the_edges(registry: RegistryProcess, client: Client) -> None:
    client.push_blob(random_bytes(MEBIBYTE))
    before = registry.peak_memory()
    content = random_bytes(160 * MEBIBYTE)
    client.push_blob(content)
    assert registry.peak_memory() - before < len(content) // 2


def test_bytes_of_another_digest_are_refused_in_the_envelope(client: Client) -> None:
    content, other = random_bytes(1000), random_bytes(1000)
    location = client.open_upload()
    refused(client.close_upload(location, digest_of(content), other), 400, "DIGEST_INVALID")
    assert status(client, digest_of(content)) == 404
    assert status(client, digest_of(other)) == 404
    assert client.close_upload(location, digest_of(content), content).status_code == 201
    assert status(client, digest_of(content)) == 307


def test_a_forged_capability_is_refused(client: Client) -> None:
    location = client.open_upload()
    capability = location.split("/")[2]
    bearer, _, mac = capability.partition(".")
    forged = location.replace(capability, f"{bearer}.{mac[::-1]}")
    content = random_bytes(100)
    refused(client.close_upload(forged, digest_of(content), content), 404, "BLOB_UPLOAD_UNKNOWN")
    assert status(client, digest_of(content)) == 404


def test_a_capability_is_good_in_its_repository_alone(registry: RegistryProcess, client: Client) -> None:
    victim = fresh(registry)
    victim.push_blob(b"theirs")
    content = random_bytes(100)
    moved = client.open_upload().replace(client.repository, victim.repository)
    refused(client.close_upload(moved, digest_of(content), content), 404, "BLOB_UPLOAD_UNKNOWN")
    assert status(victim, digest_of(content)) == 404


@pytest.mark.parametrize("path", ["/x/../s/mine", "/staged/a/../../s/mine", "/%73/mine"])
def test_nobody_stores_anything_by_a_path_that_is_not_what_it_looks_like(
    registry: RegistryProcess, path: str
) -> None:
    """As it stands: HTTP clients would tidy it up."""
    with closing(HTTPConnection(urlsplit(registry.url).netloc, timeout=WAIT_SECONDS)) as connection:
        connection.request("PUT", path, b"anything", {"Authorization": "Basic bm86b25l"})
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["errors"][0]["code"]) == (404, "UNSUPPORTED")


def test_an_upload_that_is_over_takes_nothing_more(client: Client) -> None:
    first, second = random_bytes(100), random_bytes(100)
    location = client.open_upload()
    assert client.close_upload(location, digest_of(first), first).status_code == 201
    assert status(client, digest_of(first)) == 307
    # What is there already is there; what is not is stored by S3, and adopted by nobody.
    assert client.close_upload(location, digest_of(first), first).status_code == 201
    client.close_upload(location, digest_of(second), second)
    assert status(client, digest_of(first)) == 307
    assert status(client, digest_of(second)) == 404
    refused(client.call("GET", location), 404, "BLOB_UPLOAD_UNKNOWN")


def test_a_cancelled_upload_takes_nothing_more(client: Client) -> None:
    content = random_bytes(100)
    location = client.open_upload()
    assert client.call("DELETE", location).status_code == 204
    client.close_upload(location, digest_of(content), content)
    assert status(client, digest_of(content)) == 404


def test_chunks_sent_to_s3s_url_go_on_where_chunks_go(client: Client) -> None:
    """As regctl does when its one PUT failed: with the digest still on the URL."""
    content = random_bytes(3 * MEBIBYTE)
    digest = digest_of(content)
    location = f"{client.open_upload()}?digest={digest}"
    for begin in range(0, len(content), MEBIBYTE):
        answer = client.patch(location, content[begin : begin + MEBIBYTE])
        assert answer.status_code == 202, answer.text
        location = answer.headers["Location"]
        assert location.startswith("/u/")
    assert client.close_upload(location, digest).status_code == 201
    assert client.get(f"blobs/{digest}").content == content


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_more_than_the_function_takes_is_refused_with_what_can(client: Client, method: str) -> None:
    del client.session.headers["User-Agent"]
    location = client.open_upload()
    assert location.startswith("/u/")
    content = random_bytes(5 * MEBIBYTE)
    params = {"digest": digest_of(content)} if method == "PUT" else {}
    (entry,) = refused(client.call(method, location, params=params, data=content), 413, "SIZE_INVALID")
    assert "ccr push" in entry["message"]


def test_nothing_of_the_clients_own_reaches_s3(registry: RegistryProcess, client: Client) -> None:
    """A copy source would make S3 copy what another tenant stored, signed by the edge."""
    secret = fresh(registry)
    theirs = secret.push_blob(random_bytes(50))
    redirect = secret.get(f"blobs/{theirs}", allow_redirects=False).headers["Location"]
    content = random_bytes(100)
    headers = {
        "x-amz-copy-source": urlsplit(redirect).path,
        "x-amz-acl": "public-read",
        "Content-Type": "text/html",
        "Content-Encoding": "gzip",
    }
    query = {"digest": digest_of(content)}
    answer = client.call("PUT", client.open_upload(), params=query, data=content, headers=headers)
    assert answer.status_code == 201
    got = client.get(f"blobs/{digest_of(content)}")
    assert got.content == content
    assert got.headers["Content-Type"] == "application/octet-stream"
    assert "Content-Encoding" not in got.headers
    bare = client.get(f"blobs/{digest_of(content)}", allow_redirects=False).headers["Location"]
    assert requests.get(bare.partition("?")[0], timeout=30).status_code == 403


def test_fewer_bytes_than_announced_store_nothing(registry: RegistryProcess, client: Client) -> None:
    content = random_bytes(1000)
    location = client.open_upload()
    cut(registry, f"PUT {location}?digest={digest_of(content)} HTTP/1.1", len(content), content[:500])
    assert status(client, digest_of(content)) == 404
    assert client.close_upload(location, digest_of(content), content).status_code == 201


def test_more_bytes_than_announced_are_another_request(registry: RegistryProcess, client: Client) -> None:
    content = random_bytes(1000)
    location = client.open_upload()
    line = f"PUT {location}?digest={digest_of(content[:900])} HTTP/1.1"
    said = cut(registry, line, 900, content, b"201 Created")
    assert b"201 Created" in said
    assert status(client, digest_of(content[:900])) == 307
    assert status(client, digest_of(content)) == 404


def test_ten_clients_push_one_blob_at_once(registry: RegistryProcess) -> None:
    content = random_bytes(200_000)
    digest = digest_of(content)
    repository = f"test/{os.urandom(6).hex()}"
    clients = [fresh(registry, repository) for _ in range(10)]

    def push(client: Client) -> tuple[int, int]:
        answer = client.close_upload(client.open_upload(), digest, content)
        return answer.status_code, status(client, digest)

    with ThreadPoolExecutor(len(clients)) as pool:
        assert list(pool.map(push, clients)) == [(201, 307)] * len(clients)
    assert clients[0].get(f"blobs/{digest}").content == content


def test_an_event_of_s3_makes_the_blob_without_anybody_asking(client: Client) -> None:
    content = random_bytes(100)
    location = client.open_upload()
    assert client.close_upload(location, digest_of(content), content).status_code == 201
    deadline = time.monotonic() + WAIT_SECONDS
    # Its session ends in the transaction that makes the blob.
    while client.call("GET", location).status_code != 404:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    answer = client.head(f"blobs/{digest_of(content)}", allow_redirects=False)
    assert (answer.status_code, answer.headers["X-CCR-Backend-Calls"]) == (307, "dynamodb=1;s3=0")


@pytest.mark.parametrize("authorization", ["", "Bearer a.eyJleHAiOjF9.c"])
def test_the_edge_answers_the_challenge_without_the_function(
    registry: RegistryProcess, authorization: str
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    answer = requests.get(f"{registry.url}/v2/dev/app/tags/list", headers=headers, timeout=30)
    refused(answer, 401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"].startswith(f'Bearer realm="{registry.url}/token"')
    assert "X-CCR-Backend-Calls" not in answer.headers


def test_the_challenge_of_the_registry_itself_has_its_name_too(client: Client) -> None:
    """For a token that is good, and not good for this."""
    challenge = client.session.get(f"{client.url}/v2/", timeout=30).headers["WWW-Authenticate"]
    token = client.token(challenge, f"repository:{client.repository}:pull")
    headers = {"Authorization": f"Bearer {token}"}
    answer = client.call("POST", client.of("blobs/uploads/"), headers=headers)
    refused(answer, 401, "UNAUTHORIZED")
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert f'realm="{client.url}/token"' in answer.headers["WWW-Authenticate"]
    assert not [name for name in answer.headers if re.match(r"(?i)x-amzn-remapped|x-ccr-challenge", name)]


def cut(registry: RegistryProcess, line: str, length: int, body: bytes, until: bytes = b"") -> bytes:
    """A request whose body is not as long as it says; what was answered."""
    host, _, port = registry.host.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as one:
        one.sendall(f"{line}\r\nHost: {registry.host}\r\nContent-Length: {length}\r\n\r\n".encode() + body)
        said = b""
        while until and until not in said and (block := one.recv(4096)):
            said += block
        return said


def test_the_doctor_finds_nothing_wrong_and_every_way_to_push(
    registry: RegistryProcess, tmp_path: Path
) -> None:
    terminal = Terminal(tmp_path, registry)
    terminal.log_in()
    found = terminal.ask("doctor", "--repository", f"test/{os.urandom(6).hex()}")["checks"]
    results = {one["check"]: one["result"] for one in found}
    assert [name for name, result in results.items() if result != "ok"] == ["tls"]
    (large,) = (one["seen"] for one in found if one["check"] == "large-body")
    assert large == "a body of 5 MiB is refused after it is sent, and told of `ccr push`"
