"""The gateway on a real socket, in a thread, in front of handlers that a test can see into."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
import uvicorn

from chalicelib.gateway.application import Handlers, Watch, create_application
from chalicelib.gateway.server import server_config
from tests.gateway.doubles import Recorded
from tests.gateway.wire import Wire


@dataclass
class Served:
    """A running server."""

    port: int
    server: uvicorn.Server
    thread: threading.Thread

    def connect(self) -> Wire:
        return Wire(self.port)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()


Serve = Callable[..., Served]


@contextmanager
def serving(handlers: Handlers, watch: Watch | None = None, **limits: int) -> Iterator[Served]:
    server = uvicorn.Server(server_config(create_application(handlers, watch), **limits))
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        served = Served(listener.getsockname()[1], server, thread)
        try:
            yield served
        finally:
            served.stop()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers of a test's own."""
    with ExitStack() as stack:
        yield lambda handlers, **limits: stack.enter_context(serving(handlers, **limits))


@pytest.fixture(scope="package")
def _shared() -> Iterator[tuple[Recorded, Served]]:
    """A server takes a quarter of a second to stop."""
    handlers = Recorded()
    with serving(handlers) as served:
        yield handlers, served


@pytest.fixture
def recorded(_shared: tuple[Recorded, Served]) -> Recorded:
    _shared[0].reset()
    return _shared[0]


@pytest.fixture
def served(_shared: tuple[Recorded, Served], recorded: Recorded) -> Served:
    return _shared[1]


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """For what happens on the other side of a socket."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    return wait
