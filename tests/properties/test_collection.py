"""The collector beside anything else, at every store call of both, and killed at every call of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.registry.changes import AuditAccount, Change, RemoveBlob
from chalicelib.registry.manifests import Push
from chalicelib.registry.stores import RELEASING, STAGING, Usage
from chalicelib.registry.uploads import Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository
from tests.properties.documents import BIG, BIG_OTHER, BLOBS, SMALL, Document
from tests.properties.effort import effort
from tests.properties.interleaving import BROKEN, Fate, Operation
from tests.properties.memory_stores import Memory, MemoryTransactions
from tests.properties.registry_in_memory import (
    GRACE,
    RegistryInMemory,
    check_blobs,
    check_counts,
    check_keys,
    check_pullable,
    check_referrers,
    check_tags,
    named_keys,
    small_limits,
)

REPOSITORY = Repository("account", "registry/app")
OTHER = Repository("account", "registry/other")
DAY = 24 * 3600
FOREVER = 10.0**12
ONE = Digest.of(BLOBS[0])


@pytest.fixture(autouse=True)
def _limits() -> Iterator[None]:
    with small_limits():
        yield


def upload(registry: RegistryInMemory, content: bytes, repository: Repository = REPOSITORY) -> Digest:
    digest = Digest.of(content)
    row = registry.uploads.open(repository)
    registry.uploads.close(repository, row.session, digest, Chunk([content]))
    return digest


def push(registry: RegistryInMemory, document: Document, *tags: str) -> None:
    for content in BLOBS:
        if Digest.of(content) in document.blobs:
            upload(registry, content)
    registry.manifests.put(Push(REPOSITORY, document.manifest, document.digest, tags))


def collect(registry: RegistryInMemory, rounds: int = 1) -> None:
    """As often as one thing makes work for the next: a link, its blob an hour later, then its object."""
    for _ in range(rounds):
        report = registry.collector.run(FOREVER)
        assert report.is_complete
        assert not report.failures
        registry.now += 2 * 3600


def check_all(registry: RegistryInMemory) -> None:
    memory = registry.memory
    for check in (
        check_pullable,
        check_blobs,
        check_counts,
        check_referrers,
        check_tags,
        check_keys,
        check_marks,
    ):
        check(memory)


def check_marks(memory: Memory) -> None:
    """What is unused is on a list."""
    for (name, digest), link in memory.links.items():
        assert link.references or link.idle, f"nobody will look at the link {name} {digest}"
    for key, blob in memory.blobs.items():
        is_used = memory.blob_links[key] or memory.blob_keeps[key]
        assert is_used or blob.idle, f"nobody will look at the blob {key}"


def test_a_blob_that_no_manifest_names_goes_with_its_bytes_and_its_charge_once_its_grace_is_over() -> None:
    registry = RegistryInMemory()
    upload(registry, BLOBS[0])
    registry.now += GRACE - 1
    collect(registry)
    assert registry.memory.links
    collect(registry, 3)
    memory = registry.memory
    assert not memory.links
    assert not memory.blobs
    assert not memory.objects
    assert not memory.buried
    assert memory.usage["account"].bytes == 0


def test_a_threshold_that_was_crossed_can_be_crossed_again_once_bytes_were_freed() -> None:
    registry = RegistryInMemory()
    upload(registry, BLOBS[0])
    memory, size = registry.memory, len(BLOBS[0])
    memory.usage["account"] = Usage(size, size, level=100)
    registry.now += GRACE
    collect(registry, 2)
    usage = memory.usage["account"]
    assert (usage.bytes, usage.level) == (0, 0)
    upload(registry, BLOBS[0])
    told = [one.detail["threshold"] for one in memory.audit if isinstance(one, AuditAccount)]
    assert sorted(told) == [80, 90, 100]
    assert memory.usage["account"].level == 100


def test_a_level_that_cannot_be_settled_fails_no_run(caplog: pytest.LogCaptureFixture) -> None:
    registry = RegistryInMemory()
    upload(registry, BLOBS[0])
    registry.now += GRACE
    collecting = Operation("collect", lambda: collect(registry, 2))
    while not collecting.is_done:
        is_level = collecting.waiting == "get(account)"
        collecting.step(Fate.FAIL if is_level else Fate.WELL)
    assert collecting.error is None
    assert not registry.memory.blobs
    assert "the level of the account account is not settled" in caplog.text


def test_what_an_image_names_stays_and_its_marks_are_settled() -> None:
    """Two images share their blobs, so that deleting one leaves every mark on what the other needs."""
    registry = RegistryInMemory()
    push(registry, SMALL, "kept")
    for content in BLOBS:
        if Digest.of(content) in SMALL.blobs:
            registry.blobs.mount(OTHER, Digest.of(content), REPOSITORY)
    registry.manifests.put(Push(OTHER, SMALL.manifest, SMALL.digest, ("gone",)))
    registry.manifests.delete(OTHER, SMALL.digest)
    registry.now += 8 * DAY
    collect(registry, 3)
    check_all(registry)
    assert registry.manifests.get(REPOSITORY, "kept").raw == SMALL.manifest.raw
    assert {name for name, _ in registry.memory.links} == {REPOSITORY.name}
    assert not any(link.idle for link in registry.memory.links.values())
    assert not any(blob.idle for blob in registry.memory.blobs.values())


@pytest.mark.parametrize("document", [SMALL, BIG], ids=["one transaction", "in steps"])
def test_a_deleted_image_is_kept_until_it_is_due_and_then_leaves_nothing(document: Document) -> None:
    registry = RegistryInMemory()
    push(registry, document, "latest")
    registry.manifests.delete(REPOSITORY, document.digest)
    registry.now += 2 * DAY
    collect(registry, 3)
    assert {digest for _, digest in registry.memory.blobs} == set(document.blobs)
    registry.now += 6 * DAY
    collect(registry, 4)
    memory = registry.memory
    assert not any([memory.trash, memory.links, memory.blobs, memory.objects, memory.buried])
    assert memory.usage["account"].bytes == 0


def test_a_client_that_was_told_a_blob_is_there_finds_it_for_half_the_grace_more() -> None:
    """It skips the upload, and pushes its manifest last."""
    registry = RegistryInMemory()
    for content in BLOBS:
        if Digest.of(content) in SMALL.blobs:
            upload(registry, content)
    registry.now += GRACE - 1
    for digest in SMALL.blobs:
        assert registry.blobs.look(REPOSITORY, digest)
    registry.now += GRACE // 2
    collect(registry)
    registry.manifests.put(Push(REPOSITORY, SMALL.manifest, SMALL.digest))
    check_all(registry)


@pytest.mark.parametrize("way", ["upload", "mount"])
def test_a_blob_that_came_again_is_there_for_the_whole_grace(way: str) -> None:
    registry = RegistryInMemory()
    digest = upload(registry, BLOBS[0])
    registry.now += GRACE - 1
    if way == "upload":
        upload(registry, BLOBS[0])
    else:
        assert registry.blobs.mount(REPOSITORY, digest, REPOSITORY)
    registry.now += GRACE - 1
    collect(registry)
    assert (REPOSITORY.name, digest) in registry.memory.links


def test_looking_at_a_blob_takes_one_read_until_its_link_is_about_to_go() -> None:
    registry = RegistryInMemory()
    digest = upload(registry, BLOBS[0])
    calls = []
    for wait in (GRACE // 2 - 1, 1):
        registry.now += wait
        operation = Operation("look", partial(registry.blobs.look, REPOSITORY, digest)).finish()
        calls.append(operation.calls)
    assert calls == [1, 2]


def expired(registry: RegistryInMemory) -> str:
    row = registry.uploads.open(REPOSITORY)
    registry.uploads.append(REPOSITORY, row.session, Chunk([b"a" * 40]))
    registry.memory.objects[f"blobs/{row.session}/left-by-a-crash"] = b"left"
    registry.now += DAY + 1
    return row.session


def test_an_expired_upload_goes_with_all_that_its_requests_left() -> None:
    registry = RegistryInMemory()
    expired(registry)
    collect(registry, 2)
    memory = registry.memory
    assert not any([memory.uploads, memory.objects, memory.multiparts, memory.buried])


def test_an_upload_that_somebody_writes_to_is_let_be() -> None:
    registry = RegistryInMemory()
    session = expired(registry)
    now = int(registry.now)
    registry.uploads.sessions.acquire(session, "slow", now=now, lease=now + 60)
    collect(registry)
    assert session in registry.memory.uploads


def half_pushed(registry: RegistryInMemory) -> None:
    for content in BLOBS:
        upload(registry, content)
    operation = Operation("put", partial(_put, registry, BIG))
    while not (row := registry.memory.manifests.get((REPOSITORY.name, BIG.digest))) or not row.held:
        operation.step()
    operation.step(Fate.DIE_BEFORE)


def half_deleted(registry: RegistryInMemory) -> None:
    """Its bytes are an object, which the trash names from here on."""
    push(registry, BIG_OTHER, "latest")
    operation = Operation("delete", partial(registry.manifests.delete, REPOSITORY, BIG_OTHER.digest))
    key = REPOSITORY.name, BIG_OTHER.digest
    while registry.memory.manifests[key].state != RELEASING:
        operation.step()
    operation.step(Fate.DIE_BEFORE)


def half_kept(registry: RegistryInMemory) -> None:
    push(registry, BIG, "latest")
    operation = Operation("delete", partial(registry.manifests.delete, REPOSITORY, BIG.digest))
    key = REPOSITORY.name, BIG.digest
    while key not in registry.memory.trash or not registry.memory.trash[key].held:
        operation.step()
    operation.step(Fate.DIE_BEFORE)
    assert registry.memory.trash[key].state == STAGING


def _put(registry: RegistryInMemory, document: Document) -> None:
    registry.manifests.put(Push(REPOSITORY, document.manifest, document.digest, ("latest",)))


def test_a_push_that_died_half_way_goes_after_a_day() -> None:
    registry = RegistryInMemory()
    half_pushed(registry)
    registry.now += DAY - 1
    collect(registry)
    assert registry.memory.manifests
    collect(registry, 5)
    registry.now += DAY
    collect(registry, 3)
    memory = registry.memory
    assert not any([memory.manifests, memory.links, memory.blobs, memory.objects, memory.buried])


def test_a_deletion_that_died_half_way_is_finished_and_what_it_kept_can_be_restored() -> None:
    registry = RegistryInMemory()
    half_deleted(registry)
    registry.now += 700
    collect(registry)
    assert not registry.memory.manifests
    check_all(registry)
    row = registry.memory.trash[REPOSITORY.name, BIG_OTHER.digest]
    assert row.held == len(row.blobs) > 0
    assert registry.memory.objects[str(row.storage_key)] == BIG_OTHER.manifest.raw


def test_what_a_deletion_that_died_kept_is_given_back_while_its_image_stays() -> None:
    registry = RegistryInMemory()
    half_kept(registry)
    registry.now += 3700
    collect(registry)
    assert not registry.memory.trash
    assert registry.manifests.get(REPOSITORY, "latest").raw == BIG.manifest.raw
    check_all(registry)


def everything_due(registry: RegistryInMemory) -> None:
    """One of each: trash, a push and a deletion that died, links, blobs, an upload, an object."""
    push(registry, SMALL, "gone")
    registry.manifests.delete(REPOSITORY, SMALL.digest)
    half_pushed(registry)
    expired(registry)
    upload(registry, BLOBS[-1], OTHER)
    registry.blobs.delete(OTHER, Digest.of(BLOBS[-1]))
    registry.memory.objects["blobs/dead/object"] = b"buried"
    registry.memory.buried.add("blobs/dead/object")
    registry.now += 8 * DAY


def collected_with(fate: Fate, at: int) -> tuple[RegistryInMemory, Operation]:
    registry = RegistryInMemory()
    everything_due(registry)
    operation = Operation("collect", partial(registry.collector.run, FOREVER))
    while not operation.is_done and operation.calls < at:
        operation.step()
    if not operation.is_done:
        operation.step(fate)
    return registry, operation


@pytest.mark.parametrize("fate", BROKEN)
def test_a_collector_may_be_killed_at_any_call(fate: Fate) -> None:
    """The next one frees what is left, to the last byte."""
    at, is_done = 0, False
    while not is_done:
        registry, operation = collected_with(fate, at)
        is_done = not operation.broken
        operation.finish()
        check_all(registry)
        collect(registry, 6)
        registry.now += DAY
        collect(registry, 4)
        memory = registry.memory
        assert not any(
            [memory.trash, memory.manifests, memory.links, memory.blobs, memory.uploads, memory.buried]
        )
        assert not memory.objects
        assert memory.usage["account"].bytes == 0
        at += 1
    assert at > 20


def _publish(registry: RegistryInMemory) -> Callable[[], object]:
    return partial(upload, registry, BLOBS[0])


def _mount(registry: RegistryInMemory) -> Callable[[], object]:
    return partial(registry.blobs.mount, OTHER, ONE, REPOSITORY)


def _put_again(registry: RegistryInMemory) -> Callable[[], object]:
    return partial(_put, registry, SMALL)


def _delete_blob(registry: RegistryInMemory) -> Callable[[], object]:
    return partial(registry.blobs.delete, REPOSITORY, ONE)


def _delete(registry: RegistryInMemory) -> Callable[[], object]:
    return partial(registry.manifests.delete, REPOSITORY, BIG.digest)


def _look(registry: RegistryInMemory) -> Callable[[], object]:
    return partial(registry.blobs.look, REPOSITORY, ONE)


OTHERS = (_publish, _mount, _put_again, _delete_blob, _delete, _look)
REFUSALS = {
    ErrorCode.BLOB_UNKNOWN,
    ErrorCode.MANIFEST_BLOB_UNKNOWN,
    ErrorCode.MANIFEST_UNKNOWN,
    ErrorCode.DENIED,
}


@effort(examples=60, long=3000)
@given(data=st.data())
def test_nothing_breaks_whatever_runs_beside_two_collectors(data: st.DataObject) -> None:
    registry = RegistryInMemory()
    push(registry, BIG, "latest")
    push(registry, SMALL, "small")
    registry.manifests.delete(REPOSITORY, SMALL.digest)
    registry.now += data.draw(st.sampled_from([GRACE - 1, GRACE, 8 * DAY]))
    if data.draw(st.booleans()):
        registry.collector.run(FOREVER)
        registry.now += 4000
    works = data.draw(st.lists(st.sampled_from(OTHERS), min_size=1, max_size=3))
    running = [Operation(work.__name__, work(registry), REFUSALS) for work in works]
    running += [Operation(f"collect {n}", partial(registry.collector.run, FOREVER)) for n in (1, 2)]
    while any(not one.is_done for one in running):
        one = data.draw(st.sampled_from([one for one in running if not one.is_done]))
        is_collector = one.label.startswith("collect")
        fates = st.sampled_from([Fate.WELL] * 20 + [*BROKEN]) if is_collector else st.just(Fate.WELL)
        one.step(data.draw(fates))
        check_pullable(registry.memory)
        check_blobs(registry.memory)
        check_marks(registry.memory)
    for one in running[: len(works)]:
        assert one.error is None or (
            isinstance(one.error, RegistryError) and one.error.code in one.allowed
        ), one.error
    check_all(registry)
    registry.now += 10 * DAY
    collect(registry, 6)
    check_all(registry)
    assert set(registry.memory.objects) <= named_keys(registry.memory)
    assert not registry.memory.buried


def test_a_collector_with_no_time_left_says_that_there_is_more() -> None:
    registry = RegistryInMemory()
    upload(registry, BLOBS[0])
    registry.now += 8 * DAY
    report = registry.collector.run(registry.now)
    assert not report.is_complete
    assert registry.memory.links


def test_a_run_for_one_account_frees_nothing_of_another() -> None:
    registry = RegistryInMemory()
    upload(registry, BLOBS[0])
    registry.now += 8 * DAY
    assert not registry.collector.run(FOREVER, "somebody else").accounts
    assert registry.memory.links
    assert registry.collector.run(FOREVER, "account").of("account").links == 1


def test_one_row_that_cannot_be_collected_keeps_no_other_from_going(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first run takes the links, an hour later the second takes the blobs."""
    registry = RegistryInMemory()
    stuck, _ = upload(registry, BLOBS[0]), upload(registry, BLOBS[1])
    registry.now += 8 * DAY
    collect(registry)
    write = MemoryTransactions.write

    def failing(self: MemoryTransactions, changes: Sequence[Change]) -> list[Change]:
        if any(isinstance(one, RemoveBlob) and one.digest == stuck for one in changes):
            raise OSError("the row is stuck")
        return write(self, changes)

    monkeypatch.setattr(MemoryTransactions, "write", failing)
    report = registry.collector.run(FOREVER)
    assert report.failures == 2
    assert {digest for _, digest in registry.memory.blobs} == {stuck}


def test_the_report_says_what_of_each_kind_went() -> None:
    registry = RegistryInMemory()
    everything_due(registry)
    total = registry.collector.run(FOREVER).total
    for _ in range(6):
        registry.now += DAY
        total.add(registry.collector.run(FOREVER).total)
    sizes = sum(len(content) for content in BLOBS)
    assert (total.blobs, total.bytes) == (len(BLOBS), sizes)
    assert (total.manifests, total.trash, total.uploads) == (1, 1, 1)
    assert total.links == len(BLOBS)


def test_what_a_deletion_in_many_steps_that_died_kept_is_given_back_without_the_bytes_of_its_image() -> None:
    """They are an object, which the image still names."""
    registry = RegistryInMemory()
    push(registry, BIG_OTHER, "latest")
    operation = Operation("delete", partial(registry.manifests.delete, REPOSITORY, BIG_OTHER.digest))
    key = REPOSITORY.name, BIG_OTHER.digest
    while key not in registry.memory.trash or not registry.memory.trash[key].held:
        operation.step()
    operation.step(Fate.DIE_BEFORE)
    registry.now += 3700
    collect(registry, 2)
    assert not registry.memory.trash
    assert registry.manifests.get(REPOSITORY, "latest").raw == BIG_OTHER.manifest.raw
