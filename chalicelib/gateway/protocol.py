"""HTTP/1.1 as uvicorn and httptools read it, with bounds on a head and on a queue, refusals in the envelope.

What the parser lets through and RFC 9112 does not, is refused here: two readings of one request are
how a request is smuggled past a front end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chalicelib.gateway import events
from chalicelib.gateway.outgoing import Outgoing
from chalicelib.gateway.pace import Pace
from chalicelib.spec.errors import ErrorCode, RegistryError

HEAD_LIMIT: Final = 64 * 1024
HEAD_SECONDS: Final = 30
LINGER_SECONDS: Final = 2
# A client of a registry asks one thing at a time; what it asks ahead holds memory before it has logged in.
PIPELINE_LIMIT: Final = 16
_LOG: Final = logging.getLogger(__name__)


class Reading(FlowControl):
    """Lets nobody read on while `may_read` says no; uvicorn itself would, at each answer."""

    def __init__(self, transport: asyncio.Transport, may_read: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._may_read = may_read

    def resume_reading(self) -> None:
        if self._may_read():
            super().resume_reading()


class GatewayProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Uvicorn's own limit counts at each request, and lets any number of silent connections be.
        self._connection_limit, self.limit_concurrency = self.limit_concurrency, None
        self._pace: Pace | None = None
        self._heard = 0.0
        self._in_head = False
        self._in_body = False
        self._head_size = 0
        self._unparsed = 0
        self._refusal: RegistryError | None = None
        self._lingers = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._outgoing = Outgoing(transport, self.loop)
        super().connection_made(self._outgoing)
        self.flow = Reading(self._outgoing, self._may_read)
        if self._connection_limit is not None and len(self.connections) > self._connection_limit:
            self._turn_away()
            return
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._outgoing.lost()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingers:
            return
        self._unparsed += len(data)
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            _LOG.debug("a request that is none: %s", error)
            self.send_400_response("")
        except httptools.HttpParserUpgrade:
            pass  # a client may offer to upgrade; going on without is the answer
        if self._unparsed > HEAD_LIMIT:
            self._refusal = _too_large()
            self.send_400_response("")
        if self._is_answered() and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            # What is left of a body refused early has come; uvicorn would wait for more for ever.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
            self._discard(len(data))

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINE_LIMIT:
            # Ends the parser: what is queued gets its answers, and the connection closes behind them.
            raise _unreadable("wait for answers before you send more requests")
        self._in_head, self._head_size = True, 0
        self._time_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        if self._in_head:  # else a trailer, which is no header of the request
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._unparsed = False, 0
        self._stop_timer()
        upgrades = self.parser.should_upgrade()
        self._refusal = _unsound(self.parser.get_http_version(), self.headers, upgrades=upgrades)
        if self._refusal is not None:
            raise self._refusal
        super().on_headers_complete()
        self._in_body = True
        if upgrades:  # the parser reads nothing after it
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        super().on_body(body)

    def on_chunk_header(self) -> None:
        self._unparsed = 0

    def on_message_complete(self) -> None:
        self._in_body, self._unparsed = False, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._pace, self._heard = Pace(), self.loop.time()
        self.flow.resume_reading()  # where that was the last of the pipeline

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are for no user
        """Answer what cannot be read, unless an answer is on its way already."""
        if not self._in_body and self._is_busy():
            # The request before this one gets its answer, then the connection ends.
            self.cycle.keep_alive = False
            return
        if self.pipeline or (self._in_body and self.cycle.response_started):
            self.transport.close()
            return
        self._refuse(self._refusal or _unreadable())

    def _refuse(self, error: RegistryError) -> None:
        """Say why, then read on for a moment: closing over unread bytes would take the answer back."""
        self._lingers = True
        self._stop_timer()
        self._write(events.refusal(error))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _turn_away(self) -> None:
        """One too many: said at once, and not waited for."""
        self._lingers = True
        self._write(events.refusal(_too_many()))
        self.transport.close()

    def _discard(self, size: int) -> None:
        """The rest of a body that was refused, or empty lines: for ever, if they come fast enough."""
        now = self.loop.time()
        if self._pace is not None and not self._pace.is_kept(now - self._heard, size):
            self.transport.close()
        self._heard = now

    def _write(self, answer: events.Answer) -> None:
        status, headers, body = answer
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode(), b"connection: close"]
        lines += [name + b": " + value for name, value in headers]
        self.transport.write(b"\r\n".join([*lines, b"", body]))

    def _count(self, size: int) -> None:
        self._unparsed = 0
        self._head_size += size
        if self._in_head and self._head_size > HEAD_LIMIT:
            self._refusal = _too_large()
            raise self._refusal

    def _time_head(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(HEAD_SECONDS, self._late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        if not self._in_head:
            self.transport.close()
            return
        self._refusal = RegistryError(
            ErrorCode.SIZE_INVALID, "the head of the request ended early; send it again", status=408
        )
        self.send_400_response("")

    def _may_read(self) -> bool:
        return not self.pipeline

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _is_answered(self) -> bool:
        return self.cycle is not None and self.cycle.response_complete


def _unsound(version: str, headers: list[tuple[bytes, bytes]], *, upgrades: bool) -> RegistryError | None:
    """Why a head that can be parsed is refused nevertheless, or None."""
    if version not in {"1.0", "1.1"}:
        return _unreadable("the request line ends with HTTP/1.1")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return _unreadable("a request has one Host header")
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and (codings != [b"chunked"] or version != "1.1"):
        return _unreadable("the only transfer coding is chunked, of HTTP/1.1")
    lengths = [value for name, value in headers if name == b"content-length"]
    if upgrades and (codings or lengths not in ([], [b"0"])):
        return _unreadable("a request with a body offers no Upgrade")
    return None


def _unreadable(why: str = "send requests as RFC 9112 has them") -> RegistryError:
    return RegistryError(ErrorCode.UNSUPPORTED, f"this is not sound HTTP/1.1: {why}", status=400)


def _too_large() -> RegistryError:
    message = f"the head of the request has more than {HEAD_LIMIT} bytes"
    return RegistryError(ErrorCode.SIZE_INVALID, message, status=431)


def _too_many() -> RegistryError:
    message = "the registry has as many connections as it takes; try again"
    return RegistryError(ErrorCode.TOOMANYREQUESTS, message, status=503, headers={"Retry-After": "5"})
