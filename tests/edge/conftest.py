"""The edge functions in a process of Node.js, and events for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from ccr.edge.application import key_values
from ccr.edge.front_door import known_to_the_edge
from ccr.edge.node import EdgeFunctions
from ccr.engines.ministack import start_ministack
from ccr.engines.process import EngineError
from ccr.engines.seaweedfs import start_seaweedfs
from chalicelib.config import EDGE, FUNCTION
from chalicelib.wiring import Deployment
from tests.edge.events import KEY, SETTINGS
from tests.endpoints.driver import PASSWORD
from tests.engines.backends import ACCESS_KEY, EMBEDDED, SECRET_KEY, Engines, deployed
from tests.support.process import RegistryProcess, running_registry


@pytest.fixture(scope="session")
def functions() -> Iterator[EdgeFunctions]:
    """Of a deployment without a gateway."""
    yield from _started(has_gateway=False)


@pytest.fixture(scope="session")
def functions_with_gateway() -> Iterator[EdgeFunctions]:
    yield from _started(has_gateway=True)


def _started(*, has_gateway: bool) -> Iterator[EdgeFunctions]:
    try:
        functions = EdgeFunctions.start(key_values(known_to_the_edge(SETTINGS, has_gateway=has_gateway)))
    except EngineError as error:
        pytest.skip(str(error))
    yield functions
    functions.stop()


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """With an edge before it, on an S3 that checks what it is told of checksums: moto does not."""
    with ExitStack() as stack:
        engines = Engines(tmp_path_factory.mktemp("engines"), stack)
        plain = stack.enter_context(deployed(EMBEDDED, engines))
        deployment = Deployment(replace(plain.settings, uploads=frozenset({FUNCTION, EDGE})))
        deployment.set_admin(PASSWORD)
        yield deployment


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """The front door with a gateway behind it: a process of its own, with the same engines and key."""
    folder = tmp_path_factory.mktemp("full")
    with ExitStack() as stack:
        running = (start_seaweedfs(folder, ACCESS_KEY, SECRET_KEY), start_ministack(folder, ACCESS_KEY))
        for engine in running:
            stack.callback(engine.stop)
        shared = {
            "CCR_S3_ENDPOINT": running[0].endpoint,
            "CCR_DYNAMODB_ENDPOINT": running[1].endpoint,
            "CCR_TOKEN_KEY": KEY.hex(),
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }
        gateway = stack.enter_context(running_registry(folder / "gateway", environ=shared))
        edge = {**shared, "CCR_EMULATE": "aws", "CCR_GATEWAY_URL": gateway.url}
        yield stack.enter_context(running_registry(folder / "edge", environ=edge))
