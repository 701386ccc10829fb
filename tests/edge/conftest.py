"""The edge functions in a process of Node.js, and events for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ccr.edge.application import key_values
from ccr.edge.front_door import known_to_the_edge
from ccr.edge.node import EdgeFunctions
from ccr.engines.process import EngineError
from tests.edge.events import SETTINGS


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
