"""Between ccr, the registry and S3: counts what passes to and from S3, and misbehaves when told to."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import requests

from tests.support.in_thread import in_thread

_S3: Final = "/s3"
_HOP: Final = {"connection", "transfer-encoding", "content-encoding", "content-length", "server", "date"}
_LARGE: Final = 1024 * 1024

Misdeed = Callable[["Handler", bytes], bool]


@dataclass
class StorageProxy:
    """`puts` and `gets` are the bodies that S3 took and gave, by size.

    `misdeeds` happen to the next large requests of S3, one each; one that returns False lets it through.
    """

    registry: str
    url: str = ""
    storage: str = ""
    puts: list[int] = field(default_factory=list)
    gets: list[int] = field(default_factory=list)
    misdeeds: list[Misdeed] = field(default_factory=list)
    api_misdeeds: list[Misdeed] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)

    def large(self, sizes: list[int]) -> list[int]:
        """Of layers, not of configs."""
        return [one for one in sizes if one >= _LARGE]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    proxy: StorageProxy

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith(f"{_S3}/"):
            self._pass_to_storage(body)
        else:
            self._pass_to_registry(body)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - names that http.server looks for

    def _pass_to_storage(self, body: bytes) -> None:
        proxy = self.proxy
        is_large = max(len(body), self._asked()) >= _LARGE
        if is_large and proxy.misdeeds and proxy.misdeeds.pop(0)(self, body):
            return
        # The signature covers the host that S3 has, and the path without our prefix.
        answer = self.forward(body)
        if answer.status_code < 300:
            (proxy.puts if self.command == "PUT" else proxy.gets).append(len(body) or len(answer.content))
        self.answer(answer.status_code, dict(answer.headers), answer.content)

    def _asked(self) -> int:
        """The length of the range."""
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        return int(found[2]) - int(found[1]) + 1 if found else 0

    def forward(self, body: bytes) -> requests.Response:
        """To S3."""
        host = self.proxy.storage.removeprefix("http://")
        return self._send(f"{self.proxy.storage}{self.path.removeprefix(_S3)}", body, host)

    def _pass_to_registry(self, body: bytes) -> None:
        proxy = self.proxy
        host = proxy.registry.removeprefix("http://")
        if proxy.api_misdeeds and self.path.startswith("/api/v1/uploads"):
            misdeed = proxy.api_misdeeds.pop(0)
            if misdeed(self, body):
                return
        answer = self._send(f"{proxy.registry}{self.path}", body, host)
        content = answer.content.replace(proxy.storage.encode() + b"/", f"{proxy.url}{_S3}/".encode())
        headers = {name.title(): value for name, value in answer.headers.items()}
        if "Location" in headers:
            headers["Location"] = headers["Location"].replace(f"{proxy.storage}/", f"{proxy.url}{_S3}/")
        self.answer(answer.status_code, headers, content)

    def _send(self, url: str, body: bytes, host: str) -> requests.Response:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        headers["Host"] = host
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                self.command, url, data=body, headers=headers, timeout=120, allow_redirects=False
            )

    def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """The test looks at what came."""


def cut(handler: Handler, _body: bytes) -> bool:
    """Close without a word, and without S3."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)
    return True


def lose_answer(handler: Handler, body: bytes) -> bool:
    """S3 has it, and nobody hears of that."""
    handler.forward(body)
    return cut(handler, body)


def say_slow_down(handler: Handler, _body: bytes) -> bool:
    handler.answer(503, {"Content-Type": "application/xml"}, b"<Error><Code>SlowDown</Code></Error>")
    return True


def say_expired(handler: Handler, _body: bytes) -> bool:
    handler.answer(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")
    return True


def send_half(handler: Handler, body: bytes) -> bool:
    """Of what S3 says."""
    answer = handler.forward(body)
    handler.send_response(answer.status_code)
    handler.send_header("Content-Length", str(len(answer.content)))
    handler.end_headers()
    handler.wfile.write(answer.content[: len(answer.content) // 2])
    return cut(handler, body)


def send_other_bytes(handler: Handler, body: bytes) -> bool:
    """As many as there should be."""
    answer = handler.forward(body)
    handler.answer(answer.status_code, {}, b"x" * len(answer.content))
    return True


def hold(handler: Handler, body: bytes) -> bool:
    """Until the client is gone; S3 never sees it."""
    handler.proxy.held.set()
    handler.connection.recv(1)
    return cut_quietly(handler, body)


def cut_quietly(handler: Handler, _body: bytes) -> bool:
    handler.close_connection = True
    return True


def pass_on(_handler: Handler, _body: bytes) -> bool:
    return False


@contextmanager
def proxy_of_storage(registry: str, storage: str) -> Iterator[StorageProxy]:
    """Before both, until left."""
    proxy = StorageProxy(registry, storage=storage)
    handler = type("Own", (Handler,), {"proxy": proxy})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    with in_thread(server) as address:
        proxy.url = f"http://{address}"
        yield proxy
