"""What is kept and not counted gives way to pushes: what goes, and what nothing beside it can break."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import pytest

from chalicelib.registry import quota
from chalicelib.registry.changes import WriteAudit
from chalicelib.registry.eviction import ACTION
from chalicelib.registry.manifests import Push
from chalicelib.registry.policies import RETENTION, Policy, repository_scope
from chalicelib.registry.stores import KEPT
from chalicelib.registry.uploads import Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository
from tests.properties.documents import BIG, BIG_OTHER, BLOBS, INDEX, OTHER, SMALL, SPILLED, Document
from tests.properties.interleaving import BROKEN, Fate, Operation
from tests.properties.memory_stores import S3Error
from tests.properties.registry_in_memory import GRACE, RegistryInMemory, small_limits
from tests.properties.test_collection import FOREVER, REPOSITORY, check_all, collect, upload
from tests.properties.whole_registry import check_buried, check_trash

COUNTED: Final = Repository("account", "registry/counted")
HOUR: Final = 3600
SIZE: Final = len(BLOBS[0])
FULL_SIZE: Final = 3 * SIZE
LOST: Final = ErrorCode.BLOB_UPLOAD_UNKNOWN


@pytest.fixture(autouse=True)
def _limits() -> Iterator[None]:
    with small_limits():
        yield


class Full:
    """An account with no byte free, most of whose bytes are those of deleted images."""

    def __init__(self, *documents: Document, is_quiet: bool = True) -> None:
        self.registry = RegistryInMemory()
        self.memory = self.registry.memory
        policy = Policy(repository_scope(REPOSITORY), RETENTION, {"days": 7, "counted": False})
        self.memory.policies[policy.scope, policy.kind] = policy
        for document in documents:
            self.push(document)
        for document in reversed(documents):
            self.delete(document)
        if is_quiet:
            self.quiet()
        self.fill()

    def push(self, document: Document, repository: Repository = REPOSITORY) -> None:
        for content in BLOBS:
            if Digest.of(content) in document.blobs:
                upload(self.registry, content, repository)
        self.registry.manifests.put(Push(repository, document.manifest, document.digest))

    def delete(self, document: Document, repository: Repository = REPOSITORY) -> None:
        self.registry.manifests.delete(repository, document.digest)
        self.registry.now += 1

    def quiet(self) -> None:
        """The grace of the links is over, and the hour of whoever reads the bytes."""
        self.registry.now += GRACE
        collect(self.registry, 2)

    def fill(self, free: int = 0) -> None:
        """A limit of what is used, and so much more."""
        usage = self.memory.usage["account"]
        limited = self.registry.blobs.quota.usages.repair("account", usage, usage.bytes, usage.bytes + free)
        assert limited

    def need(self, size: int, letter: bytes = b"x") -> Digest:
        return upload(self.registry, letter * size)

    def kept(self, *documents: Document, repository: Repository = REPOSITORY) -> list[bool]:
        rows = [self.memory.trash.get((repository.name, one.digest)) for one in documents]
        return [row is not None and row.state == KEPT for row in rows]

    def told(self) -> list[str]:
        """What the audit trail says gave way."""
        every = [one for one in self.memory.audit if isinstance(one, WriteAudit)]
        return [one.reference for one in every if one.action == ACTION]

    def check(self) -> None:
        check_all(self.registry)
        check_buried(self.memory)
        check_trash(self.memory)
        usage = self.memory.usage["account"]
        assert usage.bytes <= usage.limit


def refused(call: Callable[[], object]) -> RegistryError:
    with pytest.raises(RegistryError) as error:
        call()
    return error.value


def test_the_oldest_go_and_no_more_than_a_push_needs() -> None:
    full = Full(SPILLED, OTHER)
    assert full.registry.blobs.quota.gives_way("account") == 3 * SIZE
    full.need(SIZE + 1)
    # OTHER was deleted first.
    assert full.kept(OTHER, SPILLED) == [False, True]
    assert full.told() == [OTHER.digest]
    full.check()
    full.need(SIZE, b"y")
    assert full.kept(SPILLED) == [False]
    full.check()


def test_a_push_that_fits_takes_nothing_away() -> None:
    full = Full(SMALL)
    full.fill(SIZE)
    full.need(SIZE)
    assert full.kept(SMALL) == [True]
    assert not full.told()


def test_where_all_of_it_is_too_little_nothing_goes_and_the_refusal_says_how_much_could() -> None:
    full = Full(SMALL)
    error = refused(lambda: full.need(2 * SIZE + 1))
    assert error.code is ErrorCode.DENIED
    used = full.memory.usage["account"].bytes
    assert error.details == ({"used": used, "limit": used, "needed": 2 * SIZE + 1, "gives_way": 2 * SIZE},)
    assert f"of which {2 * SIZE} can give way" in error.message
    assert full.kept(SMALL) == [True]
    full.check()


def test_a_client_that_says_the_size_is_let_in_for_what_can_give_way_and_nothing_goes_yet() -> None:
    full = Full(SMALL)
    uploads, content = full.registry.uploads, b"x" * 2 * SIZE
    row = uploads.open(REPOSITORY, len(content), Digest.of(content))
    assert full.kept(SMALL) == [True]
    uploads.close(REPOSITORY, row.session, Digest.of(content), Chunk([content], len(content)))
    assert full.kept(SMALL) == [False]
    assert refused(lambda: uploads.open(REPOSITORY, 1)).code is ErrorCode.DENIED


def test_what_is_counted_never_goes() -> None:
    full = Full(SMALL)
    policy = Policy(repository_scope(REPOSITORY), RETENTION, {"days": 7, "counted": True})
    full.memory.policies[policy.scope, policy.kind] = policy
    full.fill(10**6)
    full.push(SPILLED)
    full.delete(SPILLED)
    full.push(OTHER, COUNTED)
    full.delete(OTHER, COUNTED)
    full.quiet()
    full.fill()
    # Of SMALL, the first blob is of SPILLED too, and the second of OTHER.
    assert refused(lambda: full.need(1)).code is ErrorCode.DENIED
    assert full.kept(SMALL, SPILLED) == [True, True]
    assert full.kept(OTHER, repository=COUNTED) == [True]
    full.check()


def test_a_blob_that_several_keep_goes_with_the_last_of_them() -> None:
    full = Full(OTHER, SMALL)
    full.need(FULL_SIZE)
    assert full.kept(SMALL, OTHER) == [False, False]
    assert full.memory.usage["account"].bytes == FULL_SIZE
    full.check()


def test_what_frees_nothing_stays() -> None:
    """SMALL was deleted first; but for its config, OTHER needs all of it, and that an image has."""
    full = Full(OTHER, SMALL)
    full.fill(10**6)
    full.push(SMALL, COUNTED)
    full.quiet()
    full.fill()
    full.need(SIZE)
    assert full.kept(SMALL, OTHER) == [True, False]
    assert refused(lambda: full.need(1, b"y")).code is ErrorCode.DENIED
    full.check()


def test_what_a_repository_still_links_and_what_was_linked_an_hour_ago_cannot_go_yet() -> None:
    full = Full(SMALL, is_quiet=False)
    assert full.registry.blobs.quota.gives_way("account") == 0
    full.registry.now += GRACE
    collect(full.registry)
    full.registry.now -= HOUR + 1
    assert not full.memory.links
    assert refused(lambda: full.need(1)).code is ErrorCode.DENIED
    full.registry.now += 1
    full.need(1)
    full.check()


@pytest.mark.parametrize("document", [BIG, BIG_OTHER], ids=str)
def test_an_image_beyond_one_transaction_goes_whole(document: Document) -> None:
    full = Full(document)
    full.need(full.memory.usage["account"].limit)
    assert full.told() == [document.digest]
    assert not full.memory.trash
    full.check()
    collect(full.registry)
    assert len(full.memory.objects) == 1


def test_an_index_goes_with_the_first_image_of_it_that_does() -> None:
    full = Full(SMALL, OTHER, INDEX)
    full.need(1)
    # Of its two children the one that was deleted first, and it is of no use without that.
    assert full.kept(INDEX, OTHER, SMALL) == [False, False, True]
    full.check()


def test_one_request_takes_away_so_many_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "PURGES_LIMIT", 1)
    full = Full(OTHER, SMALL)
    uploads, content = full.registry.uploads, b"x" * FULL_SIZE
    row = uploads.open(REPOSITORY)
    chunk = Chunk([content], len(content))
    error = refused(lambda: uploads.close(REPOSITORY, row.session, Digest.of(content), chunk))
    assert error.code is ErrorCode.TOOMANYREQUESTS
    assert "push again" in error.message
    assert full.kept(SMALL, OTHER) == [False, True]
    full.check()
    uploads.close(REPOSITORY, row.session, Digest.of(content), Chunk([content], len(content)))
    assert full.memory.usage["account"].bytes == FULL_SIZE
    full.check()


def test_a_restored_image_does_not_give_way() -> None:
    full = Full(SMALL)
    full.registry.undo.restore(REPOSITORY, SMALL.digest)
    assert refused(lambda: full.need(1)).code is ErrorCode.DENIED
    full.check()


# What comes and goes while a push makes room, and what must be so in the end.


def _rival_push(full: Full, size: int = FULL_SIZE) -> None:
    """Needs as much as the other one, or less; there is room for one of them."""
    try:
        full.need(size, b"y")
    except RegistryError as error:
        assert error.code is ErrorCode.DENIED  # noqa: PT017 - it may be in, too


def _restore(full: Full) -> None:
    try:
        full.registry.undo.restore(REPOSITORY, SMALL.digest)
    except RegistryError as error:
        assert error.code is ErrorCode.MANIFEST_UNKNOWN  # noqa: PT017 - or it comes back


def _begin_to_restore(full: Full) -> None:
    """The restore dies with its first write: what it was about is counted from then on."""
    operation = Operation("restore", lambda: full.registry.undo.restore(REPOSITORY, SMALL.digest))
    while not operation.is_done:
        is_write = operation.waiting.startswith("write")
        operation.step(Fate.DIE_AFTER if is_write else Fate.WELL)


def _upload_the_same(full: Full) -> None:
    for content in BLOBS[:3]:
        try:
            upload(full.registry, content)
        except RegistryError as error:
            assert error.code is ErrorCode.DENIED  # noqa: PT017 - it went, and there is no room by now


def _keep_another(full: Full) -> None:
    """An image of the same blobs, deleted where it is counted; an hour later nothing else has them."""
    try:
        full.push(OTHER, COUNTED)
    except RegistryError as error:
        assert error.code is ErrorCode.DENIED  # noqa: PT017 - its blobs went, and there is no room by now
        return
    full.delete(OTHER, COUNTED)
    full.quiet()


def _purge_another(full: Full) -> None:
    """And whoever was about to take the same stood still for hours, with the collector at work."""
    for document in (OTHER, SMALL):
        try:
            full.registry.undo.purge(REPOSITORY, document.digest)
        except RegistryError as error:
            assert error.code is ErrorCode.MANIFEST_UNKNOWN  # noqa: PT017 - it has gone already
            continue
        break
    full.registry.now += 2 * HOUR
    full.registry.collector.run(FOREVER)
    full.registry.now += 2 * HOUR


def _collect(full: Full) -> None:
    full.registry.now += 8 * GRACE
    full.registry.collector.run(FOREVER)
    full.registry.now += 2 * HOUR
    full.registry.collector.run(FOREVER)


RIVALS: Final[dict[str, Callable[[Full], None]]] = {
    "a push": _rival_push,
    "a smaller push": lambda full: _rival_push(full, SIZE),
    "a restore": _restore,
    "a restore that dies": _begin_to_restore,
    "uploads of the same": _upload_the_same,
    "another keeper": _keep_another,
    "a purge": _purge_another,
    "the collector": _collect,
}


def overtaken(rival: Callable[[Full], None], calls: int, *documents: Document, size: int = FULL_SIZE) -> bool:
    """The push stands before one of its calls while the rival comes and goes. False: it has no so many."""
    full = Full(*documents)
    pushing = Operation("push", lambda: full.need(size))
    for _ in range(calls):
        if pushing.is_done:
            return False
        pushing.step()
        full.check()
    if pushing.is_done:
        return False
    rival(full)
    full.check()
    counted = {key for key, row in full.memory.trash.items() if not row.gives_way}
    while not pushing.is_done:
        pushing.step()
        full.check()
    error = pushing.error
    # Its session ends where the rival takes more than a day, and its parts in S3.
    assert error is None or isinstance(error, S3Error | RegistryError), error
    if isinstance(error, RegistryError) and error.code is not LOST:
        assert error.code is ErrorCode.DENIED, error
        room = full.memory.usage["account"].free + full.registry.blobs.quota.gives_way("account")
        assert room < size, "refused, and there is room"
    assert counted <= full.memory.trash.keys(), "what is counted gave way"
    in_the_end(full)
    return True


def in_the_end(full: Full) -> None:
    """The collector comes to the end of it: nothing is left that nothing names."""
    full.registry.now += 9 * GRACE
    collect(full.registry, 6)
    full.check()
    assert not full.memory.trash
    assert {digest for _, digest in full.memory.blobs} == {digest for _, digest in full.memory.links}
    assert not full.memory.buried


def races() -> None:
    """Every rival at every call, of images of one transaction and of more."""
    for rival in RIVALS.values():
        calls = 0
        while overtaken(rival, calls, OTHER, SMALL):
            calls += 1
    for name in ("a push", "another keeper", "a purge", "the collector"):
        calls = 0
        while overtaken(RIVALS[name], calls, BIG, size=10 * SIZE):
            calls += 1


@pytest.mark.parametrize("rival", RIVALS)
def test_whatever_comes_between_two_calls_nothing_counted_goes_and_the_limit_holds(rival: str) -> None:
    calls = 0
    while overtaken(RIVALS[rival], calls, OTHER, SMALL):
        calls += 1
    assert calls > 5


@pytest.mark.parametrize("rival", ["a push", "another keeper", "a purge", "the collector"])
def test_nor_where_an_image_goes_in_steps(rival: str) -> None:
    calls = 0
    while overtaken(RIVALS[rival], calls, BIG, size=10 * SIZE):
        calls += 1
    assert calls > 8


@pytest.mark.parametrize("document", [SMALL, BIG], ids=["one transaction", "in steps"])
@pytest.mark.parametrize("fate", BROKEN, ids=lambda fate: fate.name)
def test_killed_at_any_call_it_leaves_what_the_next_push_and_the_collector_go_on_with(
    document: Document, fate: Fate
) -> None:
    calls, size = 0, len(document.blobs) * SIZE
    while True:
        full = Full(document)
        pushing = Operation("push", partial(full.need, size))
        for _ in range(calls):
            if not pushing.is_done:
                pushing.step()
        if pushing.is_done:
            break
        pushing.step(fate)
        while not pushing.is_done:
            pushing.step()
        full.check()
        in_the_end(full)
        full.need(size, b"y")
        calls += 1
    assert calls > 5


def test_two_pushes_that_fit_together_are_both_in() -> None:
    """At every step of either."""
    for calls in range(60):
        full = Full(OTHER, SMALL)
        pushes = [Operation(f"push {name!r}", partial(full.need, SIZE, name)) for name in (b"x", b"y")]
        for number in range(calls):
            one = pushes[number * 7 % 3 % 2]
            if not one.is_done:
                one.step()
                full.check()
        for one in pushes:
            one.finish()
            assert one.error is None, one.error
        assert full.memory.usage["account"].bytes <= FULL_SIZE
        full.check()
