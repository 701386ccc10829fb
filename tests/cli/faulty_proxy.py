"""A proxy before a registry that can be told to do what misconfigured ones do; else it changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.in_thread import in_thread

HOP = {"connection", "transfer-encoding", "keep-alive"}


@dataclass
class Passing:
    """A request on its way there, and then the answer on its way back."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    status: int = 0
    answer: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def get(self, name: str) -> str:
        return next((value for key, value in self.answer if key.lower() == name.lower()), "")

    def set(self, name: str, value: str | None) -> None:
        """In place of what there is; None takes it off."""
        self.answer = [one for one in self.answer if one[0].lower() != name.lower()]
        if value is not None:
            self.answer.append((name, value))

    def say(self, status: int, document: Any, **headers: str) -> None:
        """Instead of what the registry says."""
        self.status, self.body = status, json.dumps(document).encode()
        self.answer = [("Content-Type", "application/json"), *headers.items()]
        self.set("Content-Length", str(len(self.body)))


Fault = Callable[[Passing], None]


@dataclass
class FaultyProxy:
    """`forward` changes requests, `back` answers. `host` is the one that the registry is told."""

    url: str = ""
    forward: Fault | None = None
    back: Fault | None = None
    asked: list[Passing] = field(default_factory=list)

    def heal(self) -> None:
        self.forward = self.back = None
        self.asked.clear()


@contextmanager
def faulty_proxy(host: str) -> Iterator[FaultyProxy]:
    """Before the registry at `host`. It passes paths, Host and HEAD on as they come."""
    proxy = FaultyProxy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            passing = Passing(self.command, self.path, list(self.headers.items()))
            proxy.asked.append(passing)
            if proxy.forward:
                proxy.forward(passing)
            self._ask(passing, body)
            if proxy.back:
                proxy.back(passing)
            self._say(passing)

        do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

        def _ask(self, passing: Passing, body: bytes) -> None:
            connection = HTTPConnection(host, timeout=60)
            try:
                connection.putrequest(passing.method, passing.path, skip_host=True, skip_accept_encoding=True)
                for name, value in passing.headers:
                    connection.putheader(name, value)
                connection.endheaders(body)
                answer = connection.getresponse()
                passing.status, passing.body = answer.status, answer.read()
                passing.answer = [one for one in answer.getheaders() if one[0].lower() not in HOP]
            finally:
                connection.close()

        def _say(self, passing: Passing) -> None:
            self.send_response_only(passing.status)
            for name, value in passing.answer:
                self.send_header(name, value)
            if not passing.get("Content-Length") and self.command != "HEAD":
                self.send_header("Content-Length", str(len(passing.body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else passing.body)

        def log_message(self, *_: object) -> None:
            """The test looks at what came."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with in_thread(server) as address:
        proxy.url = f"http://{address}"
        yield proxy
