"""HTTP by the byte: what two readers could read in two ways is refused, and never reaches a handler."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from chalicelib.gateway import protocol
from tests.gateway.conftest import Served
from tests.gateway.doubles import Recorded
from tests.gateway.wire import chunked

HOST = "Host: registry.test\r\n"
SECOND = f"GET /v2/smuggled HTTP/1.1\r\n{HOST}\r\n"


def post(*headers: str, body: str = "") -> str:
    return "\r\n".join(["POST /token HTTP/1.1", "Host: registry.test", *headers, "", body])


UNSOUND = [
    pytest.param(
        post("Content-Length: 5", "Transfer-Encoding: chunked", body="0\r\n\r\n"), id="length and chunked"
    ),
    pytest.param(
        post("Transfer-Encoding: chunked", "Content-Length: 5", body="0\r\n\r\n"), id="chunked and length"
    ),
    pytest.param(post("Content-Length: 5", "Content-Length: 6", body="hello"), id="two lengths"),
    pytest.param(post("Content-Length: 5", "Content-Length: 5", body="hello"), id="the same length twice"),
    pytest.param(post("Content-Length: 5, 5", body="hello"), id="a list of lengths"),
    pytest.param(post("Content-Length: -5", body="hello"), id="a negative length"),
    pytest.param(post("Content-Length: +5", body="hello"), id="a length with a sign"),
    pytest.param(post("Content-Length: 0x5", body="hello"), id="a hexadecimal length"),
    pytest.param(post("Content-Length: 5 5", body="hello"), id="a length with a space"),
    pytest.param(post("Content-Length:", body="hello"), id="no length"),
    pytest.param(post("Content-Length: 99999999999999999999999", body="x"), id="a length of 77 bits"),
    pytest.param(post("Content-Length : 5", body="hello"), id="a space before the colon"),
    pytest.param(post("X: a\r\n b", body=""), id="a folded header"),
    pytest.param(post("Transfer-Encoding:\r\n chunked", body="0\r\n\r\n"), id="a folded coding"),
    pytest.param(post("Transfer-Encoding: xchunked", body="0\r\n\r\n"), id="xchunked"),
    pytest.param(post("Transfer-Encoding: chunked, gzip", body="0\r\n\r\n"), id="chunked, then gzip"),
    pytest.param(post("Transfer-Encoding: gzip, chunked", body="0\r\n\r\n"), id="gzip, then chunked"),
    pytest.param(post("Transfer-Encoding: identity", body=""), id="identity"),
    pytest.param(post("Transfer-Encoding:\x0bchunked", body="0\r\n\r\n"), id="a vertical tab"),
    pytest.param(
        post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body="0\r\n\r\n"), id="two codings"
    ),
    pytest.param(
        post("Transfer-Encoding: chunked", body="zz\r\nhello\r\n0\r\n\r\n"), id="a chunk size of zz"
    ),
    pytest.param(post("Transfer-Encoding: chunked", body="-5\r\nhello\r\n0\r\n\r\n"), id="a negative chunk"),
    pytest.param(post("Transfer-Encoding: chunked", body="0x5\r\nhello\r\n0\r\n\r\n"), id="a chunk of 0x5"),
    pytest.param(
        post("Transfer-Encoding: chunked", body="5 \r\nhello\r\n0\r\n\r\n"), id="a chunk and a space"
    ),
    pytest.param(post("Transfer-Encoding: chunked", body="5\nhello\r\n0\r\n\r\n"), id="a chunk line of LF"),
    pytest.param(post("Transfer-Encoding: chunked", body="5\r\nhelloXX0\r\n\r\n"), id="a chunk too long"),
    pytest.param(
        post("Transfer-Encoding: chunked", body=f"{'f' * 18}\r\nhello\r\n0\r\n\r\n"), id="a chunk of 72 bits"
    ),
    pytest.param("POST /token HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="1.0"),
    pytest.param(
        post("Connection: Upgrade", "Upgrade: websocket", "Content-Length: 5", body="hello"),
        id="an upgrade with a body",
    ),
    pytest.param("GET /v2/ HTTP/1.1\nHost: x\n\n", id="lines that end in LF"),
    pytest.param("GET /v2/ HTTP/1.1\r\nHost: x\nFoo: y\r\n\r\n", id="a header that ends in LF"),
    pytest.param("GET /v2/ HTTP/1.1\r\nHost: x\rFoo: y\r\n\r\n", id="a header that ends in CR"),
    pytest.param(f"GET /v2/ a HTTP/1.1\r\n{HOST}\r\n", id="a path with a space"),
    pytest.param(f"GET\t/v2/\tHTTP/1.1\r\n{HOST}\r\n", id="tabs"),
    pytest.param(f"GET /v2/ HTTP/1.2\r\n{HOST}\r\n", id="HTTP/1.2"),
    pytest.param("GET /v2/\r\n\r\n", id="HTTP/0.9"),
    pytest.param("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
    pytest.param(f"get /v2/ HTTP/1.1\r\n{HOST}\r\n", id="a method in lower case"),
    pytest.param(f"FOO /v2/ HTTP/1.1\r\n{HOST}\r\n", id="a method nobody knows"),
    pytest.param(f"CONNECT other:80 HTTP/1.1\r\n{HOST}\r\n", id="CONNECT"),
    pytest.param(f"GET v2/ HTTP/1.1\r\n{HOST}\r\n", id="a path without a slash"),
    pytest.param(f"GET http://other HTTP/1.1\r\n{HOST}\r\n", id="a URL without a path"),
    pytest.param(f"GET /v2/\0 HTTP/1.1\r\n{HOST}\r\n", id="NUL in the path"),
    pytest.param(f"GET /v2/\xe9 HTTP/1.1\r\n{HOST}\r\n", id="a path that is not ASCII"),
    pytest.param(f"GET /v2/ HTTP/1.1\r\n{HOST}X: a\0b\r\n\r\n", id="NUL in a header"),
    pytest.param(f"GET /v2/ HTTP/1.1\r\n{HOST}: x\r\n\r\n", id="a header without a name"),
    pytest.param(f"GET /v2/ HTTP/1.1\r\n{HOST}abc\r\n\r\n", id="a header without a colon"),
    pytest.param("GET /v2/ HTTP/1.1\r\n\r\n", id="no Host"),
    pytest.param(f"GET /v2/ HTTP/1.1\r\n{HOST}{HOST}\r\n", id="two Hosts"),
    pytest.param("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
]


@pytest.mark.parametrize("raw", UNSOUND)
def test_what_could_be_read_in_two_ways_is_refused_and_the_connection_ends(
    served: Served, recorded: Recorded, raw: str
) -> None:
    with served.connect() as wire:
        wire.send(raw + SECOND)
        answer = wire.answer()
        assert (answer.status, answer.codes) == (400, ["UNSUPPORTED"])
        assert "RFC 9112" in answer.entries[0]["message"] or "HTTP/1.1" in answer.entries[0]["message"]
        assert answer.headers["connection"] == "close"
        assert wire.is_closed()
    assert not [event for event in recorded.events if event["rawPath"] == "/v2/smuggled"]
    with served.connect() as wire:
        wire.request("GET /v2/")
        assert wire.answer().status == 200


SOUND = [
    pytest.param(post("tRANSFER-eNCODING: CHUNKED", body="5\r\nhello\r\n0\r\n\r\n"), b"hello", id="any case"),
    pytest.param(
        post("Transfer-Encoding: chunked", body="5;a=b;c\r\nhello\r\n0\r\n\r\n"), b"hello", id="extensions"
    ),
    pytest.param(post("Transfer-Encoding: chunked", body="0005\r\nhello\r\n0\r\n\r\n"), b"hello", id="zeros"),
    pytest.param(post("Content-Length: 5", body="hello"), b"hello", id="a length"),
    pytest.param(post("Content-Length: 0"), b"", id="a length of 0"),
    pytest.param(f"\r\nGET /v2/ HTTP/1.1\r\n{HOST}\r\n", b"", id="an empty line before"),
    pytest.param(f"GET http://other/v2/ HTTP/1.1\r\n{HOST}\r\n", b"", id="a whole URL"),
    pytest.param(f"GET /v2/?a=%00&b=%zz&& HTTP/1.1\r\n{HOST}\r\n", b"", id="an odd query"),
]


@pytest.mark.parametrize(("raw", "body"), SOUND)
def test_what_is_odd_but_sound_is_read_as_one_request(
    served: Served, recorded: Recorded, raw: str, body: bytes
) -> None:
    with served.connect() as wire:
        wire.send(raw + SECOND)
        assert wire.answer().status == 200
        assert wire.answer().status == 200
    first, second = recorded.events
    assert second["rawPath"] == "/v2/smuggled"
    assert first["rawPath"] in {"/token", "/v2/"}
    assert _body(first) == body


def test_a_trailer_is_no_header(served: Served, recorded: Recorded) -> None:
    trailers = "Authorization: Basic eDp5\r\nHost: other\r\nRange: bytes=0-1\r\n"
    with served.connect() as wire:
        wire.send(post("Transfer-Encoding: chunked", body=f"5\r\nhello\r\n0\r\n{trailers}\r\n"))
        assert wire.answer().status == 200
    headers = recorded.events[0]["headers"]
    assert not {"authorization", "range"} & set(headers)
    assert headers["host"] == "registry.test"


def test_an_offer_to_upgrade_is_passed_over(served: Served, recorded: Recorded) -> None:
    """As curl --http2 makes it."""
    with served.connect() as wire:
        wire.request(
            "GET /v2/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA"
        )
        answer = wire.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert wire.is_closed()


OVER = "x" * (protocol.HEAD_LIMIT + 1)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(f"GET /v2/{OVER} HTTP/1.1\r\n{HOST}\r\n", id="a long path"),
        pytest.param(f"GET /v2/?{OVER} HTTP/1.1\r\n{HOST}\r\n", id="a long query"),
        pytest.param(f"GET /v2/ HTTP/1.1\r\n{HOST}X: {OVER}\r\n\r\n", id="a long value"),
        pytest.param(f"GET /v2/ HTTP/1.1\r\n{HOST}{OVER}: x\r\n\r\n", id="a long name"),
        pytest.param(f"GET /v2/ HTTP/1.1\r\n{HOST}" + "X: y\r\n" * 40_000 + "\r\n", id="many headers"),
        pytest.param(f"GET /v2/ HTTP/1.1\r\n{HOST}X: " + OVER * 8, id="a value that never ends"),
        pytest.param(f"GET /{OVER * 8}", id="a path that never ends"),
    ],
)
def test_a_head_has_a_limit_even_before_its_end(served: Served, recorded: Recorded, raw: str) -> None:
    with served.connect() as wire:
        wire.send(raw)
        answer = wire.answer()
        assert (answer.status, answer.codes) == (431, ["SIZE_INVALID"])
        assert wire.is_closed()
    assert not recorded.events


def test_a_head_just_below_the_limit_is_taken(served: Served, recorded: Recorded) -> None:
    with served.connect() as wire:
        wire.request("GET /v2/", f"X: {'x' * (protocol.HEAD_LIMIT - 200)}")
        assert wire.answer().status == 200


@pytest.mark.parametrize("begin", ["5;", "0\r\nTrailer: "], ids=["an extension", "a trailer"])
def test_what_comes_beside_a_chunked_body_has_a_limit(served: Served, recorded: Recorded, begin: str) -> None:
    with served.connect() as wire:
        wire.send(post("Transfer-Encoding: chunked", body=begin) + OVER * 8)
        assert wire.answer().status == 431
        assert wire.is_closed()
    assert not recorded.events


def test_a_head_that_does_not_come_is_not_waited_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    with served.connect() as silent, served.connect() as slow:
        slow.send("GET /v2/ HTTP/1.1\r\nHost: regis")
        answer = slow.answer()
        assert (answer.status, answer.codes) == (408, ["SIZE_INVALID"])
        assert slow.is_closed()
        assert silent.is_closed()


def test_garbage_behind_a_request_does_not_take_its_answer(served: Served, recorded: Recorded) -> None:
    with served.connect() as wire:
        wire.send(f"GET /v2/ HTTP/1.1\r\n{HOST}\r\n" + "garbage\r\n\r\n")
        answer = wire.answer()
        assert (answer.status, answer.body) == (200, b'{"answer": "whole"}')
        assert wire.is_closed()


def test_a_client_that_sends_byte_by_byte_is_served(served: Served, recorded: Recorded) -> None:
    raw = post("Transfer-Encoding: chunked", body=chunked(b"hel", b"lo").decode())
    with served.connect() as wire:
        for byte in raw:
            wire.send(byte)
        assert wire.answer().status == 200
    assert _body(recorded.events[0]) == b"hello"


def test_pipelined_requests_are_answered_in_order(served: Served, recorded: Recorded) -> None:
    asked = [f"/v2/{number}" for number in range(protocol.PIPELINE_LIMIT + 1)]
    with served.connect() as wire:
        wire.send("".join(f"GET {path} HTTP/1.1\r\n{HOST}\r\n" for path in asked))
        assert [wire.answer().status for _ in asked] == [200] * len(asked)
        wire.request("GET /v2/after")
        assert wire.answer().status == 200
    assert [event["rawPath"] for event in recorded.events] == [*asked, "/v2/after"]


def _body(event: Mapping[str, Any]) -> bytes:
    return base64.b64decode(event["body"])
