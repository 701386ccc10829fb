"""A port before another one, which counts the bytes that clients send to it."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.in_thread import in_thread

_BLOCK = 65536


@dataclass
class Relay:
    """`received` is all that clients have sent: heads of requests as well as bodies."""

    url: str = ""
    received: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def relay_before(host: str, port: int) -> Iterator[Relay]:
    """Until left."""
    relay = Relay()

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((host, port)) as target:
                answers = threading.Thread(target=copy, args=(target, self.request), daemon=True)
                answers.start()
                for size in copied(self.request, target):
                    with relay.lock:
                        relay.received += size
                answers.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with in_thread(Server(("127.0.0.1", 0), Connection)) as address:
        relay.url = f"http://{address}"
        yield relay


def copy(source: socket.socket, target: socket.socket) -> None:
    for _ in copied(source, target):
        pass


def copied(source: socket.socket, target: socket.socket) -> Iterator[int]:
    """The size of each block that went; at the end, or when either is gone, the other learns of it."""
    try:
        while block := source.recv(_BLOCK):
            target.sendall(block)
            yield len(block)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for one in (source, target):
            one.close()
