"""What the properties found of upload sessions that break or outlive their lease, kept as plain tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.registry.stores import UploadRow
from chalicelib.registry.uploads import LEASE_SECONDS, Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import RegistryError
from chalicelib.spec.reference import Repository
from tests.properties.interleaving import Fate, Operation
from tests.properties.memory_stores import S3Error
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


@pytest.fixture(params=[False, True], ids=["forgets", "answers again"])
def registry(request: pytest.FixtureRequest) -> Iterator[RegistryInMemory]:
    """On an S3 that forgets a completed multipart upload, or lets it be completed again."""
    with small_limits():
        yield RegistryInMemory(answers_again=request.param)


def append(registry: RegistryInMemory, row: UploadRow, content: bytes) -> Operation:
    chunk = Chunk([content], len(content))
    return Operation("append", lambda: registry.uploads.append(REPOSITORY, row.session, chunk))


def close(registry: RegistryInMemory, row: UploadRow, content: bytes, last: bytes = b"") -> Operation:
    digest, chunk = Digest.of(content), Chunk([last] if last else [], len(last))
    return Operation("close", lambda: registry.uploads.close(REPOSITORY, row.session, digest, chunk))


def come_to(operation: Operation, call: str) -> None:
    while not operation.waiting.startswith(call):
        operation.step()


def nothing_else_is_stored(registry: RegistryInMemory) -> bool:
    memory = registry.memory
    named = {found.row.multipart_id for found in memory.uploads.values()}
    return memory.objects.keys() <= named_keys(memory) and memory.multiparts.keys() <= named


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "multipart"])
def test_bytes_whose_saving_got_no_answer_are_not_deleted(registry: RegistryInMemory, content: bytes) -> None:
    """They were, and closing the session then published a blob without bytes."""
    row = registry.uploads.open(REPOSITORY)
    operation = append(registry, row, content)
    come_to(operation, "save")
    operation.step(Fate.LOSE_ANSWER)
    operation.finish()
    assert registry.uploads.status(REPOSITORY, row.session).offset == len(content)
    assert close(registry, row, content).finish().error is None
    check_blobs(registry.memory)


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "multipart"])
def test_a_failure_to_save_leaves_the_session_as_it_was(registry: RegistryInMemory, content: bytes) -> None:
    row = registry.uploads.open(REPOSITORY)
    operation = append(registry, row, content)
    come_to(operation, "save")
    operation.step(Fate.FAIL)
    operation.finish()
    assert registry.uploads.status(REPOSITORY, row.session) == row
    assert nothing_else_is_stored(registry)
    assert append(registry, row, content).finish().error is None


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "multipart"])
@pytest.mark.parametrize("first", [b"", b"first" * PART_SIZE], ids=["at once", "in two requests"])
def test_a_failure_to_publish_lets_go_of_the_session(
    registry: RegistryInMemory, first: bytes, content: bytes
) -> None:
    """It was held until the lease ran out, and its multipart upload was gone by then."""
    row = registry.uploads.open(REPOSITORY)
    append(registry, row, first).finish()
    operation = close(registry, row, first + content, content)
    come_to(operation, "write")
    operation.step(Fate.FAIL)
    operation.finish()
    assert nothing_else_is_stored(registry)
    if row.session in registry.memory.uploads:
        assert close(registry, row, first + content, content).finish().error is None
    check_blobs(registry.memory)


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "multipart"])
def test_a_blob_whose_publishing_got_no_answer_keeps_its_bytes(
    registry: RegistryInMemory, content: bytes
) -> None:
    row = registry.uploads.open(REPOSITORY)
    operation = close(registry, row, content, content)
    come_to(operation, "write")
    operation.step(Fate.LOSE_ANSWER)
    operation.finish()
    assert registry.blobs.find(REPOSITORY, Digest.of(content))
    check_blobs(registry.memory)


def test_completing_without_an_answer_ends_the_session_and_leaves_nothing(registry: RegistryInMemory) -> None:
    """It stayed open on a multipart upload that was gone, and the object stayed for ever."""
    row = registry.uploads.open(REPOSITORY)
    append(registry, row, LARGE).finish()
    operation = close(registry, row, LARGE)
    come_to(operation, "complete")
    operation.step(Fate.LOSE_ANSWER)
    operation.finish()
    with pytest.raises(RegistryError, match="BLOB_UPLOAD_UNKNOWN"):
        registry.uploads.status(REPOSITORY, row.session)
    assert nothing_else_is_stored(registry)


def test_a_writer_that_lost_its_session_does_not_overwrite_the_published_bytes(
    registry: RegistryInMemory,
) -> None:
    """Both had begun a multipart upload, under one key."""
    row, other = registry.uploads.open(REPOSITORY), b"other" * PART_SIZE
    sleeper = close(registry, row, other, other)
    come_to(sleeper, "complete")
    registry.now += LEASE_SECONDS + 1
    assert close(registry, row, LARGE, LARGE).finish().error is None
    sleeper.finish()
    assert isinstance(sleeper.error, RegistryError)
    check_blobs(registry.memory)
    assert nothing_else_is_stored(registry)


def test_a_session_completed_by_a_process_that_died_ends_when_it_is_closed(
    registry: RegistryInMemory,
) -> None:
    """Amazon S3 lets the next writer complete it again; after others nothing may be left of it."""
    row = registry.uploads.open(REPOSITORY)
    append(registry, row, LARGE).finish()
    operation = close(registry, row, LARGE)
    come_to(operation, "complete")
    operation.step(Fate.DIE_AFTER)
    registry.now += LEASE_SECONDS + 1
    again = close(registry, row, LARGE).finish()
    assert again.error is None or isinstance(again.error, S3Error)
    assert row.session not in registry.memory.uploads
    check_blobs(registry.memory)
    assert nothing_else_is_stored(registry)


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "multipart"])
def test_a_cancelled_session_leaves_nothing_though_it_is_being_closed(
    registry: RegistryInMemory, content: bytes
) -> None:
    row = registry.uploads.open(REPOSITORY)
    append(registry, row, content).finish()
    operation = close(registry, row, content)
    come_to(operation, "write")
    registry.uploads.cancel(REPOSITORY, row.session)
    assert isinstance(operation.finish().error, RegistryError)
    assert not registry.memory.objects
    assert not registry.memory.multiparts
