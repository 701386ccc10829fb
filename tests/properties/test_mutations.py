"""Each condition of each conditional write is needed: without any one of them something here fails.

The list of what was tried is `mutations.py`, with the reasons why some change nothing that anybody sees.
`tests/stores/test_mutations.py` does the same with the conditions of `chalicelib/aws`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.properties.directed import SCENARIOS
from tests.properties.mutations import MUTATIONS, Mutation
from tests.properties.pairs import every_pair

NEEDED: Final = [one for one in MUTATIONS if not one.because]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What the collector tells of calls that were made to fail."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("mutation", NEEDED, ids=lambda one: one.name)
def test_without_a_condition_something_breaks(mutation: Mutation) -> None:
    assert mutation.seen or mutation.states, "it names nothing that must fail"
    failure: BaseException | None = None
    with mutation.made():
        try:
            if mutation.seen is not None:
                mutation.seen()
            else:
                for _ in every_pair(states=mutation.states, kinds=mutation.kinds):
                    pass
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:  # noqa: BLE001 - however it breaks
            failure = error
    assert failure is not None, "nothing failed without it"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
def test_scenario_holds_with_every_condition(scenario: Callable[[], None]) -> None:
    scenario()
