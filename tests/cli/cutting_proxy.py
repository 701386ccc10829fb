"""A proxy that lets a request through and loses its answer, as a network does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from tests.support.in_thread import in_thread


@dataclass
class Proxy:
    """`keys` are the Idempotency-Keys as they came; `misdeeds` happen to the next POSTs, one each."""

    url: str
    keys: list[str] = field(default_factory=list)
    misdeeds: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)


def hang_up(_handler: BaseHTTPRequestHandler) -> None:
    """Close without a word."""


def under_way(handler: BaseHTTPRequestHandler) -> None:
    """What the registry says while the first request with this key still runs."""
    body = b'{"type": "about:blank", "title": "Conflict", "status": 409, "detail": "under way"}'
    handler.send_response(409)
    for name, value in {
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Retry-After": "1",
    }.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def proxy_before(target: str) -> Iterator[Proxy]:
    """Before the registry at `target`, until left."""
    proxy = Proxy("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass(b"")

        def do_POST(self) -> None:
            proxy.keys.append(self.headers.get("Idempotency-Key", ""))
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if proxy.misdeeds:
                self._forward(body)
                proxy.misdeeds.pop(0)(self)
                self.close_connection = True
            else:
                self._pass(body)

        def _forward(self, body: bytes) -> requests.Response:
            headers = {name: value for name, value in self.headers.items() if name != "Host"}
            return requests.request(self.command, target + self.path, data=body, headers=headers, timeout=60)

        def _pass(self, body: bytes) -> None:
            answer = self._forward(body)
            self.send_response(answer.status_code)
            for name in ("Content-Type", "ETag", "Idempotency-Replayed"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            """The test looks at what came."""

    with in_thread(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        proxy.url = f"http://{address}"
        yield proxy
