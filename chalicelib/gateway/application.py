"""The ASGI application: HTTP in, function URL events to the handlers, uploads and blobs streamed."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import urllib3

from chalicelib.config import AWS, FUNCTION_URL, Settings
from chalicelib.gateway import events
from chalicelib.gateway.body import BodyPipe
from chalicelib.gateway.events import Answer
from chalicelib.gateway.incoming import Disconnected, Incoming, Receive
from chalicelib.gateway.memory import return_large_blocks
from chalicelib.gateway.passthrough import BLOCK, Passthrough
from chalicelib.gateway.room import ROOM_BYTES, Room, body_limit, expected
from chalicelib.observation.seen import CLIENT_LEFT, REQUEST_ID, Seen, within
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.manifest import SIZE_LIMIT

EVENTS_AT_ONCE: Final = 32
_MANAGEMENT: Final = "/api/"
_BODILESS: Final = {204, 304}
_LOG: Final = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Handlers(Protocol):
    """The part of a deployment that answers events."""

    settings: Settings
    # An upload holds a part of 8 MiB and what waits behind it, so their number bounds the memory.
    uploads_at_once: int

    def handler(self, event: Mapping[str, Any], seen: Seen | None = None) -> dict[str, Any]: ...
    def manage(self, event: Mapping[str, Any], seen: Seen | None = None) -> dict[str, Any]: ...
    def streamed(
        self, event: Mapping[str, Any], blocks: Iterable[bytes], seen: Seen | None = None
    ) -> dict[str, Any]: ...
    def carries_upload(self, method: str, path: str) -> bool: ...


class Watch(Protocol):
    """Is told of each request when it is over."""

    def request(self, seen: Seen) -> None: ...


def create_application(handlers: Handlers, watch: Watch | None = None) -> Application:
    """`watch` None: nothing is logged or counted but by whoever else does."""
    return_large_blocks()
    return Application(handlers, watch)


class Application:
    """Plays the front end of a function URL and the upload gateway."""

    def __init__(self, handlers: Handlers, watch: Watch | None = None) -> None:
        self._handlers, self._watch = handlers, watch
        self._events = ThreadPoolExecutor(EVENTS_AT_ONCE, "event")
        self._uploads = ThreadPoolExecutor(handlers.uploads_at_once, "upload")
        self._passthrough = Passthrough()
        self._room = Room(ROOM_BYTES)
        self._function_url = handlers.settings.emulate in {FUNCTION_URL, AWS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            seen = events.seen_of_scope(scope)
            sending = _Sending(send, seen)
            try:
                await self._http(scope, Incoming(receive), sending, seen)
            except Disconnected:
                return
            finally:
                seen.end(sending.status)
                if self._watch is not None:
                    self._watch.request(seen)

    async def _http(self, scope: Scope, incoming: Incoming, send: Send, seen: Seen) -> None:
        answer = await self._answer(scope, incoming, seen)
        if _closes(scope):
            # The server closes behind the answer, and what it had not read would reset the connection.
            await incoming.drain()
        if answer[0] == 307 and not self._handlers.settings.redirect_blobs:
            seen.bytes_redirected = 0
            await self._pass_through(scope, incoming, answer, send)
        else:
            await _send(scope["method"], answer, send)

    async def _answer(self, scope: Scope, incoming: Incoming, seen: Seen) -> Answer:
        method, path = scope["method"], scope["raw_path"].decode("latin-1")
        try:
            if self._function_url:
                return await self._as_function_url(scope, incoming, seen)
            if self._handlers.carries_upload(method, path):
                return await self._streamed(scope, incoming, seen)
            return await self._whole(scope, incoming, body_limit(method, path), seen)
        except RegistryError as error:
            seen.error = error.code.name
            return events.refusal(error)

    async def _whole(self, scope: Scope, incoming: Incoming, limit: int, seen: Seen) -> Answer:
        path = scope["raw_path"].decode("latin-1")
        async with self._room.hold(expected(scope["headers"], limit)):
            event = events.to_event(scope, await incoming.read(limit))
            return await self._run(self._events, self._handler(path), seen, event)

    def _handler(self, path: str) -> Callable[..., dict[str, Any]]:
        """The function that the edge would send such a path to."""
        return self._handlers.manage if path.startswith(_MANAGEMENT) else self._handlers.handler

    async def _as_function_url(self, scope: Scope, incoming: Incoming, seen: Seen) -> Answer:
        limit = events.body_limit(function_url=True, manifest_limit=SIZE_LIMIT)
        path = scope["raw_path"].decode("latin-1")
        async with self._room.hold(expected(scope["headers"], limit)):
            body = await incoming.read(limit)
            event = events.to_event(scope, body)
            if len(body) > limit or events.is_too_large(event):
                await incoming.drain()
                return events.too_large()
            answer = await self._run(self._events, self._handler(path), seen, event)
        return events.as_function_url(scope["method"], answer)

    async def _streamed(self, scope: Scope, incoming: Incoming, seen: Seen) -> Answer:
        """The rest of a body that the handler did not want is thrown away by the server."""
        pipe = BodyPipe(asyncio.get_running_loop())
        pump = asyncio.create_task(incoming.pump(pipe))
        event = events.to_event(scope, None)
        try:
            return await self._run(self._uploads, self._handlers.streamed, seen, event, pipe)
        finally:
            # Where the server stops first, the thread must not wait for bytes that nobody brings.
            pipe.hang_up()
            pump.cancel()
            await asyncio.wait([pump])

    async def _run(
        self, pool: ThreadPoolExecutor, handler: Callable[..., dict[str, Any]], seen: Seen, *args: Any
    ) -> Answer:
        call = functools.partial(_answered, handler, seen, *args)
        return await asyncio.get_running_loop().run_in_executor(pool, call)

    async def _pass_through(self, scope: Scope, incoming: Incoming, answer: Answer, send: Send) -> None:
        told = dict(answer[1])
        asked = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        url, digest = told[b"location"].decode(), told[b"docker-content-digest"]
        opened = functools.partial(self._passthrough.open, scope["method"], url, asked, digest)
        try:
            status, headers, source = await asyncio.get_running_loop().run_in_executor(self._events, opened)
        except RegistryError as error:
            await _send(scope["method"], events.refusal(error), send)
            return
        await self._copy((status, headers), source, incoming, send)

    async def _copy(
        self,
        start: tuple[int, events.Headers],
        source: urllib3.BaseHTTPResponse,
        incoming: Incoming,
        send: Send,
    ) -> None:
        """Left incomplete where S3 fails, so that the server breaks the connection and the client knows."""
        loop = asyncio.get_running_loop()
        gone = asyncio.create_task(incoming.gone())
        try:
            await send({"type": "http.response.start", "status": start[0], "headers": start[1]})
            while block := await loop.run_in_executor(self._events, source.read, BLOCK):
                await send({"type": "http.response.body", "body": block, "more_body": True})
                if gone.done():
                    return
            await send({"type": "http.response.body", "body": b""})
        except urllib3.exceptions.HTTPError as error:
            _LOG.warning("the storage broke off in the middle of a blob: %s", type(error).__name__)
        finally:
            gone.cancel()
            source.close()
            source.release_conn()


class _Sending:
    """Notes the status and the size of what is sent, and puts the request's id to it."""

    def __init__(self, send: Send, seen: Seen) -> None:
        self._send, self._seen = send, seen
        self.status = CLIENT_LEFT

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            told = (REQUEST_ID.lower().encode(), self._seen.request_id.encode())
            message = {**message, "headers": [*message["headers"], told]}
        else:
            self._seen.bytes_sent += len(message["body"])
        await self._send(message)


def _answered(handler: Callable[..., dict[str, Any]], seen: Seen, *args: Any) -> Answer:
    try:
        with within(seen.request_id):
            return events.from_event(handler(*args, seen))
    except Exception:  # noqa: BLE001 - nothing but an answer reaches a client
        _LOG.exception("the handler failed")
        message = "the registry failed to answer; try again"
        return events.refusal(RegistryError(ErrorCode.UNSUPPORTED, message, status=500))


def _closes(scope: Scope) -> bool:
    """Whether this request is the last of its connection."""
    if scope["http_version"] != "1.1":
        return True
    named = [value.lower() for name, value in scope["headers"] if name == b"connection"]
    return any(token.strip() == b"close" for value in named for token in value.split(b","))


async def _send(method: str, answer: Answer, send: Send) -> None:
    status, headers, body = answer
    if status in _BODILESS:
        headers = [(name, value) for name, value in headers if name != b"content-length"]
        body = b""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
