"""`GET /metrics` on a port of its own: on that of the clients, it would be one more path to guard."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chalicelib.config import SettingsError
from chalicelib.gateway.application import Scope, Send
from chalicelib.gateway.incoming import Receive
from chalicelib.gateway.server import served, server_config
from chalicelib.observation.prometheus import CONTENT_TYPE

PATH = "/metrics"
CONNECTIONS = 16


class Exposition:
    """The ASGI application: one page, without a login, for those who reach the port."""

    def __init__(self, text: Callable[[], str]) -> None:
        self._text = text

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status, body = 404, b"there is /metrics here\n"
        if scope["path"] == PATH:
            status, body = (200, self._text().encode()) if scope["method"] in {"GET", "HEAD"} else (405, b"")
        headers = [
            (b"content-type", CONTENT_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            *([(b"allow", b"GET, HEAD")] if status == 405 else []),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


@contextmanager
def exposed(address: tuple[str, int] | None, text: Callable[[], str]) -> Iterator[str]:
    """Served in a thread until left, at the URL that comes; nowhere, '', without an address.

    Raises SettingsError where nobody can listen there.
    """
    if address is None:
        yield ""
        return
    try:
        listener = socket.create_server(address, backlog=CONNECTIONS)
    except OSError as error:
        raise SettingsError(f"CCR_METRICS: cannot listen on {address[0]}:{address[1]}: {error}") from error
    with served(listener, server_config(Exposition(text), CONNECTIONS, drain_seconds=1)):
        yield f"http://{address[0]}:{listener.getsockname()[1]}{PATH}"
