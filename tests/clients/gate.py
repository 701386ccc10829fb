"""A relay that holds a push in its middle until it is told to let it go on."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.in_thread import in_thread

BLOCK = 64 * 1024


@dataclass
class Gate:
    """Lets `limit` bytes pass to the registry, from all connections together, then nothing until it opens."""

    limit: int
    host: str = ""
    passed: int = 0
    is_reached: threading.Event = field(default_factory=threading.Event)
    is_open: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, size: int) -> None:
        with self._lock:
            self.passed += size
            beyond = self.passed > self.limit
        if beyond:
            self.is_reached.set()
            self.is_open.wait()


@contextmanager
def gate_before(host: str, limit: int) -> Iterator[Gate]:
    """`host` is the registry's address and port."""
    gate = Gate(limit)
    name, _, port = host.partition(":")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((name, int(port))) as registry:
                back = threading.Thread(target=_relay, args=(registry, self.request, None))
                back.start()
                _relay(self.request, registry, gate)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with in_thread(Server(("127.0.0.1", 0), Handler)) as gate.host:
        try:
            yield gate
        finally:
            gate.is_open.set()


def _relay(source: socket.socket, target: socket.socket, gate: Gate | None) -> None:
    """Until one side ends; the other is told."""
    with contextlib.suppress(OSError):
        while block := source.recv(BLOCK):
            if gate is not None:
                gate.count(len(block))
            target.sendall(block)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
