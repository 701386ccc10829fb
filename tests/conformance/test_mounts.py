"""Mounting a blob from another repository, with and without naming it."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
import requests

from tests.support.client import Client, refused
from tests.support.content import UNKNOWN, digest_of, random_bytes


@pytest.fixture(params=["sha256", "sha512"])
def algorithm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _mount(client: Client, digest: str, **source: str) -> requests.Response:
    return client.call("POST", client.of("blobs/uploads/"), params={"mount": digest, **source})


def test_a_mounted_blob_is_there_at_once(client: Client, other: Client, algorithm: str) -> None:
    content = random_bytes(512)
    digest = other.push_blob(content, algorithm)
    assert client.head(f"blobs/{digest}").status_code == 404

    answer = _mount(client, digest, **{"from": other.repository})

    assert answer.status_code == 201
    assert urlsplit(answer.headers["Location"]).path == client.of(f"blobs/{digest}")
    assert answer.headers["Docker-Content-Digest"] == digest
    assert client.get(f"blobs/{digest}").content == content


def test_a_mount_without_a_source_finds_the_blob(client: Client, other: Client, algorithm: str) -> None:
    content = random_bytes(512)
    digest = other.push_blob(content, algorithm)

    answer = _mount(client, digest)

    assert answer.status_code == 201
    assert urlsplit(answer.headers["Location"]).path == client.of(f"blobs/{digest}")
    assert client.get(f"blobs/{digest}").content == content


def test_mounting_a_missing_blob_opens_an_upload(client: Client, other: Client, algorithm: str) -> None:
    content = random_bytes(512)
    digest = digest_of(content, algorithm)
    for source in ({}, {"from": other.repository}):
        answer = _mount(client, digest, **source)
        assert answer.status_code == 202
        assert client.close_upload(answer.headers["Location"], digest, content).status_code == 201
        assert client.get(f"blobs/{digest}").content == content
        assert client.delete(f"blobs/{digest}").status_code == 202


def test_a_mount_from_where_the_blob_is_not_opens_an_upload(client: Client, other: Client) -> None:
    third = f"{client.repository}-third"
    digest = other.push_blob(random_bytes(100))
    assert _mount(client, digest, **{"from": third}).status_code == 202


def test_mounting_twice_is_no_error(client: Client, other: Client) -> None:
    digest = other.push_blob(b"wanted twice")
    for _ in range(2):
        assert _mount(client, digest, **{"from": other.repository}).status_code == 201


def test_a_mounted_blob_outlives_the_one_it_came_from(client: Client, other: Client) -> None:
    digest = other.push_blob(b"shared")
    _mount(client, digest, **{"from": other.repository})
    assert other.delete(f"blobs/{digest}").status_code == 202
    assert client.get(f"blobs/{digest}").content == b"shared"


def test_a_malformed_digest_cannot_be_mounted(client: Client) -> None:
    refused(_mount(client, UNKNOWN[:-1]), 400, "DIGEST_INVALID")


def test_the_challenge_of_a_mount_names_both_repositories(client: Client, other: Client) -> None:
    answer = client.session.post(
        client.url + client.of("blobs/uploads/"),
        params={"mount": UNKNOWN, "from": other.repository},
        timeout=30,
    )
    scope = f"repository:{client.repository}:pull,push repository:{other.repository}:pull"
    assert f'scope="{scope}"' in answer.headers["WWW-Authenticate"]


def test_a_token_for_the_target_alone_mounts_what_its_owner_may_pull(client: Client, other: Client) -> None:
    """Suites keep the token of their first push."""
    digest = other.push_blob(random_bytes(100))
    challenge = client.session.get(client.url + "/v2/", timeout=30).headers["WWW-Authenticate"]
    token = client.token(challenge, f"repository:{client.repository}:pull,push")
    answer = client.call(
        "POST",
        client.of("blobs/uploads/"),
        params={"mount": digest, "from": other.repository},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 201
