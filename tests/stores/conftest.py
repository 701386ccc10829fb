"""One suite for every backend: `deployment` is each of them in turn, `on_engines` those that are real."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.engines.backends import BACKENDS, EMBEDDED, ENGINES, MOTO, Engines, deployed
from tests.stores.rows import a_repository


@pytest.fixture(scope="module", params=BACKENDS)
def deployment(request: pytest.FixtureRequest, engines: Engines) -> Iterator[Deployment]:
    with deployed(request.param, engines) as deployment:
        yield deployment


@pytest.fixture(scope="module", params=ENGINES)
def on_engines(request: pytest.FixtureRequest, engines: Engines) -> Iterator[Deployment]:
    """Where threads race within a call too: moto takes one at a time here."""
    with deployed(request.param, engines) as deployment:
        yield deployment


@pytest.fixture(scope="module", params=[MOTO, EMBEDDED], ids=[MOTO, "weed"])
def on_s3(request: pytest.FixtureRequest, engines: Engines) -> Iterator[Deployment]:
    with deployed(request.param, engines) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def on_weed(engines: Engines) -> Iterator[Deployment]:
    """Where signatures and checksums are checked: moto does neither."""
    with deployed(EMBEDDED, engines) as deployment:
        yield deployment


@pytest.fixture
def repository() -> Repository:
    return a_repository()
