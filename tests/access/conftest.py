"""moto for the whole folder, and an empty deployment on it for each test that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.access import ground
from tests.access.estate import Estate, build
from tests.access.ground import Ground


@pytest.fixture(scope="package")
def backend() -> Iterator[None]:
    with ground.aws():
        yield


@pytest.fixture
def bare(backend: None) -> Ground:
    """Nothing in it, not even an account."""
    ground.clear()
    return ground.lay()


@pytest.fixture
def estate(bare: Ground) -> Estate:
    return build(bare)
