"""The machine of `tests/properties/test_everything.py` on moto and on the embedded engines."""

from __future__ import annotations

import pytest

from tests.engines.backends import EMBEDDED, MOTO, Engines, deployed
from tests.properties.everything_on_engines import Backend, on
from tests.properties.test_everything import run

STEPS = 240


@pytest.mark.parametrize("backend", [MOTO, EMBEDDED])
def test_everything_stays_as_it_must_be(engines: Engines, backend: str) -> None:
    with deployed(backend, engines) as beside:
        assert run(on(Backend(beside)), STEPS) >= STEPS
