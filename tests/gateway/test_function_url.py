"""`CCR_EMULATE=function-url`: the quirks of the front end, to the byte."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from chalicelib.config import Settings
from chalicelib.gateway.events import EVENT_BYTES
from tests.gateway.conftest import Serve, Served
from tests.gateway.doubles import KEY, Recorded, said

UPLOAD = "/v2/dev/app/blobs/uploads/" + "0" * 32


@pytest.fixture
def handlers() -> Recorded:
    return Recorded(Settings(token_keys=(KEY,), create_on_push=True, emulate="function-url"))


@pytest.fixture
def emulated(serve: Serve, handlers: Recorded) -> Served:
    return serve(handlers)


def size(event: Any) -> int:
    return len(json.dumps(event))


def send(emulated: Served, length: int, *headers: str) -> Any:
    with emulated.connect() as wire:
        wire.request(f"PUT {UPLOAD}", f"Content-Length: {length:>9}", *headers, body=b"x" * length)
        answer = wire.answer()
        wire.request("GET /v2/")
        assert wire.answer().status == 200
        return answer


def test_an_event_of_exactly_the_limit_passes_and_one_byte_more_does_not(
    emulated: Served, handlers: Recorded
) -> None:
    """The length of a header fills up what the base64 of a body, in steps of four, cannot."""
    length = (EVENT_BYTES - 2000) // 4 * 3
    assert send(emulated, length, "X-Fill: x").status == 200
    room = EVENT_BYTES - size(handlers.events[0])
    assert send(emulated, length, "X-Fill: " + "x" * (1 + room)).status == 200
    assert size(handlers.events[2]) == EVENT_BYTES
    seen = len(handlers.events)
    answer = send(emulated, length, "X-Fill: " + "x" * (2 + room))
    assert answer.status == 413
    assert json.loads(answer.body) == {"Message": f"Request must be smaller than {EVENT_BYTES} bytes"}
    assert [event["rawPath"] for event in handlers.events[seen:]] == ["/v2/"]


@pytest.mark.parametrize("length", [EVENT_BYTES * 3 // 4, EVENT_BYTES * 3 // 4 + 1, 20_000_000])
def test_a_large_body_never_reaches_the_code_and_the_connection_goes_on(
    emulated: Served, handlers: Recorded, length: int
) -> None:
    assert send(emulated, length).status == 413
    assert [event["rawPath"] for event in handlers.events] == ["/v2/"]


def test_an_upload_comes_in_the_event_as_base64(emulated: Served, handlers: Recorded) -> None:
    with emulated.connect() as wire:
        wire.request(f"PATCH {UPLOAD}", body=bytes(range(256)))
        assert wire.answer().status == 200
    event = handlers.events[0]
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == bytes(range(256))
    assert not handlers.uploads


def test_an_event_is_of_payload_format_2(emulated: Served, handlers: Recorded) -> None:
    with emulated.connect() as wire:
        wire.request(
            "GET /v2/a%20b?x=1&y=%2F", "X-MiXeD: Kept AS is", "Accept: a", "Accept: b", "User-Agent: me"
        )
        wire.answer()
    event = handlers.events[0]
    assert (event["version"], event["routeKey"]) == ("2.0", "$default")
    assert (event["rawPath"], event["rawQueryString"]) == ("/v2/a%20b", "x=1&y=%2F")
    assert event["headers"]["x-mixed"] == "Kept AS is"
    assert event["headers"]["accept"] == "a,b"
    assert event["headers"]["x-forwarded-proto"] == "http"
    assert all(name == name.lower() for name in event["headers"])
    http = event["requestContext"]["http"]
    assert http == {
        "method": "GET",
        "path": "/v2/a%20b",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "me",
    }


def test_the_challenge_comes_under_another_name(emulated: Served, handlers: Recorded) -> None:
    handlers.answer = lambda _event: said(401, {}, **{"WWW-Authenticate": 'Bearer realm="x"'})
    with emulated.connect() as wire:
        wire.request("GET /v2/")
        answer = wire.answer()
    assert "www-authenticate" not in answer.headers
    assert answer.headers["x-amzn-remapped-www-authenticate"] == 'Bearer realm="x"'


def test_head_has_the_length_of_the_body_that_is_stripped(emulated: Served, handlers: Recorded) -> None:
    """Whatever length the code says: the front end counts."""
    handlers.answer = lambda _event: said(200, {"a": "body"}, **{"Content-Length": "999"})
    with emulated.connect() as wire:
        for _ in range(2):
            wire.request("HEAD /v2/")
            answer = wire.answer("HEAD")
            assert (answer.status, answer.headers["content-length"]) == (200, "13")
