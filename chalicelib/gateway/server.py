"""How the gateway is served: uvicorn, with the protocol of ours."""

from __future__ import annotations

from typing import Any, Final

import uvicorn

from chalicelib.gateway.protocol import GatewayProtocol

KEEP_ALIVE_SECONDS: Final = 75
DRAIN_SECONDS: Final = 10


def server_config(application: Any, drain_seconds: int = DRAIN_SECONDS) -> uvicorn.Config:
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
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=drain_seconds,
    )
