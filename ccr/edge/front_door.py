"""Puts the edge before a local deployment, with the keys that it would find in its key value store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ccr.edge.application import Edge, key_values
from ccr.edge.node import EdgeFunctions
from ccr.edge.origins import HttpOrigin, StorageOrigin
from chalicelib.aws.clients import session
from chalicelib.config import Settings
from chalicelib.gateway.application import create_application
from chalicelib.identity.capability import derive_key
from chalicelib.wiring import Deployment


@contextmanager
def front_door(deployment: Deployment, gateway_url: str = "") -> Iterator[Edge]:
    """`gateway_url` is where /u/* goes; '' leaves it to the function. Raises EngineError."""
    settings = deployment.settings
    functions = EdgeFunctions.start(key_values(known_to_the_edge(settings, has_gateway=bool(gateway_url))))
    try:
        yield Edge(
            functions,
            create_application(deployment),
            storage_origin(settings),
            deployment.adopt,
            HttpOrigin(gateway_url.rstrip("/")) if gateway_url else None,
        )
    finally:
        functions.stop()


def known_to_the_edge(settings: Settings, *, has_gateway: bool) -> dict[str, Any]:
    """The keys are those of capabilities alone: what signs tokens stays with the registry."""
    return {
        "keys": [derive_key(key, "capability").hex() for key in settings.token_keys],
        "service": settings.service,
        "secret": settings.origin_secrets[0] if settings.origin_secrets else "",
        "url": settings.public_url,
        "gateway": has_gateway,
    }


def storage_origin(settings: Settings) -> StorageOrigin:
    own = session(settings)
    endpoint = settings.s3_endpoint or f"https://s3.{settings.region}.amazonaws.com"
    return StorageOrigin(endpoint, settings.bucket, settings.region, own.get_credentials)
