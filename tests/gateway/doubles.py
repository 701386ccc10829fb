"""Handlers and an S3 that do as a test tells them, where the registry itself is not in question."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from chalicelib.config import Settings
from chalicelib.endpoints.routes import carries_upload
from tests.support.in_thread import in_thread

KEY = b"key of the tests".ljust(32)


def said(status: int, document: Any, **headers: str) -> dict[str, Any]:
    body = json.dumps(document).encode()
    named = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    return {
        "statusCode": status,
        "headers": named,
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


@dataclass
class Recorded:
    """Handlers that keep the events they got, and answer with what came."""

    settings: Settings = field(default_factory=lambda: Settings(token_keys=(KEY,), create_on_push=True))
    uploads_at_once: int = 6
    events: list[Mapping[str, Any]] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    answer: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    streaming: Callable[[Iterable[bytes]], dict[str, Any]] | None = None

    def reset(self) -> None:
        self.events, self.uploads = [], []
        self.answer, self.streaming = None, None

    def handler(self, event: Mapping[str, Any], _seen: object = None) -> dict[str, Any]:
        self.events.append(event)
        return said(200, {"answer": "whole"}) if self.answer is None else self.answer(event)

    manage = handler

    def streamed(
        self, event: Mapping[str, Any], blocks: Iterable[bytes], _seen: object = None
    ) -> dict[str, Any]:
        self.events.append(event)
        if self.streaming is not None:
            return self.streaming(blocks)
        self.uploads.append(b"".join(blocks))
        return said(202, {"answer": len(self.uploads[-1])})

    @staticmethod
    def carries_upload(method: str, path: str) -> bool:
        return carries_upload(method, path)


@dataclass
class Storage:
    """An S3 of one object: honours Range, and can fail in the ways a storage does."""

    content: bytes
    status: int = 200
    short_by: int = 0
    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append((request.command, wanted))
        body, status = self.content, self.status
        extra: dict[str, str] = {"Accept-Ranges": "bytes"}
        if status == 200 and wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            end = int(last) + 1 if last else len(body)
            extra["Content-Range"] = f"bytes {first}-{end - 1}/{len(body)}"
            body, status = body[int(first) : end], 206
        request.send_response(status)
        for name, value in {**extra, "Content-Length": str(len(body)), "x-amz-request-id": "1"}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            self._write(request, body[: len(body) - self.short_by])
        request.close_connection = bool(self.short_by)

    def _write(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        try:
            request.wfile.write(body)
        except OSError:
            self.hung_up.set()


@contextmanager
def served(storage: Storage) -> Iterator[Storage]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            storage.answer(self)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with in_thread(server) as address:
        storage.url = f"http://{address}/bucket/key?X-Amz-Signature=presigned"
        yield storage
