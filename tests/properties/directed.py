"""Scenarios of two or three operations, step by step: each is what one condition of a write is there for.

What comes between is another's, and often undone again: what was read is there once more, and is another.
Each holds with every condition; without the one that `mutations.py` names it for, it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import pytest

from chalicelib.registry.changes import AuditAccount
from chalicelib.registry.collection import URL_SECONDS
from chalicelib.registry.manifests import Push
from chalicelib.registry.stores import PUBLISHED, VERIFYING, DirectRow, Usage
from chalicelib.registry.uploads import LEASE_SECONDS, Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from tests.properties import test_eviction
from tests.properties.documents import (
    BIG,
    BIG_OTHER,
    BLOBS,
    INDEX,
    MIDDLE,
    NESTED,
    OTHER,
    SMALL,
    SPILLED,
    WIDE,
    Document,
)
from tests.properties.interleaving import Fate, Operation
from tests.properties.registry_in_memory import GRACE, PART_SIZE, named_keys, small_limits
from tests.properties.test_collection import DAY, FOREVER, REPOSITORY, upload
from tests.properties.test_collection import OTHER as ELSEWHERE
from tests.properties.test_lifecycle import REPOSITORY as LIFECYCLE_REPOSITORY
from tests.properties.test_lifecycle import Action, Meddling, World, pull, push, wait
from tests.properties.whole_registry import WholeRegistry, check_everything, facts, small_everything

ONE: Final = Digest.of(BLOBS[0])
# Of the contents above, more than one part each.
FIRST_PART: Final = b"a" * PART_SIZE
SECOND_PART: Final = b"b" * PART_SIZE
WHOLE: Final = Digest.of(FIRST_PART + SECOND_PART)
LARGE: Final = b"x" * 60


@dataclass
class Stage:
    registry: WholeRegistry = field(default_factory=WholeRegistry)
    operations: list[Operation] = field(default_factory=list)

    def stopped(self, call: str, work: Callable[[], Any], after: int = 0) -> Operation:
        """`work` on its way, before a call that begins like this; `after` so many of those."""
        operation = Operation(call, work)
        self.operations.append(operation)
        self.go_on(operation, call, after)
        return operation

    def go_on(self, operation: Operation, call: str, after: int = 0) -> None:
        while not operation.waiting.startswith(call) or after:
            assert not operation.is_done, f"it never comes to {call}: {operation.error!r}"
            after -= operation.waiting.startswith(call)
            operation.step()

    def finish(self, operation: Operation, refusal: ErrorCode | None = None) -> None:
        operation.finish()
        code = operation.error.code if isinstance(operation.error, RegistryError) else None
        assert operation.error is None or code is not None, operation.error
        assert code == refusal, operation.error
        check_everything(self.registry.memory)

    # What may run on a thread of its own, or here and now.

    def push(self, document: Document, *tags: str) -> Callable[[], None]:
        made = Push(REPOSITORY, document.manifest, document.digest, tags)
        return partial(self.registry.manifests.put, made)

    def delete(self, document: Document) -> Callable[[], None]:
        return partial(self.registry.manifests.delete, REPOSITORY, document.digest)

    def purge(self, document: Document) -> Callable[[], Any]:
        return partial(self.registry.undo.purge, REPOSITORY, document.digest)

    def append(self, session: str, *blocks: bytes) -> Callable[[], Any]:
        return partial(self.registry.uploads.append, REPOSITORY, session, Chunk(list(blocks)))

    def close(self, session: str, digest: Digest, *blocks: bytes) -> Callable[[], Any]:
        return partial(self.registry.uploads.close, REPOSITORY, session, digest, Chunk(list(blocks)))

    def collect(self) -> None:
        assert not self.registry.collector.run(FOREVER).failures

    def collecting(self, call: str) -> Operation:
        return self.stopped(call, partial(self.registry.collector.run, FOREVER))

    def verify(self, session: str) -> Callable[[], bool]:
        return partial(self.registry.verifier.verify, session)

    # What is there to begin with.

    def uploaded(self) -> None:
        for content in BLOBS:
            upload(self.registry, content)

    def opened(self) -> str:
        """An upload of which the first part is in S3."""
        session = self.registry.uploads.open(REPOSITORY).session
        self.append(session, FIRST_PART)()
        return session

    def completed(self) -> DirectRow:
        """A direct upload in parts, of which the client has sent all, that nobody has verified yet."""
        direct = self.registry.direct
        row = direct.open(REPOSITORY, Digest.of(LARGE), len(LARGE))
        self.registry.send(row, LARGE)
        assert direct.complete(row).state == VERIFYING
        return direct.find(row.session)

    def pass_time(self, seconds: int) -> None:
        self.registry.now += seconds

    @contextmanager
    def clock_set_back(self, second: float) -> Iterator[None]:
        """As that of another process may be: what it marks has a mark that was there before."""
        now, self.registry.now = self.registry.now, second
        yield
        self.registry.now = now


@contextmanager
def stage() -> Iterator[Stage]:
    with small_everything():
        made = Stage()
        try:
            yield made
            check_everything(made.registry.memory)
            left = made.registry.memory.objects.keys() - named_keys(made.registry.memory)
            assert not left, f"nothing names {left}"
        finally:
            for operation in made.operations:
                if not operation.is_done:
                    operation.step(Fate.DIE_BEFORE)


# Manifests and tags.


def two_push_one_manifest_in_steps() -> None:
    with stage() as here:
        here.uploaded()
        first = here.stopped("write(MoveManifest", here.push(BIG))
        second = here.stopped("write(MoveManifest", here.push(BIG), after=1)
        here.finish(first)
        here.finish(second)


def a_push_in_steps_ends_while_what_another_pushed_is_deleted() -> None:
    with stage() as here:
        here.uploaded()
        first = here.stopped("write(MoveManifest", here.push(BIG, "t0"), after=2)
        here.push(BIG)()
        deletion = here.stopped("write(MoveManifest", here.delete(BIG), after=1)
        here.finish(first)
        here.finish(deletion)


def it_is_pushed_again_while_the_last_of_it_is_removed() -> None:
    with stage() as here:
        here.uploaded()
        here.push(BIG_OTHER)()
        deletion = here.stopped("write(RemoveManifest", here.delete(BIG_OTHER))
        push = here.stopped("write(MoveManifest", here.push(BIG_OTHER))
        here.finish(deletion)
        here.finish(push)


def it_is_deleted_again_while_the_last_of_it_is_removed() -> None:
    with stage() as here:
        here.uploaded()
        here.push(BIG)()
        first = here.stopped("write(RemoveManifest", here.delete(BIG))
        here.push(BIG)()
        second = here.stopped("write(MoveManifest", here.delete(BIG), after=1)
        here.finish(first)
        here.finish(second)


def a_tag_comes_while_its_manifest_is_deleted(
    document: Document = SMALL, write: str = "write(RemoveManifest"
) -> None:
    with stage() as here:
        here.uploaded()
        here.push(document, "t0")()
        deletion = here.stopped(write, here.delete(document))
        here.push(document, "t1")()
        here.finish(deletion)
        assert not here.registry.memory.tags


def a_tag_comes_while_its_manifest_is_deleted_in_steps() -> None:
    a_tag_comes_while_its_manifest_is_deleted(BIG, "write(MoveManifest")


def an_index_comes_while_its_child_is_deleted(
    document: Document = SMALL, write: str = "write(RemoveManifest"
) -> None:
    with stage() as here:
        here.uploaded()
        for one in (SMALL, OTHER, BIG, BIG_OTHER, SPILLED):
            here.push(one)()
        if document is not SMALL:
            for one in (INDEX, NESTED):
                here.push(one)()
        deletion = here.stopped(write, here.delete(document))
        here.push(INDEX if document is SMALL else WIDE)()
        here.finish(deletion, ErrorCode.DENIED)


def an_index_comes_while_its_child_is_deleted_in_steps() -> None:
    an_index_comes_while_its_child_is_deleted(BIG, "write(MoveManifest")


def a_manifest_leaves_in_steps_while_it_is_tagged() -> None:
    with stage() as here:
        here.uploaded()
        here.push(BIG, "t0")()
        tagging = here.stopped("write(PutTag", here.push(BIG, "t1"))
        deletion = here.stopped("write(MoveManifest", here.delete(BIG), after=1)
        here.finish(tagging)
        here.finish(deletion)


def a_tag_is_made_twice_at_once() -> None:
    with stage() as here:
        here.uploaded()
        first = here.stopped("write(PutManifest", here.push(SMALL, "t0"))
        here.push(OTHER, "t0")()
        here.finish(first)


def a_tag_moves_twice_at_once() -> None:
    """One of before its moves had a time."""
    with stage() as here:
        here.uploaded()
        here.push(SMALL, "t0")()
        tags, key = here.registry.memory.tags, (REPOSITORY.name, "t0")
        tags[key] = replace(tags[key], moved=0)
        first = here.stopped("write(PutManifest", here.push(OTHER, "t0"))
        here.push(BIG, "t0")()
        here.finish(first)


def a_tag_moves_away_and_back_while_it_moves() -> None:
    """Else its history would end at what came between."""
    with stage() as here:
        here.uploaded()
        here.push(SMALL, "t0")()
        move = here.stopped("write(PutManifest", here.push(SPILLED, "t0"))
        for document in (OTHER, SMALL):
            here.pass_time(1)
            here.push(document, "t0")()
        here.finish(move)


def a_tag_moves_away_and_back_while_it_is_deleted() -> None:
    for call in ("write(RemoveTag", "write(RemoveManifest"):
        with stage() as here:
            here.uploaded()
            here.push(SMALL, "t0")()
            untag = partial(here.registry.manifests.untag, REPOSITORY, "t0")
            work = untag if call == "write(RemoveTag" else here.delete(SMALL)
            deletion = here.stopped(call, work)
            for document in (OTHER, SMALL):
                here.pass_time(1)
                here.push(document, "t0")()
            here.finish(deletion)


# Marks. The clocks of two processes differ: a mark that was seen may be made again.


def the_last_manifest_goes_while_the_mark_of_its_blob_is_settled() -> None:
    with stage() as here:
        here.uploaded()
        here.push(SMALL)()
        here.push(OTHER)()
        then = here.registry.now
        here.delete(OTHER)()
        here.pass_time(GRACE)
        collection = here.collecting("write(SettleLink")
        with here.clock_set_back(then):
            here.delete(SMALL)()
        here.finish(collection)


def the_last_link_goes_while_the_mark_of_its_blob_is_settled() -> None:
    with stage() as here:
        upload(here.registry, BLOBS[0])
        here.registry.blobs.mount(ELSEWHERE, ONE, REPOSITORY)
        then = here.registry.now
        here.registry.blobs.delete(ELSEWHERE, ONE)
        here.pass_time(URL_SECONDS)
        collection = here.collecting("write(SettleBlob")
        with here.clock_set_back(then):
            here.registry.blobs.delete(REPOSITORY, ONE)
        here.finish(collection)


@contextmanager
def _a_blob_about_to_go() -> Iterator[tuple[Stage, float]]:
    """With the second of its mark; the rest of its collection follows."""
    with stage() as here:
        upload(here.registry, BLOBS[0])
        then = here.registry.now
        here.registry.blobs.delete(REPOSITORY, ONE)
        here.pass_time(URL_SECONDS)
        collection = here.collecting("write(RemoveBlob")
        yield here, then
        here.finish(collection)


def a_blob_is_linked_again_while_it_is_collected() -> None:
    with _a_blob_about_to_go() as (here, then):
        upload(here.registry, BLOBS[0])
        here.registry.blobs.mount(ELSEWHERE, ONE, REPOSITORY)
        with here.clock_set_back(then):
            here.registry.blobs.delete(ELSEWHERE, ONE)


def a_blob_is_kept_while_it_is_collected() -> None:
    with _a_blob_about_to_go() as (here, then):
        here.uploaded()
        here.push(SMALL)()
        here.delete(SMALL)()
        with here.clock_set_back(then):
            here.registry.blobs.delete(REPOSITORY, ONE)


def a_blob_comes_again_while_it_is_collected() -> None:
    with _a_blob_about_to_go() as (here, then):
        here.collect()
        upload(here.registry, BLOBS[0])
        with here.clock_set_back(then):
            here.registry.blobs.delete(REPOSITORY, ONE)


def a_blob_comes_again_while_it_is_mounted() -> None:
    with stage() as here:
        upload(here.registry, BLOBS[0])
        mount = here.stopped("write(PutLink", partial(here.registry.blobs.mount, ELSEWHERE, ONE, REPOSITORY))
        here.registry.blobs.delete(REPOSITORY, ONE)
        here.pass_time(URL_SECONDS)
        here.collect()
        upload(here.registry, BLOBS[0])
        here.finish(mount)


# What can be restored.


def a_deletion_ends_while_what_it_keeps_is_purged() -> None:
    """Until then the bytes are the manifest's."""
    with stage() as here:
        here.uploaded()
        here.push(BIG_OTHER)()
        deletion = here.stopped("write(MoveManifest", here.delete(BIG_OTHER))
        purge = here.stopped("write(MoveTrash", here.purge(BIG_OTHER))
        here.finish(deletion)
        here.finish(purge)


def a_small_deletion_ends_while_what_it_keeps_is_purged() -> None:
    with stage() as here:
        here.uploaded()
        here.push(MIDDLE)()
        deletion = here.stopped("write(RemoveManifest", here.delete(MIDDLE))
        purge = here.stopped("write(RemoveTrash", here.purge(MIDDLE))
        here.finish(deletion)
        here.finish(purge)


def a_deletion_goes_on_while_what_it_keeps_is_purged() -> None:
    with stage() as here:
        here.uploaded()
        here.push(MIDDLE)()
        deletion = here.stopped("write(MoveTrash", here.delete(MIDDLE))
        purge = here.stopped("write(RemoveTrash", here.purge(MIDDLE))
        here.go_on(deletion, "write(RemoveManifest")
        here.finish(purge)
        here.finish(deletion)


def two_purge_at_once_in_steps() -> None:
    with stage() as here:
        here.uploaded()
        here.push(BIG)()
        here.delete(BIG)()
        first = here.stopped("write(MoveTrash", here.purge(BIG), after=1)
        second = here.stopped("write(RemoveTrash", here.purge(BIG))
        here.finish(first)
        here.finish(second, ErrorCode.MANIFEST_UNKNOWN)


def it_is_deleted_again_while_it_is_collected(
    document: Document = SMALL, write: str = "write(RemoveTrash"
) -> None:
    with stage() as here:
        here.uploaded()
        here.push(document)()
        here.delete(document)()
        here.pass_time(7 * DAY)
        collection = here.collecting(write)
        here.registry.undo.restore(REPOSITORY, document.digest)
        here.delete(document)()
        here.finish(collection)
        assert ("kept", REPOSITORY.name, document.digest) in facts(here.registry.memory)


def it_is_deleted_again_while_it_is_collected_in_steps() -> None:
    it_is_deleted_again_while_it_is_collected(BIG, "write(MoveTrash")


# Lifecycle policies.


def _policy_runs(
    rules: Sequence[dict[str, Any]],
    meanwhile: Sequence[Action],
    tags: Sequence[str] = ("v1", "latest"),
    document: Document = SMALL,
) -> World:
    """Over an image with these tags; others do this before the first of its writes."""
    with small_limits():
        world, waiting = World(), list(meanwhile)
        for action in (push(document, ()), *(push(document, (tag,)) for tag in tags), wait(30)):
            world.do(action)
        world.keep([{"name": f"rule {number}", **rule} for number, rule in enumerate(rules)])

        def meddle() -> None:
            while waiting:
                world.do(waiting.pop(0))

        manifests = world.registry.manifests
        meddling = replace(manifests, transactions=Meddling(manifests.transactions, meddle))
        replace(world.lifecycle, manifests=meddling).run(LIFECYCLE_REPOSITORY, int(world.registry.now))
        world.check()
        return world


UNPULLED: Final = {"action": "expire-unpulled", "after": "5d", "priority": 0}


def an_image_is_pulled_while_it_expires(*tags: str) -> None:
    world = _policy_runs([UNPULLED], [pull(SMALL)], tags)
    assert SMALL.digest in world.live()


def an_image_is_pulled_while_it_expires_in_steps() -> None:
    """With two tags it has more to count than goes into one transaction."""
    an_image_is_pulled_while_it_expires("v1", "latest")


def an_image_is_pulled_while_a_tag_of_it_expires() -> None:
    rules = [{"action": "protect", "tags": ["latest"]}, {**UNPULLED, "tags": ["v1"]}]
    world = _policy_runs(rules, [pull(SMALL)])
    assert world.tags()["v1"] == SMALL.digest


UNTAGGED: Final = {"action": "expire-untagged", "after": "5d", "priority": 0}


def an_untagged_image_is_pushed_again_while_it_expires(document: Document = SMALL) -> None:
    world = _policy_runs([UNTAGGED], [push(document, ())], (), document)
    assert document.digest in world.live()


def an_untagged_image_is_pushed_again_while_it_expires_in_steps() -> None:
    an_untagged_image_is_pushed_again_while_it_expires(BIG)


def a_tag_moves_away_and_back_while_it_expires() -> None:
    moves = [push(OTHER, ("v1",)), push(SMALL, ("v1",))]
    world = _policy_runs([{"action": "expire-tags", "tags": ["v1"], "after": "5d", "priority": 0}], moves)
    assert world.tags()["v1"] == SMALL.digest


# Usage.


def two_uploads_have_room_for_one() -> None:
    with stage() as here:
        usage = here.registry.memory.usage
        usage["account"] = Usage(0, 10)
        session = here.registry.uploads.open(REPOSITORY).session
        first = here.stopped("write(EndUpload", here.close(session, ONE, BLOBS[0]))
        upload(here.registry, BLOBS[1])
        here.finish(first, ErrorCode.DENIED)
        assert usage["account"].bytes <= usage["account"].limit


def an_account_of_before_there_was_a_quota_is_counted_from_its_first_upload_on() -> None:
    with stage() as here:
        upload(here.registry, BLOBS[0])
        here.registry.memory.usage.clear()
        upload(here.registry, BLOBS[1])
        assert here.registry.memory.usage["account"].bytes == len(BLOBS[0] + BLOBS[1])


def two_cross_a_threshold_at_once() -> None:
    with stage() as here:
        here.registry.memory.usage["account"] = Usage(0, 2 * len(BLOBS[0]))
        upload(here.registry, BLOBS[0])
        session = here.registry.uploads.open(REPOSITORY).session
        first = here.stopped("write(MoveLevel", here.close(session, Digest.of(BLOBS[1]), BLOBS[1]))
        here.registry.blobs.quota.charged("account", 0, here.registry.blobs.transactions)
        here.finish(first)
        told = [one for one in here.registry.memory.audit if isinstance(one, AuditAccount)]
        assert len(told) == len({one.detail["threshold"] for one in told}) == 3


# Upload sessions: one whose lease is over may still be on its way.


def _wrong(here: Stage, session: str) -> Operation:
    """A request whose digest is wrong, about to end the session for that."""
    late = here.stopped("write(EndUpload", here.close(session, ONE, SECOND_PART))
    here.pass_time(LEASE_SECONDS + 1)
    return late


def an_upload_goes_on_while_another_request_ends_it() -> None:
    with stage() as here:
        session = here.opened()
        late = _wrong(here, session)
        here.append(session, SECOND_PART)()
        here.finish(late, ErrorCode.DIGEST_INVALID)
        assert here.registry.uploads.status(REPOSITORY, session).offset == 2 * PART_SIZE
        here.close(session, WHOLE)()


def an_upload_is_published_while_another_request_ends_it() -> None:
    with stage() as here:
        session = here.opened()
        late = _wrong(here, session)
        here.close(session, WHOLE, SECOND_PART)()
        here.finish(late, ErrorCode.DIGEST_INVALID)


def two_write_to_one_upload() -> None:
    with stage() as here:
        session = here.opened()
        first = here.stopped("save(", here.append(session, b"one"))
        with pytest.raises(RegistryError) as refusal:
            here.append(session, b"two")()
        assert refusal.value.status == 409
        here.finish(first)
        assert here.registry.uploads.status(REPOSITORY, session).offset == PART_SIZE + 3
        here.close(session, Digest.of(FIRST_PART + b"one"))()


def a_slow_client_goes_on_after_another_took_the_upload() -> None:
    """Its next part would take the place of one that was acknowledged."""
    with stage() as here:
        session = here.opened()

        def slowly() -> Iterator[bytes]:
            yield b"x"
            here.pass_time(LEASE_SECONDS + 1)
            yield b"y"
            yield b"z" * PART_SIZE

        work = partial(here.registry.uploads.append, REPOSITORY, session, Chunk(slowly()))
        slow = here.stopped("renew(", work)
        here.append(session, SECOND_PART)()
        here.finish(slow, ErrorCode.BLOB_UPLOAD_UNKNOWN)
        here.close(session, WHOLE)()


def a_late_request_keeps_its_progress_after_another_took_the_upload() -> None:
    with stage() as here:
        session = here.opened()
        late = here.stopped("save(", here.append(session, b"late"))
        here.pass_time(LEASE_SECONDS + 1)
        here.append(session, SECOND_PART)()
        here.finish(late, ErrorCode.BLOB_UPLOAD_UNKNOWN)
        assert here.registry.uploads.status(REPOSITORY, session).offset == 2 * PART_SIZE
        here.close(session, WHOLE)()


def an_upload_is_published_while_it_expires() -> None:
    with stage() as here:
        session = here.opened()
        here.pass_time(DAY)
        late = here.stopped("write(EndUpload", here.close(session, WHOLE, SECOND_PART))
        here.pass_time(LEASE_SECONDS + 1)
        collection = here.collecting("write(ExpireSession")
        here.finish(late)
        here.finish(collection)


def an_upload_expires_while_somebody_writes_to_it() -> None:
    with stage() as here:
        session = here.opened()
        here.pass_time(DAY)
        late = here.stopped("save(", here.append(session, SECOND_PART))
        here.pass_time(2)
        here.collect()
        here.finish(late)
        assert here.registry.memory.uploads[session].row.offset == 2 * PART_SIZE


# Direct uploads.


def _is_published(here: Stage, row: DirectRow) -> None:
    """Whoever is asked to verify it once more finds nothing to do."""
    assert here.registry.direct.find(row.session).state == PUBLISHED
    assert here.verify(row.session)()
    assert here.registry.direct.find(row.session).state == PUBLISHED
    check_everything(here.registry.memory)


def two_verifiers_publish_at_once() -> None:
    with stage() as here:
        row = here.completed()
        first = here.stopped("write(EndDirect", here.verify(row.session))
        here.pass_time(LEASE_SECONDS + 1)
        second = here.stopped("write(EndDirect", here.verify(row.session))
        here.finish(first)
        here.finish(second)
        _is_published(here, row)


def a_direct_upload_is_cancelled_while_it_is_published() -> None:
    with stage() as here:
        row = here.completed()
        verification = here.stopped("write(EndDirect", here.verify(row.session))
        here.registry.direct.cancel(row)
        here.finish(verification)
        assert not here.registry.memory.links


def a_direct_upload_is_completed_again_after_its_publication() -> None:
    with stage() as here:
        direct = here.registry.direct
        row = direct.open(REPOSITORY, Digest.of(LARGE), len(LARGE))
        here.registry.send(row, LARGE)
        late = here.stopped("verifying(", partial(direct.complete, row))
        direct.complete(row)
        here.verify(row.session)()
        here.finish(late)
        _is_published(here, row)


def a_published_direct_upload_is_verified_again() -> None:
    with stage() as here:
        row = here.completed()
        here.verify(row.session)()
        _is_published(here, row)


def a_second_verifier_leaves_it_to_the_first() -> None:
    with stage() as here:
        row = here.completed()
        first = here.stopped("complete_checked(", here.verify(row.session))
        second = Operation("the second", here.verify(row.session)).finish()
        assert (second.error, second.calls) == (None, 1), "it asks for the session, and no more"
        here.finish(first)
        _is_published(here, row)


def a_late_verifier_keeps_its_progress_after_another_published() -> None:
    with stage() as here:
        row = here.completed()
        late = here.stopped("save(", partial(here.registry.verifier.verify, row.session, here.registry.now))
        here.pass_time(LEASE_SECONDS + 1)
        here.verify(row.session)()
        here.finish(late)
        _is_published(here, row)


def a_published_direct_upload_is_cancelled() -> None:
    with stage() as here:
        row = here.completed()
        here.verify(row.session)()
        with pytest.raises(RegistryError) as refusal:
            here.registry.direct.cancel(row)
        assert refusal.value.status == 409
        _is_published(here, row)


def a_direct_upload_is_published_while_it_expires() -> None:
    with stage() as here:
        row = here.completed()
        # Else what is published would expire when what was announced does.
        here.pass_time(1)
        verification = here.stopped("write(EndDirect", here.verify(row.session))
        here.pass_time(DAY + 1)
        collection = here.collecting("write(ExpireSession")
        here.finish(verification)
        here.finish(collection)


def what_is_kept_gives_way_beside_others() -> None:
    """Whatever comes and goes at every call of a push that makes room."""
    with small_limits():
        test_eviction.races()


SCENARIOS: Final[tuple[Callable[[], None], ...]] = (
    what_is_kept_gives_way_beside_others,
    two_push_one_manifest_in_steps,
    a_push_in_steps_ends_while_what_another_pushed_is_deleted,
    it_is_pushed_again_while_the_last_of_it_is_removed,
    it_is_deleted_again_while_the_last_of_it_is_removed,
    a_tag_comes_while_its_manifest_is_deleted,
    a_tag_comes_while_its_manifest_is_deleted_in_steps,
    an_index_comes_while_its_child_is_deleted,
    an_index_comes_while_its_child_is_deleted_in_steps,
    a_manifest_leaves_in_steps_while_it_is_tagged,
    a_tag_is_made_twice_at_once,
    a_tag_moves_twice_at_once,
    a_tag_moves_away_and_back_while_it_moves,
    a_tag_moves_away_and_back_while_it_is_deleted,
    the_last_manifest_goes_while_the_mark_of_its_blob_is_settled,
    the_last_link_goes_while_the_mark_of_its_blob_is_settled,
    a_blob_is_linked_again_while_it_is_collected,
    a_blob_is_kept_while_it_is_collected,
    a_blob_comes_again_while_it_is_collected,
    a_blob_comes_again_while_it_is_mounted,
    a_deletion_ends_while_what_it_keeps_is_purged,
    a_small_deletion_ends_while_what_it_keeps_is_purged,
    a_deletion_goes_on_while_what_it_keeps_is_purged,
    two_purge_at_once_in_steps,
    it_is_deleted_again_while_it_is_collected,
    it_is_deleted_again_while_it_is_collected_in_steps,
    an_image_is_pulled_while_it_expires,
    an_image_is_pulled_while_it_expires_in_steps,
    an_image_is_pulled_while_a_tag_of_it_expires,
    an_untagged_image_is_pushed_again_while_it_expires,
    an_untagged_image_is_pushed_again_while_it_expires_in_steps,
    a_tag_moves_away_and_back_while_it_expires,
    two_uploads_have_room_for_one,
    an_account_of_before_there_was_a_quota_is_counted_from_its_first_upload_on,
    two_cross_a_threshold_at_once,
    an_upload_goes_on_while_another_request_ends_it,
    an_upload_is_published_while_another_request_ends_it,
    two_write_to_one_upload,
    a_slow_client_goes_on_after_another_took_the_upload,
    a_late_request_keeps_its_progress_after_another_took_the_upload,
    an_upload_is_published_while_it_expires,
    an_upload_expires_while_somebody_writes_to_it,
    two_verifiers_publish_at_once,
    a_direct_upload_is_cancelled_while_it_is_published,
    a_direct_upload_is_completed_again_after_its_publication,
    a_published_direct_upload_is_verified_again,
    a_second_verifier_leaves_it_to_the_first,
    a_late_verifier_keeps_its_progress_after_another_published,
    a_published_direct_upload_is_cancelled,
    a_direct_upload_is_published_while_it_expires,
)
