"""The registry itself behind the gateway: clients that hang up, stall and come back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

import pytest
from moto import mock_aws

from chalicelib.aws import blob_store
from chalicelib.config import Settings
from chalicelib.gateway import pace
from chalicelib.spec.digest import Digest
from chalicelib.spec.manifest import SIZE_LIMIT
from chalicelib.wiring import Deployment
from tests.endpoints import inventory
from tests.endpoints.driver import IMAGE, PASSWORD, Driver
from tests.gateway.conftest import Served, serving
from tests.gateway.doubles import KEY
from tests.gateway.wire import chunked

REPOSITORY = "/v2/dev/app"
CONTENT = bytes(range(256)) * 40_000  # more than a part of S3
DIGEST = Digest.of(CONTENT)

WaitUntil = Callable[[Callable[[], bool]], None]


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Deployment, Served]]:
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        environment.setattr(blob_store, "_body", bytes)  # moto takes no bytearray
        deployment = Deployment(Settings(token_keys=(KEY,), create_on_push=True, head_carries_body=False))
        deployment.prepare()
        deployment.administrators.put(PASSWORD)
        with serving(deployment) as served:
            yield deployment, served


@pytest.fixture
def registry(running: tuple[Deployment, Served]) -> Served:
    inventory.wipe()
    return running[1]


@pytest.fixture
def token(running: tuple[Deployment, Served], registry: Served) -> str:
    driver = Driver(running[0])
    driver.log_in()
    return f"Authorization: {driver.authorization}"


@pytest.fixture
def location(registry: Served, token: str) -> str:
    with registry.connect() as wire:
        wire.request(f"POST {REPOSITORY}/blobs/uploads/", token, "Content-Length: 0")
        return wire.answer().headers["location"]


def _free(location: str) -> bool:
    session = PurePosixPath(location).name
    rows = [row for key, row in inventory.take().sessions.items() if key.startswith(session)]
    return len(rows) == 1 and "writer" not in rows[0]


def by_length(line: str, sent: bytes) -> tuple[str, str, bytes]:
    return line, f"Content-Length: {len(CONTENT) - 1000}", sent


def by_chunks(line: str, sent: bytes) -> tuple[str, str, bytes]:
    return line, "Transfer-Encoding: chunked", chunked(sent).removesuffix(chunked()) if sent else b""


Case = tuple[Callable[[str, bytes], tuple[str, str, bytes]], str, int]


INTERRUPTED = [
    pytest.param((begin, line, sent), id=f"{line.split()[0]}-{begin.__name__}-{sent}")
    for begin in (by_length, by_chunks)
    for line in ("PATCH {}", "PUT {}?digest=" + DIGEST)
    for sent in (0, 1, 100_000, 9_000_000)
]


@pytest.mark.parametrize("case", INTERRUPTED)
def test_a_client_that_hangs_up_finds_the_session_as_it_was(
    registry: Served, location: str, wait_until: WaitUntil, case: Case
) -> None:
    begin, line, sent = case
    with registry.connect() as wire:
        wire.request(f"PATCH {location}", body=CONTENT[:1000])
        location = wire.answer().headers["location"]
    before = inventory.take().visible
    text, header, body_ = begin(line.format(location), CONTENT[1000 : 1000 + sent])
    with registry.connect() as wire:
        wire.request(text, header, body=body_)
        wait_until(lambda: not _free(location))
    wait_until(lambda: _free(location))
    assert inventory.take().visible == before
    with registry.connect() as wire:
        wire.request(f"GET {location}")
        assert wire.answer().headers["range"] == "0-999"
        end = len(CONTENT) - 1
        wire.request(f"PUT {location}?digest={DIGEST}", f"Content-Range: 1000-{end}", body=CONTENT[1000:])
        assert wire.answer().status == 201


def test_nothing_of_an_upload_is_visible_before_it_is_closed(
    registry: Served, location: str, token: str
) -> None:
    with registry.connect() as wire:
        wire.request(f"PATCH {location}", body=CONTENT)
        assert wire.answer().status == 202
        for path, code in (
            (f"blobs/{DIGEST}", "BLOB_UNKNOWN"),
            ("tags/list", "NAME_UNKNOWN"),
        ):
            wire.request(f"GET {REPOSITORY}/{path}", token)
            answer = wire.answer()
            assert (answer.status, answer.codes) == (404, [code])


@pytest.mark.parametrize("drops", [0, 20], ids=["says nothing more", "goes on byte by byte"])
def test_a_client_that_is_too_slow_lets_the_session_go_and_may_resume_it(
    registry: Served, location: str, monkeypatch: pytest.MonkeyPatch, drops: int
) -> None:
    with registry.connect() as wire:
        wire.request(f"PATCH {location}", body=b"kept")
        location = wire.answer().headers["location"]
    monkeypatch.setattr(pace, "WINDOW_SECONDS", 0.3)
    with registry.connect() as wire:
        wire.request(f"PATCH {location}", "Content-Length: 100", body=b"slow")
        for _ in range(drops):
            wire.send(b"x")
            time.sleep(0.03)
        answer = wire.answer()
        assert (answer.status, answer.codes) == (408, ["SIZE_INVALID"])
    monkeypatch.undo()
    with registry.connect() as wire:
        wire.request(f"GET {location}")
        assert wire.answer().headers["range"] == "0-3"
        wire.request(f"PUT {location}?digest={Digest.of(b'kept, all')}", "Content-Range: 4-8", body=b", all")
        assert wire.answer().status == 201


def test_a_second_writer_is_told_so_and_the_first_goes_on(
    registry: Served, location: str, wait_until: WaitUntil
) -> None:
    with registry.connect() as first, registry.connect() as second:
        first.request(f"PATCH {location}", "Content-Length: 10", body=b"hello")
        wait_until(lambda: not _free(location))
        second.request(f"PATCH {location}", body=CONTENT)
        answer = second.answer()
        assert (answer.status, answer.codes) == (409, ["BLOB_UPLOAD_INVALID"])
        second.request(f"GET {location}")
        assert second.answer().status == 204
        first.send(b"world")
        assert first.answer().headers["range"] == "0-9"


@pytest.mark.parametrize("coded", [True, False], ids=["chunked", "with a length"])
def test_a_manifest_over_the_limit_is_413_and_the_connection_goes_on(
    registry: Served,
    token: str,
    coded: bool,  # noqa: FBT001
) -> None:
    raw = json.dumps({"mediaType": IMAGE, "x": "y" * (2 * SIZE_LIMIT)}).encode()
    before = inventory.take()
    with registry.connect() as wire:
        for _ in range(2):
            if coded:
                wire.request(
                    f"PUT {REPOSITORY}/manifests/v1", token, "Transfer-Encoding: chunked", body=chunked(raw)
                )
            else:
                wire.request(f"PUT {REPOSITORY}/manifests/v1", token, body=raw)
            answer = wire.answer()
            assert (answer.status, answer.codes) == (413, ["MANIFEST_INVALID"])
    assert inventory.take() == before


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        ("PUT {location}?digest=sha256:x", 400, "DIGEST_INVALID"),
        ("PUT {location}", 400, "DIGEST_INVALID"),
        ("PATCH /u/x/v2/dev/app/blobs/uploads/x", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("POST /v2/dev/app/blobs/uploads/", 401, "UNAUTHORIZED"),
        ("POST /v2/dev%2Fapp/blobs/uploads/", 400, "NAME_INVALID"),
        ("PUT /v2/dev/app/manifests/v1", 401, "UNAUTHORIZED"),
    ],
)
def test_a_refusal_of_the_registry_is_seen_behind_a_large_body(
    registry: Served, location: str, line: str, status: int, code: str
) -> None:
    before = inventory.take()
    with registry.connect() as wire:
        for _ in range(2):
            wire.request(line.format(location=location), body=CONTENT)
            answer = wire.answer()
            assert (answer.status, answer.codes) == (status, [code])
    assert inventory.take() == before
