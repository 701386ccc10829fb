"""A deployment on moto whose clock is set, and a receiver in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from moto import mock_aws

from chalicelib.config import Settings
from chalicelib.events.stores import Webhook
from chalicelib.events.webhook_desk import Change
from chalicelib.wiring import Deployment
from tests.access.ground import Clock, clear
from tests.endpoints.driver import PASSWORD, Driver

SETTINGS = Settings(
    token_keys=(b"key of the tests".ljust(32),),
    create_on_push=True,
    show_backend_calls=True,
    head_carries_body=False,
    webhook_http=True,
    webhook_inside=frozenset({"loopback"}),
)
ACCOUNT = SETTINGS.account


@dataclass
class Inbox:
    """What a receiver got, and what it answers to the next ones."""

    url: str = ""
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        self.got.append((path, headers, body))
        return self.answers.pop(0) if self.answers else (204, {})


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    found = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more = found.take(self.path, headers, body)
            self.send_response(status)
            for name, value in {"Content-Length": "0", **more}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield found
        server.shutdown()


@pytest.fixture(scope="package")
def _aws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        Deployment(SETTINGS).prepare()
        yield


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def deploy(_aws: None, clock: Clock) -> Callable[..., Deployment]:
    clear()

    def made(**changes: Any) -> Deployment:
        deployment = Deployment(replace(SETTINGS, **changes), clock)
        deployment.prepare()
        deployment.administrators.put(PASSWORD)
        return deployment

    return made


@pytest.fixture
def deployment(deploy: Callable[..., Deployment]) -> Deployment:
    return deploy()


@pytest.fixture
def driver(deployment: Deployment) -> Driver:
    driver = Driver(deployment)
    driver.log_in()
    return driver


def hooked(deployment: Deployment, url: str, name: str = "hook", **more: Any) -> tuple[Webhook, str]:
    """A webhook and its secret."""
    return deployment.webhook_desk.create(ACCOUNT, name, Change(url=url, **more), "somebody")
