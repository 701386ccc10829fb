"""The one thing that the edge does for a function URL: it gives the challenge its name back.

A proxy on loopback, so that what fails behind it fails for another reason than the challenge.
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import web
from yarl import URL

REMAPPED: Final = "x-amzn-Remapped-www-authenticate"
# What belongs to one connection; the bodies are read whole here, so their coding goes too.
HOP_BY_HOP: Final = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
BODY_LIMIT: Final = 64 * 1024 * 1024


@contextmanager
def challenging_edge(origin: str) -> Iterator[str]:
    """The host and port of a proxy before `origin`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stack = AsyncExitStack()
    try:
        yield asyncio.run_coroutine_threadsafe(_listen(origin, stack), loop).result(30)
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _listen(origin: str, stack: AsyncExitStack) -> str:
    session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
    application = web.Application(client_max_size=BODY_LIMIT)
    application.router.add_route("*", "/{path:.*}", _Proxy(session, origin).forward)
    runner = web.AppRunner(application)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"127.0.0.1:{runner.addresses[0][1]}"


@dataclass(frozen=True)
class _Proxy:
    session: aiohttp.ClientSession
    origin: str

    async def forward(self, request: web.Request) -> web.Response:
        asked = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        # The path as it was sent: yarl would decode it.
        url = URL(f"{self.origin}{request.raw_path}", encoded=True)
        body = io.BytesIO(await request.read())
        async with self.session.request(
            request.method, url, headers=asked, data=body, allow_redirects=False
        ) as answer:
            told = [
                (_restored(name), value)
                for name, value in answer.headers.items()
                if name.lower() not in HOP_BY_HOP
            ]
            if request.method == "HEAD":
                told.append(("Content-Length", answer.headers["Content-Length"]))
            return web.Response(status=answer.status, headers=told, body=await answer.read())


def _restored(name: str) -> str:
    return "WWW-Authenticate" if name.lower() == REMAPPED.lower() else name
