"""Clients that take all they can get before they have logged in: what one connection may hold is bounded."""

from __future__ import annotations

import contextlib
import logging
import resource
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from chalicelib.gateway import outgoing, pace
from chalicelib.gateway.protocol import PIPELINE_LIMIT
from chalicelib.gateway.server import server_config
from tests.gateway.conftest import Serve, Served
from tests.gateway.doubles import Recorded, said
from tests.gateway.wire import Wire

SMALL = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"
WaitUntil = Callable[[Callable[[], bool]], None]


@pytest.fixture
def held() -> Iterator[threading.Event]:
    """Handlers wait for it."""
    go_on = threading.Event()
    yield go_on
    go_on.set()


def waiting_for(go_on: threading.Event) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    def answer(_event: Mapping[str, Any]) -> dict[str, Any]:
        go_on.wait(30)
        return said(200, "x")

    return answer


def connection(served: Served) -> Any:
    (only,) = served.server.server_state.connections
    return only


def stuff(raw: socket.socket, data: bytes) -> None:
    """Send until the other side takes no more."""
    raw.settimeout(0.5)
    with contextlib.suppress(TimeoutError, OSError):
        for _ in range(1000):
            raw.sendall(data)


def read_to_end(raw: socket.socket) -> bytes:
    raw.settimeout(30)
    read = b""
    with contextlib.suppress(ConnectionResetError):  # the server leaves unread what was not asked for
        while block := raw.recv(65_536):
            read += block
    return read


def test_no_more_than_a_few_requests_are_queued_however_many_come_at_once(
    serve: Serve, held: threading.Event, wait_until: WaitUntil
) -> None:
    recorded = Recorded(answer=waiting_for(held))
    served = serve(recorded)
    with socket.create_connection(("127.0.0.1", served.port)) as raw:
        raw.sendall(SMALL * 2000)
        wait_until(lambda: len(recorded.events) == 1)
        stuff(raw, SMALL * 1000)
        assert len(connection(served).pipeline) == PIPELINE_LIMIT
        assert connection(served).flow.read_paused
        assert len(served.server.server_state.tasks) == 1
        held.set()
        answers = read_to_end(raw)
    assert answers.count(b"HTTP/1.1 200 OK") == PIPELINE_LIMIT + 1
    assert answers.count(b"connection: close") == 1
    assert len(recorded.events) == PIPELINE_LIMIT + 1


def test_reading_goes_on_only_when_the_queue_is_empty(
    serve: Serve, held: threading.Event, wait_until: WaitUntil
) -> None:
    """Not when a handler asks for its body, and not at each answer: both would fill it up again."""
    turns = threading.Semaphore(0)

    def in_turn(_event: Mapping[str, Any]) -> dict[str, Any]:
        assert turns.acquire(timeout=30)
        return said(200, "x")

    recorded = Recorded(answer=in_turn)
    served = serve(recorded)
    with socket.create_connection(("127.0.0.1", served.port)) as raw:
        raw.sendall(SMALL * 3)
        wait_until(lambda: len(recorded.events) == 1)
        wait_until(lambda: len(connection(served).pipeline) == 2)
        raw.sendall(SMALL * 3)
        for queued in (1, 0):
            turns.release()
            wait_until(lambda queued=queued: len(recorded.events) == 3 - queued)  # type: ignore[misc]
            if queued:
                assert (connection(served).flow.read_paused, len(connection(served).pipeline)) == (True, 1)
        wait_until(lambda: len(connection(served).pipeline) == 3)
        for _ in range(5):
            turns.release()
        wait_until(lambda: len(recorded.events) == 6)


def test_a_client_that_reads_no_answers_is_not_waited_for(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr(outgoing, "STALL_SECONDS", 0.5)
    served = serve(Recorded(answer=lambda _event: said(200, "x" * 4_000_000)))
    with socket.create_connection(("127.0.0.1", served.port)) as raw:
        for _ in range(10):
            raw.sendall(SMALL)
        wait_until(lambda: bool(served.server.server_state.connections))
        wait_until(lambda: connection(served).transport.get_write_buffer_size() > 0)
        assert connection(served).transport.get_write_buffer_size() < 4_100_000
        wait_until(lambda: not served.server.server_state.connections)
        wait_until(lambda: not served.server.server_state.tasks)


def test_a_client_that_reads_no_last_answer_is_not_waited_for_either(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    """Behind it the connection is closed, and what is closed has no other timer."""
    monkeypatch.setattr(outgoing, "STALL_SECONDS", 0.5)
    served = serve(Recorded(answer=lambda _event: said(200, "x" * 8_000_000)))
    with socket.create_connection(("127.0.0.1", served.port)) as raw:
        raw.sendall(SMALL.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        wait_until(lambda: bool(served.server.server_state.tasks))
        wait_until(lambda: not served.server.server_state.tasks)
        wait_until(lambda: not served.server.server_state.connections)


def test_a_client_that_reads_slowly_gets_all_of_its_answer(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "STALL_SECONDS", 0.1)
    monkeypatch.setattr(outgoing, "STALL_BYTES", 1)
    served = serve(Recorded(answer=lambda _event: said(200, "x" * 8_000_000)))
    with served.connect() as wire:
        wire.request("GET /v2/")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += wire.read_some(1)
        read = 0
        while read < 8_000_002:
            read += len(wire.read_some(min(400_000, 8_000_002 - read)))
            threading.Event().wait(0.01)
        wire.request("GET /v2/")
        assert wire.answer().status == 200


HANG_UPS = [
    pytest.param(SMALL, id="one request"),
    pytest.param(SMALL * (PIPELINE_LIMIT + 4), id="many requests"),
    pytest.param(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", id="half a body"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
    pytest.param(SMALL + b"garbage\r\n" * 3, id="garbage behind a request"),
]


@pytest.mark.parametrize("resets", [True, False], ids=["with a reset", "in order"])
@pytest.mark.parametrize("sent", HANG_UPS)
def test_who_hangs_up_or_speaks_no_http_leaves_nothing_in_the_log(
    serve: Serve,
    caplog: pytest.LogCaptureFixture,
    wait_until: WaitUntil,
    sent: bytes,
    resets: bool,  # noqa: FBT001
) -> None:
    held = threading.Event()
    served = serve(Recorded(answer=waiting_for(held)))
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", served.port)) as raw:
            raw.sendall(sent)
            if resets:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    held.set()
    wait_until(lambda: not served.server.server_state.tasks)
    with served.connect() as wire:
        wire.request("GET /v2/")
        assert wire.answer().status == 200
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


def test_no_more_connections_are_taken_than_the_system_has_files_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, taken in ((1024, 896), (100_000, 1000), (resource.RLIM_INFINITY, 1000), (100, 1)):
        monkeypatch.setattr(resource, "getrlimit", lambda _which, soft=soft: (soft, soft))
        assert server_config(None).limit_concurrency == taken


def test_a_connection_too_many_is_told_so_and_those_that_are_there_go_on(
    serve: Serve, wait_until: WaitUntil
) -> None:
    served = serve(Recorded(), connections=3)
    with ExitStack() as stack:
        first, *others = [stack.enter_context(served.connect()) for _ in range(3)]
        wait_until(lambda: len(served.server.server_state.connections) == 3)
        for _ in range(5):
            with served.connect() as more:
                answer = more.answer()
                assert (answer.status, answer.codes) == (503, ["TOOMANYREQUESTS"])
                assert answer.headers["retry-after"] == "5"
                assert more.is_closed()
        for wire in (first, *others):
            wire.request("GET /v2/")
            assert wire.answer().status == 200
        first.close()
        wait_until(lambda: len(served.server.server_state.connections) == 2)
        with served.connect() as more:
            more.request("GET /v2/")
            assert more.answer().status == 200


def drip(wire: Wire, drop: bytes) -> None:
    for _ in range(200):
        wire.send(drop)
        threading.Event().wait(0.05)


@pytest.mark.parametrize("rest", [b"\r\n", b"x"], ids=["empty lines", "the rest of a refused body"])
def test_drops_behind_an_answer_keep_no_connection(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    monkeypatch.setattr(pace, "WINDOW_SECONDS", 0.3)

    def refuse(_blocks: object) -> dict[str, Any]:
        return said(403, "")

    served = serve(Recorded(streaming=refuse))
    with served.connect() as wire:
        if rest == b"x":
            wire.request("PUT /v2/dev/app/blobs/uploads/" + "0" * 32, "Content-Length: 100000")
        else:
            wire.request("GET /v2/")
        assert wire.answer().status in {200, 403}
        with pytest.raises(OSError, match=r"reset|pipe"):
            drip(wire, rest)
