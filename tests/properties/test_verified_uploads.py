"""An upload that a gateway verifies and the registry publishes, broken at every call that either makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from chalicelib.registry.stores import UploadRow
from chalicelib.registry.uploads import LEASE_SECONDS, Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository
from tests.properties.interleaving import BROKEN, Fate, Operation
from tests.properties.registry_in_memory import (
    PART_SIZE,
    RegistryInMemory,
    check_blobs,
    named_keys,
    small_limits,
)

REPOSITORY = Repository("account", "registry/app")
SMALL = b"small"
LARGE = b"large" * PART_SIZE
FORMS = pytest.mark.parametrize(
    ("first", "last"),
    [(b"", SMALL), (SMALL, b""), (SMALL, SMALL), (b"", LARGE), (LARGE, b""), (LARGE, SMALL)],
    ids=["small at once", "small before", "small twice", "large at once", "large before", "large and small"],
)
# More than either operation makes.
CALLS = range(25)


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with small_limits():
        yield


def opened(registry: RegistryInMemory, first: bytes) -> UploadRow:
    row = registry.uploads.open(REPOSITORY)
    if first:
        registry.uploads.append(REPOSITORY, row.session, Chunk([first], len(first)))
    return row


def verify(registry: RegistryInMemory, row: UploadRow, digest: Digest, last: bytes) -> Operation:
    chunk = Chunk([last] if last else [], len(last))
    return Operation("verify", lambda: registry.uploads.verify(REPOSITORY, row.session, digest, chunk))


def publish(registry: RegistryInMemory, row: UploadRow, digest: Digest) -> Operation:
    return Operation("publish", lambda: registry.uploads.close(REPOSITORY, row.session, digest, Chunk([], 0)))


def broken_at(operation: Operation, call: int, fate: Fate) -> bool:
    """Whether it had as many calls; it has ended."""
    for _ in range(call):
        if operation.is_done:
            return False
        operation.step()
    if operation.is_done:
        return False
    operation.step(fate)
    operation.finish()
    return True


def is_published(registry: RegistryInMemory, digest: Digest) -> bool:
    try:
        registry.blobs.find(REPOSITORY, digest)
    except RegistryError:
        return False
    return True


def leftover(registry: RegistryInMemory) -> set[str]:
    return registry.memory.objects.keys() - named_keys(registry.memory)


@FORMS
def test_what_is_verified_is_published_without_a_byte_more(first: bytes, last: bytes) -> None:
    registry = RegistryInMemory()
    row, digest = opened(registry, first), Digest.of(first + last)
    assert verify(registry, row, digest, last).finish().error is None
    assert not is_published(registry, digest)
    assert verify(registry, row, digest, last).finish().error is None
    assert publish(registry, row, digest).finish().error is None
    assert is_published(registry, digest)
    assert row.session not in registry.memory.uploads
    assert not leftover(registry)
    check_blobs(registry.memory)


@FORMS
@pytest.mark.parametrize("fate", BROKEN)
@pytest.mark.parametrize("step", [verify, publish])
def test_whatever_breaks_a_second_try_publishes_or_is_told_to_start_again(
    first: bytes, last: bytes, fate: Fate, step: Callable[..., Operation]
) -> None:
    for call in CALLS:
        registry = RegistryInMemory()
        row, digest = opened(registry, first), Digest.of(first + last)
        if step is publish:
            verify(registry, row, digest, last).finish()
        operation = publish(registry, row, digest) if step is publish else verify(registry, row, digest, last)
        if not broken_at(operation, call, fate):
            return
        registry.now += LEASE_SECONDS + 1
        again = verify(registry, row, digest, last).finish()
        publish(registry, row, digest).finish()
        if not is_published(registry, digest):
            assert again.error is not None
            assert row.session not in registry.memory.uploads
        elif fate is Fate.FAIL or (fate is Fate.LOSE_ANSWER and not operation.broken[0].startswith("save")):
            assert operation.broken[0].startswith("delete") or not leftover(registry), operation.broken
        check_blobs(registry.memory)
    pytest.fail("it has more calls than are tried")


@FORMS
def test_a_wrong_digest_is_found_by_the_gateway_and_ends_the_session(first: bytes, last: bytes) -> None:
    registry = RegistryInMemory()
    row = opened(registry, first)
    error = verify(registry, row, Digest.of(b"other"), last).finish().error
    assert isinstance(error, RegistryError)
    assert error.code is ErrorCode.DIGEST_INVALID
    assert row.session not in registry.memory.uploads
    assert not registry.memory.objects


@pytest.mark.parametrize("call", ["append", "publish as another", "verify as another"])
def test_what_is_verified_takes_no_bytes_and_no_other_digest(call: str) -> None:
    registry = RegistryInMemory()
    row, digest, other = opened(registry, LARGE), Digest.of(LARGE), Digest.of(b"other")
    verify(registry, row, digest, b"").finish()
    operations = {
        "append": Operation(
            "append", lambda: registry.uploads.append(REPOSITORY, row.session, Chunk([b"more"], 4))
        ),
        "publish as another": publish(registry, row, other),
        "verify as another": verify(registry, row, other, b""),
    }
    assert isinstance(operations[call].finish().error, RegistryError)
    for left in operations.values():
        left.finish()
    assert publish(registry, row, digest).finish().error is None
    check_blobs(registry.memory)


def test_a_cancelled_upload_leaves_nothing_of_what_was_verified() -> None:
    registry = RegistryInMemory()
    for content in (SMALL, LARGE):
        row = opened(registry, b"")
        verify(registry, row, Digest.of(content), content).finish()
        registry.uploads.cancel(REPOSITORY, row.session)
    assert not registry.memory.objects


def test_two_gateways_that_close_at_once_verify_once() -> None:
    registry = RegistryInMemory()
    row, digest = opened(registry, LARGE), Digest.of(LARGE)
    one = verify(registry, row, digest, b"")
    one.step()
    other = verify(registry, row, digest, b"").finish()
    assert isinstance(other.error, RegistryError)
    assert other.error.status == 409
    assert one.finish().error is None
    assert publish(registry, row, digest).finish().error is None
    assert not leftover(registry)
