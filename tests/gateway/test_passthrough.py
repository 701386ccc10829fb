"""Blobs that the gateway fetches for the client, whole or in part, and what happens when a side fails."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib.config import Settings
from tests.gateway.conftest import Serve, Served
from tests.gateway.doubles import KEY, Recorded, Storage, said, served
from tests.gateway.wire import Wire

DIGEST = "sha256:" + "a" * 64
CONTENT = os.urandom(3_000_000)


@pytest.fixture
def storage() -> Iterator[Storage]:
    with served(Storage(CONTENT)) as running:
        yield running


@pytest.fixture
def gateway(serve: Serve, storage: Storage) -> Served:
    def redirect(_event: object) -> dict[str, Any]:
        headers = {"Location": storage.url, "Docker-Content-Digest": DIGEST, "Content-Length": "0"}
        return {**said(307, ""), "headers": headers, "body": ""}

    settings = Settings(token_keys=(KEY,), create_on_push=True, redirect_blobs=False)
    return serve(Recorded(settings, answer=redirect))


def test_a_blob_comes_whole_on_a_connection_that_goes_on(gateway: Served, storage: Storage) -> None:
    with gateway.connect() as wire:
        for _ in range(2):
            wire.request("GET /v2/dev/app/blobs/x")
            answer = wire.answer()
            assert (answer.status, answer.body) == (200, CONTENT)
            assert answer.headers["docker-content-digest"] == DIGEST
            assert answer.headers["content-type"] == "application/octet-stream"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
            assert "x-amz-request-id" not in answer.headers
            assert "location" not in answer.headers


def test_head_says_the_length_and_sends_nothing(gateway: Served, storage: Storage) -> None:
    with gateway.connect() as wire:
        for _ in range(2):
            wire.request("HEAD /v2/dev/app/blobs/x")
            answer = wire.answer("HEAD")
            assert (answer.status, answer.headers["content-length"]) == (200, str(len(CONTENT)))
    assert storage.asked == [("HEAD", None), ("HEAD", None)]


@pytest.mark.parametrize(("asked", "first", "end"), [("500-1499", 500, 1500), ("2999000-", 2_999_000, None)])
def test_a_range_goes_through(
    gateway: Served, storage: Storage, asked: str, first: int, end: int | None
) -> None:
    with gateway.connect() as wire:
        wire.request("GET /v2/dev/app/blobs/x", f"Range: bytes={asked}")
        answer = wire.answer()
    assert (answer.status, answer.body) == (206, CONTENT[first:end])
    assert answer.headers["content-range"].startswith(f"bytes {first}-")
    assert storage.asked == [("GET", f"bytes={asked}")]


@pytest.mark.parametrize(
    ("says", "status", "code"),
    [
        (404, 502, "BLOB_UNKNOWN"),
        (403, 502, "BLOB_UNKNOWN"),
        (500, 502, "BLOB_UNKNOWN"),
        (503, 502, "BLOB_UNKNOWN"),
        (301, 502, "BLOB_UNKNOWN"),
        (416, 416, "SIZE_INVALID"),
    ],
)
def test_what_the_storage_refuses_is_an_envelope_on_a_connection_that_goes_on(
    gateway: Served, storage: Storage, says: int, status: int, code: str
) -> None:
    storage.status, storage.content = says, b"<Error>of the storage</Error>"
    with gateway.connect() as wire:
        for _ in range(2):
            wire.request("GET /v2/dev/app/blobs/x")
            answer = wire.answer()
            assert (answer.status, answer.codes) == (status, [code])
            assert b"of the storage" not in answer.body
        wire.request("HEAD /v2/dev/app/blobs/x")
        assert wire.answer("HEAD").status == status


def test_a_storage_that_is_away_is_an_envelope_and_no_url_in_the_log(
    gateway: Served, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    with Wire(gateway.port) as wire, caplog.at_level(logging.INFO):
        storage.url = "http://127.0.0.1:9/bucket/key?X-Amz-Signature=presigned"
        wire.request("GET /v2/dev/app/blobs/x")
        answer = wire.answer()
    assert (answer.status, answer.codes) == (502, ["BLOB_UNKNOWN"])
    assert "presigned" not in caplog.text
    assert "presigned" not in str(answer)


def test_a_storage_that_breaks_off_breaks_the_connection(gateway: Served, storage: Storage) -> None:
    """Fewer bytes than announced and then the end: no client takes that for a blob."""
    storage.short_by = 1000
    with gateway.connect() as wire:
        wire.request("GET /v2/dev/app/blobs/x")
        answer = wire.answer()
        assert answer.headers["content-length"] == str(len(CONTENT))
        assert len(answer.body) < len(CONTENT)
        assert wire.is_closed()


def test_a_client_that_leaves_lets_the_storage_go(
    gateway: Served, storage: Storage, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    storage.content = bytes(200_000_000)
    with gateway.connect() as wire:
        wire.request("GET /v2/dev/app/blobs/x")
        wire.read_some(100_000)
    wait_until(storage.hung_up.is_set)
    with gateway.connect() as wire:
        wire.request("GET /v2/dev/app/blobs/x", "Range: bytes=0-9")
        assert wire.answer().body == bytes(10)


def test_many_clients_that_leave_take_no_thread_with_them(gateway: Served, storage: Storage) -> None:
    storage.content = bytes(50_000_000)
    for _ in range(40):
        with gateway.connect() as wire:
            wire.request("GET /v2/dev/app/blobs/x")
            wire.read_some(1000)
    with gateway.connect() as wire:
        wire.request("GET /v2/dev/app/blobs/x", "Range: bytes=0-9")
        assert wire.answer().body == bytes(10)


def test_a_body_on_the_request_is_no_hindrance(gateway: Served, storage: Storage) -> None:
    with gateway.connect() as wire:
        wire.request("GET /v2/dev/app/blobs/x", body=b"x" * 10_000_000)
        assert wire.answer().body == CONTENT
