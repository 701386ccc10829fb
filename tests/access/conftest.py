"""moto for the whole folder, and an estate on it as if it were built for each test that asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.access import ground
from tests.access.estate import Estate, build
from tests.access.remembered_reads import Snapshot


@pytest.fixture(scope="package")
def backend() -> Iterator[None]:
    with ground.aws():
        yield


@pytest.fixture(scope="package")
def built(backend: None) -> tuple[Estate, Snapshot]:
    """Once: it takes seconds, through the API on moto."""
    ground.clear()
    estate = build(ground.lay())
    return estate, Snapshot(ground.tables())


@pytest.fixture
def estate(built: tuple[Estate, Snapshot]) -> Estate:
    """As it was built, and its deployment as if it had just started."""
    before, snapshot = built
    snapshot.restore()
    before.ground.begin_anew()
    return replace(before, secrets=dict(before.secrets), images=dict(before.images))
