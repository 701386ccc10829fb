"""A deployment on real engines, and a driver that speaks to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.wiring import Deployment
from tests.endpoints.driver import PASSWORD, Driver
from tests.engines.backends import ENGINES, Engines, deployed


@pytest.fixture(scope="module", params=ENGINES)
def deployment(request: pytest.FixtureRequest, engines: Engines) -> Iterator[Deployment]:
    with deployed(request.param, engines) as deployment:
        deployment.administrators.put(PASSWORD)
        yield deployment


@pytest.fixture
def driver(deployment: Deployment, request: pytest.FixtureRequest) -> Driver:
    """In a repository of its own, which nothing was pushed to."""
    name = "".join(letter for letter in request.node.originalname if letter.isalpha())
    driver = Driver(deployment, f"test/{name[:100]}")
    driver.log_in()
    return driver
