"""The ASGI application: HTTP in, function URL events to the handlers, uploads and blobs streamed."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import urllib3

from chalicelib.config import FUNCTION_URL, Settings
from chalicelib.gateway import events
from chalicelib.gateway.body import BodyPipe
from chalicelib.gateway.events import Answer
from chalicelib.gateway.passthrough import BLOCK, Passthrough
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.manifest import SIZE_LIMIT

# An upload holds a part of 8 MiB and what waits behind it, so their number bounds the memory.
UPLOADS_AT_ONCE: Final = 12
EVENTS_AT_ONCE: Final = 32
_BODILESS: Final = {204, 304}

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Handlers(Protocol):
    """The part of a deployment that answers events."""

    settings: Settings

    def handler(self, event: Mapping[str, Any], _context: object = None) -> dict[str, Any]: ...
    def streamed(self, event: Mapping[str, Any], blocks: Iterable[bytes]) -> dict[str, Any]: ...
    def carries_upload(self, method: str, path: str) -> bool: ...


class Disconnected(Exception):  # noqa: N818 - not an error: clients may leave
    """The client left before its request was complete."""


def create_application(handlers: Handlers) -> Application:
    return Application(handlers)


class Application:
    """Plays the front end of a function URL and the upload gateway."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._events = ThreadPoolExecutor(EVENTS_AT_ONCE, "event")
        self._uploads = ThreadPoolExecutor(UPLOADS_AT_ONCE, "upload")
        self._passthrough = Passthrough()
        self._function_url = handlers.settings.emulate == FUNCTION_URL

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            try:
                await self._http(scope, receive, send)
            except Disconnected:
                return

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["raw_path"].decode("latin-1")
        if self._function_url:
            answer = await self._as_function_url(scope, receive)
        elif self._handlers.carries_upload(method, path):
            answer = await self._streamed(scope, receive)
        else:
            event = events.to_event(scope, await _read(receive, SIZE_LIMIT))
            answer = await self._run(self._events, self._handlers.handler, event)
        if answer[0] == 307 and not self._handlers.settings.redirect_blobs:
            await self._pass_through(scope, answer, send)
        else:
            await _send(method, answer, send)

    async def _as_function_url(self, scope: Scope, receive: Receive) -> Answer:
        limit = events.body_limit(function_url=True, manifest_limit=SIZE_LIMIT)
        body = await _read(receive, limit)
        event = events.to_event(scope, body)
        if len(body) > limit or events.is_too_large(event):
            await _drain(receive)
            return events.too_large()
        answer = await self._run(self._events, self._handlers.handler, event)
        return events.as_function_url(scope["method"], answer)

    async def _streamed(self, scope: Scope, receive: Receive) -> Answer:
        loop = asyncio.get_running_loop()
        pipe = BodyPipe(loop)
        pump = asyncio.create_task(_pump(receive, pipe))
        event = events.to_event(scope, None)
        try:
            return await self._run(self._uploads, self._handlers.streamed, event, pipe)
        finally:
            pump.cancel()

    async def _run(
        self, pool: ThreadPoolExecutor, handler: Callable[..., dict[str, Any]], *args: Any
    ) -> Answer:
        call = functools.partial(_answered, handler, *args)
        return await asyncio.get_running_loop().run_in_executor(pool, call)

    async def _pass_through(self, scope: Scope, answer: Answer, send: Send) -> None:
        loop = asyncio.get_running_loop()
        told = dict(answer[1])
        asked = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        url, digest = told[b"location"].decode(), told[b"docker-content-digest"]
        opened = await loop.run_in_executor(
            self._events, self._passthrough.open, scope["method"], url, asked, digest
        )
        if opened is None:
            await _send(scope["method"], _refused(), send)
            return
        status, headers, source = opened
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await self._copy(source, send)

    async def _copy(self, source: urllib3.BaseHTTPResponse, send: Send) -> None:
        loop = asyncio.get_running_loop()
        try:
            while block := await loop.run_in_executor(self._events, source.read, BLOCK):
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            source.close()
            source.release_conn()


def _answered(handler: Callable[..., dict[str, Any]], *args: Any) -> Answer:
    return events.from_event(handler(*args))


def _refused() -> Answer:
    error = RegistryError(
        ErrorCode.BLOB_UNKNOWN, "the storage does not answer for this blob; try again", status=502
    )
    body = str(error).encode()
    return 502, [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())], body


async def _read(receive: Receive, limit: int) -> bytes:
    """The body, or its first `limit` bytes and one more. Raises Disconnected."""
    chunks: list[bytes] = []
    size, more = 0, True
    while more and size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        more = message.get("more_body", False)
    return b"".join(chunks)[: limit + 1]


async def _drain(receive: Receive) -> None:
    """Some clients hang when they are answered before they have sent everything."""
    more = True
    while more:
        message = await receive()
        more = message["type"] == "http.request" and message.get("more_body", False)


async def _pump(receive: Receive, pipe: BodyPipe) -> None:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            pipe.hang_up()
            return
        if body := message.get("body", b""):
            await pipe.feed(body)
        more = message.get("more_body", False)
    pipe.end()


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
