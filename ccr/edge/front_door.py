"""Puts the edge before a local deployment, with the keys that it would find in its key value store.

And the upload gateway behind it, as a process of its own that publishes through the function URL.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ccr.edge.application import Edge, key_values
from ccr.edge.node import EdgeFunctions
from ccr.edge.origins import HttpOrigin, StorageOrigin
from ccr.engines.process import Engine, free_ports, is_listening, start
from ccr.gateway import capability_setting
from chalicelib.aws.clients import session
from chalicelib.config import GATEWAY, Settings
from chalicelib.endpoints.edge import known_to_the_edge
from chalicelib.gateway.application import Watch, create_application
from chalicelib.gateway.server import served, server_config
from chalicelib.wiring import Deployment


@contextmanager
def front_door(
    deployment: Deployment, gateway_url: str, folder: Path, watch: Watch | None = None
) -> Iterator[Edge]:
    """`gateway_url` is where /u/* goes; '' starts a gateway where the deployment wants one.

    Logs are in `folder`. Raises EngineError.
    """
    settings = deployment.settings
    with ExitStack() as stack:
        if GATEWAY in settings.uploads and not gateway_url:
            registry = stack.enter_context(function_url(deployment, watch))
            gateway_url = stack.enter_context(own_gateway(settings, registry, folder)).endpoint
        known = known_to_the_edge(settings, has_gateway=bool(gateway_url))
        functions = EdgeFunctions.start(key_values(known))
        stack.callback(functions.stop)
        yield Edge(
            functions,
            create_application(deployment, watch),
            storage_origin(settings),
            deployment.adopt,
            HttpOrigin(gateway_url.rstrip("/")) if gateway_url else None,
        )


@contextmanager
def function_url(deployment: Deployment, watch: Watch | None = None) -> Iterator[str]:
    """The registry function on a port of its own; who does not know the edge's secret is refused there."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    with served(listener, server_config(create_application(deployment, watch))):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def own_gateway(settings: Settings, registry_url: str, folder: Path) -> Iterator[Engine]:
    """As its container is run: its own key, its own keys of AWS, and where the registry is."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "ccr.gateway", "127.0.0.1", str(port)]
    endpoint = f"http://127.0.0.1:{port}"
    environ = gateway_environment(settings, registry_url)
    engine = start(
        "gateway", command, endpoint=endpoint, folder=folder, environ=environ, cwd=Path(__file__).parents[2]
    )
    try:
        engine.wait_until(lambda: is_listening(port))
        yield engine
    finally:
        engine.stop()


def gateway_environment(settings: Settings, registry_url: str) -> Mapping[str, str]:
    passed_on = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return {
        **passed_on,
        "AWS_REGION": settings.region,
        "CCR_CAPABILITY_KEY": capability_setting(settings),
        "CCR_REGISTRY_URL": registry_url,
        "CCR_ORIGIN_SECRET": ",".join(settings.origin_secrets),
        "CCR_S3_ENDPOINT": settings.s3_endpoint,
        "CCR_DYNAMODB_ENDPOINT": settings.dynamodb_endpoint,
        "CCR_BUCKET": settings.bucket,
        "CCR_TABLE_PREFIX": settings.table_prefix,
    }


def storage_origin(settings: Settings) -> StorageOrigin:
    own = session(settings)
    endpoint = settings.s3_endpoint or f"https://s3.{settings.region}.amazonaws.com"
    return StorageOrigin(endpoint, settings.bucket, settings.region, own.get_credentials)
