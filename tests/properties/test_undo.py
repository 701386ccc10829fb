"""Restores that break at any call, and that meet the collector, pushes and deletes at any call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from chalicelib.registry.manifests import Push
from chalicelib.registry.policies import IMMUTABLE_TAGS, RETENTION, Policy, repository_scope
from chalicelib.registry.stores import LIVE
from chalicelib.registry.undo import GONE, HOLD_SECONDS, RESTORABLE
from chalicelib.registry.uploads import Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository
from tests.properties.documents import (
    BIG,
    BIG_OTHER,
    CONTENTS,
    INDEX,
    NESTED,
    OTHER,
    SIGNATURE,
    SMALL,
    SPILLED,
    WIDE,
    Document,
)
from tests.properties.interleaving import BROKEN, Fate, Operation
from tests.properties.registry_in_memory import (
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
WEEK: Final = 7 * 24 * 3600


class Laboratory:
    """A registry whose verbs are said of documents, with a collector of what is due."""

    def __init__(self) -> None:
        self.registry = RegistryInMemory()
        self.memory, self.undo = self.registry.memory, self.registry.undo
        for content in CONTENTS:
            row = self.registry.uploads.open(REPOSITORY)
            self.registry.uploads.close(REPOSITORY, row.session, Digest.of(content), Chunk([content]))

    def push(self, document: Document, *tags: str) -> None:
        self.registry.manifests.put(Push(REPOSITORY, document.manifest, document.digest, tags))

    def delete(self, document: Document) -> None:
        self.registry.manifests.delete(REPOSITORY, document.digest)

    def delete_blobs(self) -> None:
        """Every link of the repository that nothing names, as the collector takes them."""
        for name, digest in list(self.memory.links):
            if not self.memory.links[name, digest].references:
                self.registry.blobs.delete(REPOSITORY, digest)

    def collect(self) -> None:
        """Release what is due, as it is now."""
        for _, row in list(self.memory.trash.items()):
            if row.due <= self.registry.now:
                self.undo.trash.release(REPOSITORY, row, row.due)

    def restore(self, document: Document, **options: Any) -> Any:
        return self.undo.restore(REPOSITORY, document.digest, **options)

    def tag(self, tag: str) -> Digest | None:
        row = self.memory.tags.get((REPOSITORY.name, tag))
        return row.digest if row else None

    def is_live(self, document: Document) -> bool:
        row = self.memory.manifests.get((REPOSITORY.name, document.digest))
        return row is not None and row.state == LIVE

    def is_kept(self, document: Document) -> bool:
        return (REPOSITORY.name, document.digest) in self.memory.trash

    def check(self) -> None:
        for check in (check_pullable, check_tags, check_counts, check_referrers, check_blobs, check_keys):
            check(self.memory)


@pytest.fixture
def lab() -> Iterator[Laboratory]:
    with small_limits():
        yield Laboratory()


def deleted(lab: Laboratory, document: Document, *tags: str) -> None:
    """With its children, pushed and deleted, and nothing but the trash left of it."""
    ordered = below(document)
    for one in ordered:
        lab.push(one, *(tags if one is document else ()))
    for one in reversed(ordered):
        lab.delete(one)
    lab.delete_blobs()
    assert not lab.memory.links


def below(document: Document) -> list[Document]:
    by_digest = {one.digest: one for one in (SMALL, OTHER, BIG, BIG_OTHER, SPILLED, INDEX, NESTED)}
    found: list[Document] = []
    for descriptor in document.manifest.children:
        found += [one for one in below(by_digest[descriptor.digest]) if one not in found]
    return [*found, document]


RESTORED: Final = pytest.mark.parametrize("document", [SMALL, SPILLED, BIG, BIG_OTHER, NESTED, WIDE], ids=str)


@RESTORED
def test_a_deleted_manifest_comes_back_with_its_bytes_its_blobs_its_children_and_its_tags(
    lab: Laboratory, document: Document
) -> None:
    deleted(lab, document, "v1", "latest")
    restored = lab.restore(document)
    assert restored.tags == ("latest", "v1")
    assert (restored.manifests[-1], restored.left) == (document.digest, {})
    assert lab.registry.manifests.get(REPOSITORY, "v1").raw == document.manifest.raw
    assert not lab.memory.trash
    lab.check()
    assert lab.memory.objects.keys() == named_keys(lab.memory)


@RESTORED
@pytest.mark.parametrize("fate", BROKEN, ids=[fate.name.lower() for fate in BROKEN])
def test_a_restore_that_breaks_at_any_call_is_completed_by_another(document: Document, fate: Fate) -> None:
    for stop in range(200):
        with small_limits():
            lab = Laboratory()
            deleted(lab, document, "v1")
            operation = Operation("restore", lambda lab=lab: lab.restore(document))
            for _ in range(stop):
                if not operation.is_done:
                    operation.step()
            if operation.is_done:
                assert stop > 5
                return
            operation.step(fate)
            lab.check()
            operation.finish()
            lab.check()
            lab.restore(document)
            assert lab.tag("v1") == document.digest
            lab.check()
            # Of a child that came back before it broke, until then.
            lab.registry.now += WEEK + 1
            lab.collect()
            assert not lab.memory.trash
            lab.check()
    pytest.fail("a restore makes no end of calls")


RIVALS: Final[dict[str, Callable[[Laboratory, Document], Any]]] = {
    "collector": lambda lab, _: lab.collect(),
    "restore": lambda lab, one: lab.restore(one),
    "push": lambda lab, one: lab.push(one, "v1"),
    "push, delete": lambda lab, one: (lab.push(one), lab.delete(one)),
    "delete": lambda lab, one: lab.delete(one),
    "purge": lambda lab, one: lab.undo.purge(REPOSITORY, one.digest),
    "blobs go": lambda lab, _: lab.delete_blobs(),
    "tag taken": lambda lab, _: lab.push(OTHER, "v1"),
}
# Those that let a restored manifest be where it was, or where it was put by the rival itself.
KEEPS: Final = {"restore", "push", "blobs go", "tag taken"}


@pytest.mark.parametrize("rival", RIVALS)
@pytest.mark.parametrize("document", [SMALL, SPILLED, BIG_OTHER], ids=str)
def test_a_restore_met_by_another_at_any_call_breaks_nothing_and_loses_nothing(
    document: Document, rival: str
) -> None:
    for stop in range(200):
        with small_limits():
            lab = Laboratory()
            deleted(lab, document, "v1")
            for content in CONTENTS:
                row = lab.registry.uploads.open(REPOSITORY)
                lab.registry.uploads.close(REPOSITORY, row.session, Digest.of(content), Chunk([content]))
            lab.registry.now += WEEK + 1
            operation = Operation("restore", lambda lab=lab: lab.restore(document))
            for _ in range(stop):
                if not operation.is_done:
                    operation.step()
            if operation.is_done:
                return
            met = outcome(lambda lab=lab: RIVALS[rival](lab, document))
            assert met in {None, ErrorCode.MANIFEST_UNKNOWN, ErrorCode.MANIFEST_BLOB_UNKNOWN}
            lab.check()
            operation.finish()
            lab.check()
            judge(lab, document, rival, met, operation.error)
    pytest.fail("a restore makes no end of calls")


def judge(
    lab: Laboratory, document: Document, rival: str, met: ErrorCode | None, error: BaseException | None
) -> None:
    if isinstance(error, RegistryError):
        # The trash was emptied before it was found, or in the middle.
        assert error.code is ErrorCode.MANIFEST_UNKNOWN, error
        assert rival in {"collector", "purge"}
        assert met is None
        assert not lab.is_kept(document)
        return
    assert error is None, error
    is_there = lab.is_live(document)
    if rival in KEEPS:
        assert is_there
        assert lab.tag("v1") in {document.digest, OTHER.digest}
    if rival in {"delete", "push, delete"}:
        assert is_there or lab.is_kept(document), "it is neither there nor in the trash"


def outcome(work: Callable[[], Any]) -> ErrorCode | None:
    try:
        work()
    except RegistryError as error:
        return error.code
    return None


def test_the_collector_leaves_what_is_being_restored_alone(lab: Laboratory) -> None:
    deleted(lab, BIG, "v1")
    lab.registry.now += WEEK + 1
    operation = Operation("restore", lambda: lab.restore(BIG))
    while "MoveTrash" not in operation.waiting:
        operation.step()
    operation.step(Fate.DIE_AFTER)
    lab.collect()
    assert lab.is_kept(BIG)
    lab.restore(BIG)
    assert lab.tag("v1") == BIG.digest


def test_what_a_dead_restore_held_is_collected_in_the_end(lab: Laboratory) -> None:
    deleted(lab, BIG, "v1")
    lab.registry.now += WEEK + 1
    operation = Operation("restore", lambda: lab.restore(BIG))
    while "MoveTrash" not in operation.waiting:
        operation.step()
    operation.step(Fate.DIE_AFTER)
    lab.registry.now += HOLD_SECONDS + 1
    lab.collect()
    assert not lab.memory.trash
    lab.check()


@pytest.mark.parametrize("is_forced", [False, True], ids=["left", "forced"])
def test_a_tag_that_names_something_else_by_now_is_left_and_told_of_unless_forced(
    lab: Laboratory, *, is_forced: bool
) -> None:
    lab.push(SMALL, "v1", "v2")
    lab.delete(SMALL)
    lab.push(OTHER, "v1")
    restored = lab.restore(SMALL, force=is_forced)
    assert restored.tags == (("v2", "v1") if is_forced else ("v2",))
    assert restored.left == ({} if is_forced else {"v1": OTHER.digest})
    assert lab.tag("v1") == (SMALL.digest if is_forced else OTHER.digest)
    assert lab.tag("v2") == SMALL.digest


def test_more_tags_than_one_transaction_takes_come_back(
    lab: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.registry.undo.TAGS_AT_ONCE", 1)
    tags = [f"v{number}" for number in range(7)]
    for tag in tags:
        lab.push(SMALL, tag)
    lab.delete(SMALL)
    assert sorted(lab.restore(SMALL).tags) == tags
    assert sorted(tag for _, tag in lab.memory.tags) == tags
    lab.check()


def test_a_restore_by_other_tags_gives_those_alone(lab: Laboratory) -> None:
    deleted(lab, SMALL, "v1")
    assert lab.restore(SMALL, tags=["rescued"]).tags == ("rescued",)
    assert (lab.tag("rescued"), lab.tag("v1")) == (SMALL.digest, None)


@pytest.mark.parametrize("is_wanted", [True, False], ids=["with", "without"])
def test_signatures_deleted_with_their_subject_come_back_with_it(lab: Laboratory, *, is_wanted: bool) -> None:
    lab.push(SMALL, "v1")
    lab.push(SIGNATURE)
    lab.delete(SIGNATURE)
    lab.delete(SMALL)
    restored = lab.restore(SMALL, referrers=is_wanted)
    assert lab.is_live(SIGNATURE) == is_wanted
    assert (SIGNATURE.digest in restored.manifests) == is_wanted
    lab.check()


def test_what_was_never_deleted_or_is_not_kept_any_more_is_not_restored(lab: Laboratory) -> None:
    with pytest.raises(RegistryError, match="not in the trash"):
        lab.restore(SMALL)
    deleted(lab, SMALL)
    lab.registry.now += WEEK + 1
    lab.collect()
    with pytest.raises(RegistryError, match="not in the trash"):
        lab.restore(SMALL)
    lab.check()


def test_an_index_whose_child_is_gone_for_good_is_refused_and_nothing_comes_back(lab: Laboratory) -> None:
    deleted(lab, INDEX, "v1")
    lab.undo.purge(REPOSITORY, OTHER.digest)
    with pytest.raises(RegistryError, match=OTHER.digest):
        lab.restore(INDEX)
    assert not lab.memory.manifests
    lab.check()


def test_a_purge_takes_the_bytes_away_for_good(lab: Laboratory) -> None:
    deleted(lab, SPILLED)
    keys = lab.memory.objects.keys() - {blob.storage_key for blob in lab.memory.blobs.values()}
    lab.undo.purge(REPOSITORY, SPILLED.digest)
    assert keys
    assert keys <= lab.memory.buried
    assert not any(lab.memory.blob_keeps.values())
    with pytest.raises(RegistryError, match="not in the trash"):
        lab.undo.purge(REPOSITORY, SPILLED.digest)


def test_a_large_delete_that_died_leaves_its_bytes_to_the_trash(lab: Laboratory) -> None:
    """Whoever ended it deleted them: they were the trash's by then."""
    lab.push(BIG_OTHER, "v1")
    operation = Operation("delete", lambda: lab.delete(BIG_OTHER))
    while lab.is_live(BIG_OTHER):
        operation.step()
    operation.step(Fate.DIE_BEFORE)
    with pytest.raises(RegistryError, match="MANIFEST_UNKNOWN"):
        lab.delete(BIG_OTHER)
    lab.check()
    lab.restore(BIG_OTHER)
    assert lab.registry.manifests.get(REPOSITORY, "v1").raw == BIG_OTHER.manifest.raw


# Tags.


def test_a_rollback_names_what_the_tag_named_before_and_another_one_comes_back(lab: Laboratory) -> None:
    three_versions(lab)
    assert lab.undo.rollback(REPOSITORY, "v1").digest == OTHER.digest
    lab.registry.now += 1
    assert lab.undo.rollback(REPOSITORY, "v1").digest == BIG.digest
    lab.registry.now += 1
    assert lab.undo.rollback(REPOSITORY, "v1", back=2).digest == SMALL.digest
    lab.registry.now += 1
    actions = [move.action for move in lab.undo.moves(REPOSITORY, "v1")]
    assert actions[:2] == ["rollback"] * 2
    lab.check()


def three_versions(lab: Laboratory) -> None:
    """SMALL, OTHER, BIG, a second after another, from the second 1001 on."""
    for document in (SMALL, OTHER, BIG):
        lab.registry.now += 1
        lab.push(document, "v1")
    lab.registry.now += 1


def test_a_rollback_after_a_rollback_counts_no_image_twice(lab: Laboratory) -> None:
    three_versions(lab)
    lab.undo.rollback(REPOSITORY, "v1")
    lab.registry.now += 1
    with pytest.raises(RegistryError, match="no such version"):
        lab.undo.rollback(REPOSITORY, "v1", back=3)
    rolled = lab.undo.rollback(REPOSITORY, "v1", back=2)
    assert (rolled.digest, rolled.tags) == (SMALL.digest, ("v1",))


def test_a_rollback_by_versions_by_time_and_by_digest(lab: Laboratory) -> None:
    three_versions(lab)
    assert lab.undo.rollback(REPOSITORY, "v1", back=2).digest == SMALL.digest
    lab.registry.now += 1
    assert lab.undo.rollback(REPOSITORY, "v1", at=1_002_500).digest == OTHER.digest
    lab.registry.now += 1
    assert lab.undo.rollback(REPOSITORY, "v1", digest=BIG.digest).digest == BIG.digest
    assert lab.tag("v1") == BIG.digest


def test_a_rollback_restores_what_was_deleted(lab: Laboratory) -> None:
    three_versions(lab)
    lab.delete(OTHER)
    rolled = lab.undo.rollback(REPOSITORY, "v1")
    assert (rolled.digest, rolled.manifests, rolled.tags) == (OTHER.digest, (OTHER.digest,), ("v1",))
    assert lab.tag("v1") == OTHER.digest
    lab.check()


def test_a_tag_that_was_deleted_alone_is_rolled_back_to(lab: Laboratory) -> None:
    lab.push(SMALL, "v1")
    lab.registry.now += 1
    lab.registry.manifests.untag(REPOSITORY, "v1")
    assert lab.undo.rollback(REPOSITORY, "v1").digest == SMALL.digest
    assert lab.tag("v1") == SMALL.digest


def test_a_rollback_further_than_the_history_is_refused(lab: Laboratory) -> None:
    lab.push(SMALL, "v1")
    with pytest.raises(RegistryError, match="no such version"):
        lab.undo.rollback(REPOSITORY, "v1")
    with pytest.raises(RegistryError, match="no such version"):
        lab.undo.rollback(REPOSITORY, "never")


def test_a_rollback_that_another_push_overtakes_is_refused(lab: Laboratory) -> None:
    """It would take away what nobody has looked at."""
    three_versions(lab)
    operation = Operation("rollback", lambda: lab.undo.rollback(REPOSITORY, "v1"))
    while "survey" not in operation.waiting:
        operation.step()
    lab.push(SPILLED, "v1")
    assert isinstance(operation.finish().error, RegistryError)
    assert "412" in str(getattr(operation.error, "status", ""))
    assert lab.tag("v1") == SPILLED.digest


@pytest.mark.parametrize("fate", BROKEN, ids=[fate.name.lower() for fate in BROKEN])
def test_a_rollback_that_breaks_at_any_call_is_completed_by_another(fate: Fate) -> None:
    for stop in range(100):
        with small_limits():
            lab = Laboratory()
            three_versions(lab)
            lab.delete(SMALL)
            operation = Operation(
                "rollback", lambda lab=lab: lab.undo.rollback(REPOSITORY, "v1", digest=SMALL.digest)
            )
            for _ in range(stop):
                if not operation.is_done:
                    operation.step()
            if operation.is_done:
                assert stop > 5
                return
            operation.step(fate)
            operation.finish()
            lab.undo.rollback(REPOSITORY, "v1", digest=SMALL.digest)
            assert lab.tag("v1") == SMALL.digest
            lab.check()
    pytest.fail("a rollback makes no end of calls")


def test_what_a_tag_named_at_a_time_is_told_with_who_made_it_so(lab: Laboratory) -> None:
    three_versions(lab)
    at = lab.undo.at
    assert at(REPOSITORY, "v1", 1_000_999).digest is None
    assert at(REPOSITORY, "v1", 1_001_000).digest == SMALL.digest
    second = at(REPOSITORY, "v1", 1_002_999)
    assert (second.digest, second.since, second.action, second.state) == (
        OTHER.digest,
        1_002_000,
        "push",
        LIVE,
    )
    lab.delete(OTHER)
    assert at(REPOSITORY, "v1", 1_002_999).state == RESTORABLE
    assert at(REPOSITORY, "v1", 1_002_999).due == int(lab.registry.now) + WEEK
    lab.undo.purge(REPOSITORY, OTHER.digest)
    assert at(REPOSITORY, "v1", 1_002_999).state == GONE
    lab.registry.manifests.untag(REPOSITORY, "v1")
    assert at(REPOSITORY, "v1", 9_000_000).digest is None


def test_what_a_tag_named_before_its_history_begins_is_what_the_first_move_left(lab: Laboratory) -> None:
    three_versions(lab)
    del lab.memory.history[:2]
    named = lab.undo.at(REPOSITORY, "v1", 1_000_000)
    assert (named.digest, named.since) == (OTHER.digest, 0)
    lab.memory.history.clear()
    assert lab.undo.at(REPOSITORY, "v1", 1_000_000).digest == BIG.digest


def test_a_history_longer_than_a_page_is_told_whole_though_many_moves_share_a_time(
    lab: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.registry.undo.PAGE", 3)
    for number in range(20):
        lab.registry.now += number % 5 == 0
        lab.push((SMALL, OTHER)[number % 2], "v1")
    told = list(lab.undo.moves(REPOSITORY, "v1"))
    assert told == [one.move for one in reversed(lab.memory.history)]
    assert len(told) == 20


# What is kept at all.


@pytest.mark.parametrize("document", [SMALL, SPILLED, BIG_OTHER], ids=str)
def test_with_a_retention_of_no_days_nothing_is_kept_and_no_bytes_are_left(
    lab: Laboratory, document: Document
) -> None:
    put_policy(lab, RETENTION, {"days": 0})
    lab.push(document, "v1")
    lab.delete(document)
    assert not lab.memory.trash
    assert not any(lab.memory.blob_keeps.values())
    objects = {key for key in lab.memory.objects if key.startswith("manifests/")}
    assert objects == lab.memory.buried
    lab.check()


def test_what_was_kept_before_goes_with_a_deletion_that_keeps_nothing(lab: Laboratory) -> None:
    lab.push(BIG_OTHER)
    lab.delete(BIG_OTHER)
    put_policy(lab, RETENTION, {"days": 0})
    assert lab.is_kept(BIG_OTHER)
    lab.push(BIG_OTHER)
    lab.delete(BIG_OTHER)
    assert not lab.memory.trash
    lab.check()


def test_a_retention_is_that_of_the_deletion(lab: Laboratory) -> None:
    put_policy(lab, RETENTION, {"days": 30})
    lab.push(SMALL)
    lab.delete(SMALL)
    assert lab.memory.trash[REPOSITORY.name, SMALL.digest].due == int(lab.registry.now) + 30 * 24 * 3600


def put_policy(lab: Laboratory, kind: str, document: Any) -> None:
    policy = Policy(repository_scope(REPOSITORY), kind, document)
    lab.memory.policies[policy.scope, kind] = policy


# Tags that stay.


def immutable(lab: Laboratory, *patterns: str, exceptions: tuple[str, ...] = ()) -> None:
    put_policy(lab, IMMUTABLE_TAGS, {"patterns": list(patterns), "except": list(exceptions)})


@pytest.mark.parametrize("document", [OTHER, BIG], ids=str)
def test_an_immutable_tag_names_what_it_named_whatever_is_pushed(lab: Laboratory, document: Document) -> None:
    immutable(lab, "v*")
    lab.push(SMALL, "v1", "latest")
    before = dict(lab.memory.manifests)
    with pytest.raises(
        RegistryError, match=r"v1 of registry/app is immutable \(pattern v\*\) and names"
    ) as it:
        lab.push(document, "latest", "v1")
    assert (it.value.code, it.value.status) == (ErrorCode.DENIED, 403)
    assert lab.memory.manifests == before
    assert (lab.tag("v1"), lab.tag("latest")) == (SMALL.digest, SMALL.digest)
    lab.push(SMALL, "v1")
    lab.push(document, "latest")
    assert lab.tag("latest") == document.digest


def test_an_exception_of_the_pattern_may_move(lab: Laboratory) -> None:
    immutable(lab, "v*", exceptions=("*-rc*",))
    lab.push(SMALL, "v1-rc1")
    lab.push(OTHER, "v1-rc1")
    assert lab.tag("v1-rc1") == OTHER.digest


@pytest.mark.parametrize("verb", ["tag", "manifest"])
def test_an_immutable_tag_is_not_deleted_alone_nor_with_its_manifest_unless_forced(
    lab: Laboratory, verb: str
) -> None:
    immutable(lab, "v*")
    lab.push(SMALL, "v1", "latest")
    manifests = lab.registry.manifests

    def delete(**options: bool) -> None:
        if verb == "tag":
            manifests.untag(REPOSITORY, "v1", **options)
        else:
            manifests.delete(REPOSITORY, SMALL.digest, **options)

    with pytest.raises(RegistryError, match="the tag v1 of registry/app is immutable"):
        delete()
    assert (lab.tag("v1"), lab.tag("latest")) == (SMALL.digest, SMALL.digest)
    manifests.untag(REPOSITORY, "latest")
    delete(force=True)
    assert lab.tag("v1") is None


def test_a_rollback_and_a_forced_restore_move_no_immutable_tag(lab: Laboratory) -> None:
    three_versions(lab)
    lab.registry.manifests.delete(REPOSITORY, SMALL.digest)
    immutable(lab, "v*")
    with pytest.raises(RegistryError, match="is immutable"):
        lab.undo.rollback(REPOSITORY, "v1")
    with pytest.raises(RegistryError, match="is immutable"):
        lab.restore(SMALL, tags=["v1"], force=True)
    assert lab.tag("v1") == BIG.digest
    assert not lab.is_live(SMALL)
    lab.check()


def test_a_policy_set_while_a_push_runs_holds_for_every_look_after_it(lab: Laboratory) -> None:
    """A push that had looked before may still move the tag; one that has not looked yet may not."""
    lab.push(SMALL, "v1")
    looked = Operation("looked", lambda: lab.push(OTHER, "v1"))
    looked.step()
    while not looked.waiting.startswith("write"):
        looked.step()
    waiting = Operation("waiting", lambda: lab.push(BIG, "v1"))
    immutable(lab, "v*")
    assert looked.finish().error is None
    assert isinstance(waiting.finish().error, RegistryError)
    assert lab.tag("v1") == OTHER.digest
