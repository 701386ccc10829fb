"""Each condition of each conditional write is needed: without any one of them something here fails.

The list of what was tried is `mutations.py`, with the reasons why some change nothing that anybody sees.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.stateful import run_state_machine_as_test

from chalicelib.registry.stores import VERIFYING
from chalicelib.spec.digest import Digest
from tests.properties import test_collection, test_direct_uploads, test_eviction
from tests.properties.documents import BLOBS
from tests.properties.effort import LONG
from tests.properties.interleaving import Operation
from tests.properties.mutations import MUTATIONS, Mutation
from tests.properties.pairs import every_pair
from tests.properties.registry_in_memory import RegistryInMemory, check_blobs, small_limits
from tests.properties.test_collection import DAY, FOREVER, REPOSITORY, upload
from tests.properties.test_everything import EverythingMachine
from tests.properties.test_uploads import UploadMachine
from tests.properties.whole_registry import WholeRegistry, check_buried, small_everything

EXAMPLES: Final = 3000 if LONG else 100


def _settings(examples: int) -> settings:
    """No example is made simpler: that there is one is enough."""
    return settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def everything(examples: int = EXAMPLES) -> None:
    """Every pair of operations first, which meets most; then any number at random."""
    for _ in every_pair():
        pass
    at_random(examples)


def uploads(examples: int = EXAMPLES) -> None:
    run_state_machine_as_test(UploadMachine, settings=_settings(examples))


def direct(examples: int = EXAMPLES) -> None:
    """Several verifiers, completions and cancellations at once, then each moment of one by itself."""
    with small_everything():
        test_direct_uploads.test_two_completions_at_once_publish_once()
    for size in test_direct_uploads.SIZES[1:]:
        with small_everything():
            test_direct_uploads.test_cancelling_at_any_moment_of_a_verification_leaves_all_or_nothing(
                size, is_amazon=False
            )
    inner = test_direct_uploads.test_session_is_published_once_verified_or_leaves_nothing_to_see
    strategies = inner.hypothesis._given_kwargs
    checked = given(**strategies)(inner.hypothesis.inner_test)
    _settings(examples)(checked)()


def uncounted() -> None:
    """An account of before there was a quota: its usage is what it stores, from the first upload on."""
    with small_limits():
        registry = RegistryInMemory()
        registry.memory.usage.clear()
        upload(registry, BLOBS[0])
        check_blobs(registry.memory)
        assert registry.memory.usage["account"].bytes == len(BLOBS[0])


def expiry() -> None:
    with small_limits():
        test_collection.test_an_upload_that_somebody_writes_to_is_let_be()


def direct_expiry() -> None:
    """A direct upload is published while the collector is about to end its session."""
    with small_everything():
        registry = WholeRegistry()
        content = b"x" * 60
        row = registry.direct.open(REPOSITORY, Digest.of(content), len(content))
        registry.send(row, content)
        registry.direct.complete(row)
        assert registry.direct.find(row.session).state == VERIFYING
        # Else what is published would expire when what was announced does.
        registry.now += 1
        verification = Operation("verify", partial(registry.verifier.verify, row.session))
        while not verification.waiting.startswith("write"):
            verification.step()
        registry.now += DAY + 1
        collection = Operation("collect", partial(registry.collector.run, FOREVER))
        while not collection.waiting.startswith("write(ExpireSession"):
            collection.step()
        verification.finish()
        assert verification.error is None
        collection.finish()
        check_blobs(registry.memory)
        check_buried(registry.memory)


def eviction() -> None:
    """What is kept and not counted gives way, whatever comes and goes beside it."""
    with small_limits():
        test_eviction.races()


def at_random(examples: int = EXAMPLES) -> None:
    run_state_machine_as_test(EverythingMachine, settings=_settings(examples))


MACHINES: Final[dict[str, Callable[[], None]]] = {
    "everything": everything,
    "at random": at_random,
    "uploads": uploads,
    "direct": direct,
    "uncounted": uncounted,
    "expiry": expiry,
    "direct expiry": direct_expiry,
    "eviction": eviction,
}
NEEDED: Final = [one for one in MUTATIONS if not one.because and (LONG or not one.is_open)]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What the collector tells of calls that were made to fail."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("mutation", NEEDED, ids=lambda one: one.name)
def test_without_a_condition_something_breaks(mutation: Mutation) -> None:
    failure: BaseException | None = None
    with mutation.made():
        try:
            for _ in every_pair(states=mutation.states, kinds=mutation.kinds):
                pass
            MACHINES[mutation.machine]()
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:  # noqa: BLE001 - however it breaks
            failure = error
    assert failure is not None, "nothing failed without it"


@pytest.mark.parametrize("machine", ["uncounted", "expiry", "direct expiry"])
def test_directed_parts_hold_with_every_condition(machine: str) -> None:
    MACHINES[machine]()
