"""How the gateway is served: uvicorn, with the protocol of ours."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn

from chalicelib.gateway.protocol import GatewayProtocol

KEEP_ALIVE_SECONDS: Final = 75
DRAIN_SECONDS: Final = 10
CONNECTIONS: Final = 1000
# For S3, DynamoDB, and what else the process has open.
OTHER_FILES: Final = 128


def server_config(
    application: Any, connections: int = CONNECTIONS, drain_seconds: int = DRAIN_SECONDS
) -> uvicorn.Config:
    """No access log: the path of an upload is a capability."""
    return uvicorn.Config(
        application,
        http=GatewayProtocol,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        limit_concurrency=_affordable(connections),
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=drain_seconds,
    )


@contextmanager
def served(listener: socket.socket, config: uvicorn.Config) -> Iterator[None]:
    """In a thread, from when it answers until left."""
    server = uvicorn.Server(config)
    with listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()


def _affordable(connections: int) -> int:
    """A connection beyond what the system lets a process open could not even be refused."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return connections
    return max(1, min(connections, files - OTHER_FILES))
