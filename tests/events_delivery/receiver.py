"""A receiver of webhooks as others write one: it checks signatures with a library that is not ours.

What it takes it has written down before it answers, in a file for each path.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from standardwebhooks import Webhook, WebhookVerificationError

REFUSED = "refused"


class Receiver(ThreadingHTTPServer):
    """`secrets` by path."""

    daemon_threads = True

    def __init__(self, port: int, folder: Path, secrets: Mapping[str, str]) -> None:
        self.folder = folder
        self.checks = {path: Webhook(secret) for path, secret in secrets.items()}
        super().__init__(("127.0.0.1", port), _Handler)

    def keep(self, name: str, entry: object) -> None:
        line = json.dumps(entry).encode() + b"\n"
        descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            # Whoever sent it was killed meanwhile.
            self.close_connection = True
            return
        path = self.path.strip("/")
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            event = self.server.checks[path].verify(body, headers)
        except (KeyError, WebhookVerificationError):
            self.server.keep(REFUSED, {"path": path, "body": body.decode(errors="replace")})
            self._answer(401)
            return
        self.server.keep(path, {"id": headers["webhook-id"], "event": event})
        self._answer(204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def receive(port: int, folder: Path, secrets: Mapping[str, str]) -> None:
    """All that the process does, until it is killed."""
    with Receiver(port, folder, secrets) as receiver:
        receiver.serve_forever(poll_interval=0.05)
