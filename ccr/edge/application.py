"""The ASGI application of `CCR_EMULATE=aws`: what CloudFront does with a request, from function to origin.

Behaviours: /s/* is S3 behind the edge, /u/* the gateway where there is one, all else the function URL.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import quote_plus, unquote

from ccr.edge import cloudfront
from ccr.edge.cloudfront import Answer
from ccr.edge.node import EdgeError, EdgeFunctions
from ccr.edge.origins import HttpOrigin, OriginError, StorageOrigin
from chalicelib.gateway.body import BodyPipe
from chalicelib.gateway.incoming import Disconnected, Incoming, Receive
from chalicelib.spec.errors import RegistryError

REGISTRY: Final = "registry"
GATEWAY: Final = "gateway"
STORAGE: Final = "storage"
UPLOADS_AT_ONCE: Final = 16
# The host name of a function URL is not the one that clients use.
_FUNCTION_HOST: Final = b"function-url.invalid"
_BODILESS: Final = {204, 304}
_LOG: Final = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class Edge:
    """`registry` is the front end of the function URL; `received` is told of S3's events."""

    def __init__(
        self,
        functions: EdgeFunctions,
        registry: Application,
        storage: StorageOrigin,
        received: Callable[[Mapping[str, Any]], None],
        gateway: HttpOrigin | None = None,
    ) -> None:
        self._functions, self._registry, self._received = functions, registry, received
        self._origins: dict[str, HttpOrigin | StorageOrigin] = {STORAGE: storage}
        if gateway is not None:
            self._origins[GATEWAY] = gateway
        self._bucket = storage.bucket
        # The functions take turns, so that one thread is as good as any number.
        self._calls = ThreadPoolExecutor(1, "edge-function")
        self._uploads = ThreadPoolExecutor(UPLOADS_AT_ONCE, "edge-upload")
        self._events: set[asyncio.Future[None]] = set()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._registry(scope, receive, send)
            return
        try:
            await self._http(scope, receive, send)
        except Disconnected:
            return
        except (EdgeError, OriginError) as error:
            _LOG.warning("the edge cannot go on: %s", error)
            status = 503 if isinstance(error, EdgeError) else 502
            await _say(
                scope["method"], Answer(status, [("content-type", "text/plain")], b"edge failure\n"), send
            )

    async def _http(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        event = cloudfront.viewer_event(scope)
        outcome = await self._call("viewer-request", event)
        if "statusCode" in outcome.result:
            # Some clients read no answer before they have sent all.
            await Incoming(receive).drain()
            await _say(scope["method"], cloudfront.function_answer(outcome.result), send)
            return
        request = cloudfront.checked_request(event, outcome.result)
        origin = outcome.origin or self._behaviour(scope)
        finish = functools.partial(self._finish, event, request)
        if origin in self._origins:
            answer = await self._forwarded(request, self._origins[origin], Incoming(receive))
            await _say(scope["method"], await finish(answer), send)
            if origin == STORAGE and answer.status == 200:
                self._tell(request)
        else:
            await self._registry(_changed(scope, request), receive, _Finishing(scope["method"], finish, send))

    def _behaviour(self, scope: Mapping[str, Any]) -> str:
        """By the path as the client sent it: a function that changes it changes no behaviour."""
        path = cloudfront.normalized(scope["raw_path"].decode("latin-1"))
        if path.startswith("/s/"):
            return STORAGE
        return GATEWAY if path.startswith("/u/") else REGISTRY

    async def _finish(self, event: Mapping[str, Any], request: Mapping[str, Any], answer: Answer) -> Answer:
        """The functions on the way back: Lambda@Edge always, CloudFront's own not from 400 on."""
        outcome = await self._call("origin-response", cloudfront.lambda_event(request, answer))
        changed = cloudfront.lambda_answer(outcome.result)
        after = Answer(changed.status, changed.headers, answer.body if changed.body is None else changed.body)
        if answer.status >= 400:
            return after
        outcome = await self._call("viewer-response", cloudfront.response_event(event, request, after))
        return cloudfront.function_answer(outcome.result, after.body)

    async def _forwarded(
        self, request: Mapping[str, Any], origin: HttpOrigin | StorageOrigin, incoming: Incoming
    ) -> Answer:
        pipe = BodyPipe(asyncio.get_running_loop())
        pump = asyncio.create_task(incoming.pump(pipe))
        try:
            call = functools.partial(_sent, origin, request, pipe)
            return await asyncio.get_running_loop().run_in_executor(self._uploads, call)
        finally:
            pipe.hang_up()
            pump.cancel()
            await asyncio.wait([pump])
            await incoming.drain()

    async def _call(self, name: str, event: Mapping[str, Any]) -> Any:
        call = functools.partial(self._functions.call, name, event)
        return await asyncio.get_running_loop().run_in_executor(self._calls, call)

    def _tell(self, request: Mapping[str, Any]) -> None:
        """S3's event, which comes some time after the answer."""
        key = quote_plus(unquote(request["uri"][1:]), safe="/")
        record = {
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": self._bucket}, "object": {"key": key}},
        }
        call = functools.partial(_received, self._received, {"Records": [record]})
        task = asyncio.get_running_loop().run_in_executor(self._uploads, call)
        self._events.add(task)
        task.add_done_callback(self._events.discard)


class _Finishing:
    """Holds the head of the registry's answer until the functions have seen it; the rest streams on."""

    def __init__(self, method: str, finish: Callable[[Answer], Awaitable[Answer]], send: Send) -> None:
        self._method, self._finish, self._send = method, finish, send
        self._is_replaced = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
            answer = await self._finish(Answer(message["status"], pairs))
            self._is_replaced = answer.body is not None
            if self._is_replaced:
                await _say(self._method, answer, self._send)
            else:
                await self._send(_start(answer.status, answer.headers))
        elif not self._is_replaced:
            await self._send(message)


def _sent(origin: HttpOrigin | StorageOrigin, request: Mapping[str, Any], blocks: Iterable[bytes]) -> Answer:
    try:
        return origin.send(request, blocks)
    except RegistryError as error:
        # The client left, or sent less than it announced: nobody waits for an answer.
        raise Disconnected from error


def _received(receive: Callable[[Mapping[str, Any]], None], event: Mapping[str, Any]) -> None:
    try:
        receive(event)
    except Exception:  # noqa: BLE001 - Lambda would try again; here the next to ask for the blob adopts it
        _LOG.exception("an event of S3 was not taken notice of")


def _changed(scope: Mapping[str, Any], request: Mapping[str, Any]) -> MutableMapping[str, Any]:
    """The scope of the request as the functions left it, on its way to the function URL."""
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in cloudfront.pairs_of(request["headers"])
        if name != "host"
    ]
    return {
        **scope,
        "raw_path": request["uri"].encode("latin-1"),
        "path": unquote(request["uri"]),
        "query_string": cloudfront.query_text(request["querystring"]).encode("latin-1"),
        "headers": [(b"host", _FUNCTION_HOST), *headers],
    }


def _start(status: int, pairs: Iterable[tuple[str, str]]) -> Message:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    return {"type": "http.response.start", "status": status, "headers": headers}


async def _say(method: str, answer: Answer, send: Send) -> None:
    body = answer.body or b""
    pairs = [(name, value) for name, value in answer.headers if name.lower() != "content-length"]
    if answer.status not in _BODILESS:
        pairs.append(("content-length", str(len(body))))
    await send(_start(answer.status, pairs))
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


def key_values(settings: Mapping[str, Any]) -> dict[str, str]:
    """The key value store of infra/edge/viewer-request.js."""
    return {"edge": json.dumps(settings)}
