"""The edge functions in a process of Node.js, and events for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from ccr.edge.application import key_values
from ccr.edge.node import EdgeFunctions
from ccr.engines.process import EngineError
from chalicelib.config import EDGE, FUNCTION
from chalicelib.endpoints.edge import known_to_the_edge
from chalicelib.wiring import Deployment
from tests.edge.events import SETTINGS
from tests.endpoints.driver import PASSWORD
from tests.engines.backends import EMBEDDED, Engines, deployed
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
        deployment.administrators.put(PASSWORD)
        yield deployment


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """The whole front door, with the gateway that it starts."""
    folder = tmp_path_factory.mktemp("full")
    with running_registry(folder, environ={"CCR_EMULATE": "aws"}) as registry:
        yield registry
