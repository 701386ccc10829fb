"""Answers over a socket: whole, in the envelope, on a connection that goes on; whatever the client does."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from chalicelib.gateway import application, incoming, room
from chalicelib.spec.manifest import SIZE_LIMIT
from tests.gateway.conftest import Serve, Served
from tests.gateway.doubles import Recorded, said
from tests.gateway.wire import chunked

UPLOAD = "/v2/dev/app/blobs/uploads/" + "0" * 32
LARGE = b"x" * (20 * 1024 * 1024)
ENVELOPE = {"errors": [{"code": "DENIED", "message": "refused before the body was read", "detail": {}}]}


def refuse(_blocks: Iterable[bytes]) -> dict[str, Any]:
    return said(403, ENVELOPE)


@pytest.mark.parametrize("status", [200, 202, 204, 304, 307, 401, 404, 500])
def test_head_has_no_body_whatever_its_answer(served: Served, recorded: Recorded, status: int) -> None:
    recorded.answer = lambda _event: said(status, {"a": "body"})
    with served.connect() as wire:
        for _ in range(2):
            wire.request("HEAD /v2/")
            answer = wire.answer("HEAD")
            assert answer.status == status
            assert answer.headers.get("content-length") == (None if status in {204, 304} else "13")


@pytest.mark.parametrize("status", [204, 304])
def test_answers_that_have_no_body_say_no_length(served: Served, recorded: Recorded, status: int) -> None:
    recorded.answer = lambda _event: said(status, {"a": "body"})
    with served.connect() as wire:
        for _ in range(2):
            wire.request("GET /v2/")
            answer = wire.answer()
            assert (answer.status, answer.headers.get("content-length")) == (status, None)


@pytest.mark.parametrize("coded", [True, False], ids=["chunked", "with a length"])
@pytest.mark.parametrize("method", ["PATCH", "PUT", "POST"])
def test_a_refusal_before_the_body_is_read_is_seen_and_the_connection_goes_on(
    served: Served,
    recorded: Recorded,
    method: str,
    coded: bool,  # noqa: FBT001
) -> None:
    """Docker and regctl read no answer before they have sent all: what they send must be taken."""
    recorded.streaming = refuse
    path = "/v2/dev/app/blobs/uploads/" if method == "POST" else UPLOAD
    with served.connect() as wire:
        for _ in range(2):
            if coded:
                wire.request(f"{method} {path}", "Transfer-Encoding: chunked", body=chunked(LARGE))
            else:
                wire.request(f"{method} {path}", body=LARGE)
            answer = wire.answer()
            assert (answer.status, answer.codes) == (403, ["DENIED"])
        wire.request("GET /v2/")
        assert wire.answer().body == b'{"answer": "whole"}'


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_refusal_is_seen_even_where_the_connection_ends_with_it(
    served: Served, recorded: Recorded, version: str
) -> None:
    """Closing over unread bytes resets the connection, and a reset takes the answer with it."""
    recorded.streaming = refuse
    head = (
        f"PUT {UPLOAD} HTTP/{version}\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(LARGE)}\r\n\r\n"
    )
    with served.connect() as wire:
        wire.send(head.encode() + LARGE)
        assert wire.answer().status == 403
        assert wire.is_closed()


def test_a_client_that_waits_for_the_answer_gets_it_before_it_has_sent_all(
    served: Served, recorded: Recorded
) -> None:
    recorded.streaming = refuse
    with served.connect() as wire:
        wire.request(f"PUT {UPLOAD}", "Content-Length: 1000000000", body=b"only the beginning")
        assert wire.answer().status == 403


@pytest.mark.parametrize("coded", [True, False], ids=["chunked", "with a length"])
def test_a_body_over_the_limit_of_an_event_is_cut_and_the_connection_goes_on(
    served: Served,
    recorded: Recorded,
    coded: bool,  # noqa: FBT001
) -> None:
    """The handler sees one byte more than it takes, which is enough for its 413."""
    body = chunked(LARGE) if coded else LARGE
    with served.connect() as wire:
        wire.request(
            "PUT /v2/dev/app/manifests/v1", *(["Transfer-Encoding: chunked"] if coded else []), body=body
        )
        assert wire.answer().status == 200
        wire.request("GET /v2/")
        assert wire.answer().status == 200
    assert len(recorded.events[0]["body"]) == -(-(SIZE_LIMIT + 1) // 3) * 4
    assert recorded.events[0]["headers"].get("content-length") == (None if coded else str(len(LARGE)))


def test_a_body_on_a_get_is_taken_and_the_connection_goes_on(served: Served, recorded: Recorded) -> None:
    with served.connect() as wire:
        wire.request("GET /v2/", "Transfer-Encoding: chunked", body=chunked(b"a", b"b"))
        assert wire.answer().status == 200
        wire.request("GET /v2/", body=LARGE)
        assert wire.answer().status == 200
        wire.request("GET /v2/third")
        assert wire.answer().status == 200
    assert [event["rawPath"] for event in recorded.events] == ["/v2/", "/v2/", "/v2/third"]


def test_an_upload_passes_in_blocks_of_any_length(served: Served, recorded: Recorded) -> None:
    with served.connect() as wire:
        wire.request(f"PATCH {UPLOAD}", body=LARGE)
        assert wire.answer().body == b'{"answer": %d}' % len(LARGE)
        wire.request(f"PATCH {UPLOAD}", "Transfer-Encoding: chunked", body=chunked(b"a", LARGE, b"b"))
        assert wire.answer().status == 202
    assert recorded.uploads == [LARGE, b"a" + LARGE + b"b"]
    assert "body" not in recorded.events[0]


@pytest.mark.parametrize("path", [UPLOAD, UPLOAD.replace("uploads", "%75ploads"), f"/u/abc{UPLOAD}"])
def test_an_upload_is_one_however_its_path_is_written(served: Served, recorded: Recorded, path: str) -> None:
    with served.connect() as wire:
        wire.request(f"PATCH {path}", body=LARGE)
        assert wire.answer().status == 202
    assert recorded.uploads == [LARGE]


def test_expect_continue_is_told_to_go_on(served: Served, recorded: Recorded) -> None:
    with served.connect() as wire:
        wire.request(f"PUT {UPLOAD}", "Expect: 100-continue", "Content-Length: 5")
        assert wire.answer().status == 100
        wire.send(b"hello")
        assert wire.answer().status == 202
    assert recorded.uploads == [b"hello"]


@pytest.mark.parametrize("body", ["", "hel"])
def test_a_client_that_leaves_in_the_middle_of_a_form_calls_no_handler(
    served: Served, recorded: Recorded, body: str
) -> None:
    with served.connect() as wire:
        wire.request("POST /token", "Content-Length: 5", body=body.encode())
    with served.connect() as wire:
        wire.request("GET /v2/after")
        assert wire.answer().status == 200
    assert [event["rawPath"] for event in recorded.events] == ["/v2/after"]


def test_a_form_that_stops_coming_is_refused(
    served: Served, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "READ_SECONDS", 0.1)
    with served.connect() as wire:
        wire.request("POST /token", "Content-Length: 5", body=b"hel")
        answer = wire.answer()
        assert (answer.status, answer.codes) == (408, ["SIZE_INVALID"])
    assert not recorded.events


def test_a_form_that_comes_byte_by_byte_has_no_more_time_than_any_other(
    served: Served, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "READ_SECONDS", 0.3)
    with served.connect() as wire:
        wire.request("POST /token", "Content-Length: 1000")
        for _ in range(8):
            wire.send(b"x")
            time.sleep(0.05)
        assert wire.answer().status == 408
    assert not recorded.events


@pytest.mark.parametrize(
    ("line", "limit"),
    [
        ("PUT /v2/dev/app/manifests/v1", SIZE_LIMIT),
        ("POST /token", room.SMALL_BYTES),
        ("POST /v2/dev/app/tags/list", room.SMALL_BYTES),
        ("GET /v2/", room.SMALL_BYTES),
        ("POST /api/v1/projects", 256 * 1024),
        ("PUT /api/v1/projects/x", 256 * 1024),
    ],
)
def test_a_handler_gets_no_more_of_a_body_than_it_could_use(
    served: Served, recorded: Recorded, line: str, limit: int
) -> None:
    with served.connect() as wire:
        wire.request(line, body=LARGE)
        assert wire.answer().status == 200
    assert len(base64.b64decode(recorded.events[0]["body"])) == limit + 1


def test_a_body_that_no_handler_reads_stays_with_the_client(served: Served, recorded: Recorded) -> None:
    recorded.streaming = refuse
    with served.connect() as wire:
        wire.request(f"PUT {UPLOAD}", "Expect: 100-continue", "Content-Length: 1000000")
        assert wire.answer().status == 403


def test_large_bodies_wait_for_room_while_small_ones_pass(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    monkeypatch.setattr(application, "ROOM_BYTES", 1_000_000)
    go_on = threading.Event()

    def slow(event: Mapping[str, Any]) -> dict[str, Any]:
        if event["rawPath"] != "/v2/":
            go_on.wait(30)
        return said(200, "")

    recorded = Recorded(answer=slow)
    served = serve(recorded)
    body = b"x" * 600_000
    with ExitStack() as stack:
        large = [stack.enter_context(served.connect()) for _ in range(3)]
        for wire in large:
            stack.enter_context(wire)
            threading.Thread(
                target=wire.request, args=("PUT /v2/a/manifests/x",), kwargs={"body": body}
            ).start()
        wait_until(lambda: len(recorded.events) == 1)
        wait_until(lambda: len(served.server.server_state.tasks) == 3)
        with served.connect() as wire:
            wire.request("GET /v2/")
            assert wire.answer().status == 200
        held = [len(one.cycle.body) for one in served.server.server_state.connections]
        assert sum(held) < 2 * 350_000
        assert [event["rawPath"] for event in recorded.events] == ["/v2/a/manifests/x", "/v2/"]
        go_on.set()
        assert [wire.answer().status for wire in large] == [200, 200, 200]
    assert all(len(base64.b64decode(event["body"])) in {0, 600_000} for event in recorded.events)


def test_a_handler_that_fails_answers_in_the_envelope_and_says_nothing(
    served: Served, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_event: object) -> dict[str, Any]:
        raise RuntimeError("the inner cause")

    recorded.answer = fail
    with served.connect() as wire:
        wire.request("GET /v2/")
        answer = wire.answer()
        assert (answer.status, answer.codes) == (500, ["UNSUPPORTED"])
        assert b"inner cause" not in answer.body
        recorded.answer = None
        wire.request("GET /v2/")
        assert wire.answer().status == 200
    assert "inner cause" in caplog.text


def test_many_clients_at_once_each_get_their_own_answer(served: Served, recorded: Recorded) -> None:
    recorded.answer = lambda event: said(200, event["rawPath"])
    wrong: list[bytes] = []

    def ask(number: int) -> None:
        with served.connect() as wire:
            for turn in range(10):
                wire.request(f"GET /v2/{number}/{turn}")
                body = wire.answer().body
                if body != b'"/v2/%d/%d"' % (number, turn):
                    wrong.append(body)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(recorded.events) == 120


def test_a_server_that_stops_finishes_what_it_has_begun(serve: Serve) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(_event: object) -> dict[str, Any]:
        begun.set()
        go_on.wait(20)
        return said(200, "finished")

    handlers = Recorded(answer=slow)
    served = serve(handlers)
    with served.connect() as wire, served.connect() as idle:
        wire.request("GET /v2/")
        begun.wait(20)
        served.server.should_exit = True
        assert idle.is_closed()
        go_on.set()
        assert wire.answer().body == b'"finished"'
        assert wire.is_closed()
    served.stop()


def test_a_server_that_stops_does_not_wait_for_an_upload_that_does_not_come(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), threading.Event()

    def read(blocks: Iterable[bytes]) -> dict[str, Any]:
        begun.set()
        try:
            b"".join(blocks)
        finally:
            ended.set()
        return said(202, "")

    served = serve(Recorded(streaming=read))
    served.server.config.timeout_graceful_shutdown = 0
    with served.connect() as wire:
        wire.request(f"PATCH {UPLOAD}", "Content-Length: 10", body=b"hello")
        begun.wait(20)
        served.stop()
        assert ended.wait(20)
