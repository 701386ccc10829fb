"""Direct uploads, completed, verified and cancelled by several at once, broken at every store call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.registry.stores import PUBLISHED, REFUSED, VERIFYING, DirectRow
from chalicelib.registry.verification import LEASE_SECONDS, SLOW_SECONDS
from chalicelib.spec import running_digest
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from tests.properties.direct_in_memory import REPOSITORY, DirectInMemory, small_direct_limits
from tests.properties.effort import effort
from tests.properties.interleaving import BROKEN, Fate, Operation, OutageError
from tests.properties.registry_in_memory import check_bytes

AT_ONCE: Final = 3
# One PUT; parts that Amazon S3 copies, and those that it does not.
SIZES: Final = [0, 5, 30, 55]
KINDS: Final = ["complete", "complete", "verify", "verify", "cancel", "verify in little time"]


def content_of(size: int) -> bytes:
    return bytes(range(size))


def check_published(world: DirectInMemory) -> None:
    """Every link leads to the bytes of its digest; who is told of a publication finds the link."""
    for (_, digest), link in (*world.memory.links.items(), *world.memory.blobs.items()):
        check_bytes(world.memory, digest, None, link.storage_key, link.size)
    for session in world.memory.direct.values():
        if session.row.state == PUBLISHED:
            assert (REPOSITORY.name, session.row.digest) in world.memory.links


def act(world: DirectInMemory, kind: str, row: DirectRow) -> Operation:
    def complete() -> Any:
        return world.uploads.complete(world.uploads.find(row.session))

    def cancel() -> None:
        world.uploads.cancel(world.uploads.find(row.session))

    work: dict[str, Callable[[], Any]] = {
        "complete": complete,
        "cancel": cancel,
        "verify": lambda: world.verifier.verify(row.session),
        "verify in little time": lambda: world.verifier.verify(row.session, world.now),
    }
    return Operation(kind, work[kind], {ErrorCode.BLOB_UPLOAD_UNKNOWN, ErrorCode.BLOB_UPLOAD_INVALID})


def settle(world: DirectInMemory, row: DirectRow) -> DirectRow | None:
    """What any session comes to when its client asks again and nothing breaks; None: it was cancelled."""
    world.now += SLOW_SECONDS + 1
    try:
        world.uploads.complete(world.uploads.find(row.session))
        while not world.verifier.verify(row.session):
            pass
        return world.uploads.find(row.session)
    except RegistryError as error:
        if error.code is ErrorCode.BLOB_UPLOAD_UNKNOWN:
            return None
        raise


def named_keys(world: DirectInMemory) -> set[str]:
    return {link.storage_key for link in world.memory.blobs.values()}


def start_operations(world: DirectInMemory, kinds: list[str], row: DirectRow) -> list[Operation]:
    with_completion = act(world, "complete", row)
    return [with_completion, *(act(world, kind, row) for kind in kinds)]


def run_interleaved(
    world: DirectInMemory, operations: list[Operation], turns: list[tuple[int, Fate, int]]
) -> None:
    for which, fate, seconds in turns:
        living = [operation for operation in operations if not operation.is_done]
        if not living:
            return
        world.now += seconds
        living[which % len(living)].step(fate)
        check_published(world)
    for operation in operations:
        operation.finish()
        check_published(world)


fates = st.sampled_from([*[Fate.WELL] * 12, *BROKEN])
turns = st.lists(st.tuples(st.integers(0, AT_ONCE), fates, st.sampled_from([0, 0, 0, 61, 301])), max_size=60)


@effort(300, 6000)
@given(
    is_amazon=st.booleans(),
    size=st.sampled_from(SIZES),
    is_right=st.booleans(),
    is_known=st.booleans(),
    kinds=st.lists(st.sampled_from(KINDS), max_size=AT_ONCE),
    turns=turns,
)
def test_session_is_published_once_verified_or_leaves_nothing_to_see(
    *, is_amazon: bool, size: int, is_right: bool, is_known: bool, kinds: list[str], turns: list[Any]
) -> None:
    with small_direct_limits():
        world = DirectInMemory(is_amazon)
        content = content_of(size)
        digest = Digest.of(content if is_right else b"something else")
        if is_known and is_right:
            first = world.opened(digest, content)
            settle(world, first)
        row = world.opened(digest, content)
        operations = start_operations(world, kinds, row)
        run_interleaved(world, operations, turns)
        for operation in operations:
            if isinstance(operation.error, RegistryError):
                assert operation.error.code in operation.allowed, operation.error
            elif operation.error is not None:
                assert operation.broken or operation.is_dead, operation.error
        ended = settle(world, row)
        check_published(world)
        is_cancelled = any(one.label == "cancel" for one in operations)
        assert ended is not None or is_cancelled
        if ended is not None:
            assert ended.state == (PUBLISHED if is_right else REFUSED)
        if not is_right:
            assert not world.memory.links
        if not any(operation.broken for operation in operations):
            assert set(world.memory.objects) == named_keys(world)
            assert not world.memory.multiparts


@pytest.fixture(autouse=True)
def _limits() -> Iterator[None]:
    with small_direct_limits():
        yield


def how_it_goes_on(calls: int, fate: Fate, size: int, *, is_amazon: bool) -> bool:
    """A verification that breaks at that call. False: it has not as many."""
    world = DirectInMemory(is_amazon)
    row = world.opened(Digest.of(content_of(size)), content_of(size))
    operations = [act(world, "complete", row)]
    while not operations[0].is_done and calls:
        operations[0].step()
        calls -= 1
    if operations[0].is_done:
        operations.append(act(world, "verify", row))
        while not operations[-1].is_done and calls:
            operations[-1].step()
            calls -= 1
    if operations[-1].is_done:
        return False
    operations[-1].step(fate)
    operations[-1].finish()
    check_published(world)
    ended = settle(world, row)
    assert ended is not None
    assert ended.state == PUBLISHED
    check_published(world)
    return True


@pytest.mark.parametrize("is_amazon", [True, False], ids=["amazon", "another engine"])
@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("fate", BROKEN)
def test_completing_again_publishes_wherever_the_first_time_broke(
    fate: Fate, size: int, *, is_amazon: bool
) -> None:
    calls = 0
    while how_it_goes_on(calls, fate, size, is_amazon=is_amazon):
        calls += 1
    assert calls > 8


def test_two_completions_at_once_publish_once() -> None:
    world = DirectInMemory(is_amazon=False)
    content = content_of(5)
    row = world.opened(Digest.of(content), content)
    first, second = act(world, "complete", row), act(world, "complete", row)
    while not (first.is_done and second.is_done):
        for operation in (first, second):
            if not operation.is_done:
                operation.step()
    assert {first.result.state, second.result.state} <= {PUBLISHED, VERIFYING}
    assert world.uploads.find(row.session).state == PUBLISHED
    assert world.memory.blob_links["account", row.digest] == 1
    assert set(world.memory.objects) == named_keys(world)


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("is_amazon", [True, False], ids=["amazon", "another engine"])
def test_cancelling_at_any_moment_of_a_verification_leaves_all_or_nothing(
    size: int, *, is_amazon: bool
) -> None:
    moment, ends = 0, set()
    while True:
        world = DirectInMemory(is_amazon)
        row = world.opened(Digest.of(content_of(size)), content_of(size))
        world.memory.direct[row.session].row = row = DirectRow(
            **{name: getattr(row, name) for name in row.__dataclass_fields__} | {"state": VERIFYING}
        )
        verification = act(world, "verify", row)
        for _ in range(moment):
            if not verification.is_done:
                verification.step()
        if verification.is_done:
            break
        cancel = act(world, "cancel", row).finish()
        verification.finish()
        assert verification.error is None
        ends.add(cancel.error is None)
        assert bool(world.memory.links) == (cancel.error is not None)
        assert set(world.memory.objects) == named_keys(world)
        assert not world.memory.multiparts
        moment += 1
    assert True in ends


def test_verification_goes_on_where_the_one_before_ran_out_of_time() -> None:
    world = DirectInMemory(is_amazon=False)
    content = content_of(55)
    row = world.opened(Digest.of(content), content)
    world.uploads.complete(row)
    assert world.started == [row.session]
    if not running_digest.CARRIES_STATE:
        pytest.skip("this libcrypto does not carry the state of a hash: time never runs out")
    reached = []
    while not world.verifier.verify(row.session, until=world.now):
        reached.append(world.uploads.find(row.session).verified)
    assert reached == sorted(set(reached))
    assert len(reached) > 4
    assert world.uploads.find(row.session).state == PUBLISHED


def test_verification_begins_anew_where_no_state_can_be_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    world = DirectInMemory(is_amazon=False)
    content = content_of(55)
    row = world.opened(Digest.of(content), content)
    world.uploads.complete(row)
    world.verifier.verify(row.session, until=world.now)
    monkeypatch.setattr(running_digest, "resume", lambda _algorithm, _state: None)
    assert world.verifier.verify(row.session)
    assert world.uploads.find(row.session).state == PUBLISHED


def test_looking_revives_a_verification_that_died(monkeypatch: pytest.MonkeyPatch) -> None:
    world = DirectInMemory(is_amazon=False)
    content = content_of(55)
    row = world.opened(Digest.of(content), content)
    world.uploads.complete(row)
    world.started.clear()
    verification = act(world, "verify", row)
    verification.step()
    verification.step(Fate.DIE_BEFORE)
    world.uploads.revive(world.uploads.find(row.session))
    assert world.started == []
    world.now += LEASE_SECONDS + 1
    world.uploads.revive(world.uploads.find(row.session))
    assert world.started == [row.session]


def test_failure_of_the_store_is_raised_and_lets_the_next_verifier_in() -> None:
    world = DirectInMemory(is_amazon=False)
    content = content_of(30)
    row = world.opened(Digest.of(content), content)
    world.uploads.complete(row)
    verification = act(world, "verify", row)
    verification.step()
    verification.step(Fate.FAIL)
    verification.finish()
    assert isinstance(verification.error, OutageError)
    assert world.verifier.verify(row.session)
    assert world.uploads.find(row.session).state == PUBLISHED
