"""A lifecycle run deletes exactly what a preview at that moment shows, and nothing that changes meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.registry.changes import (
    Change,
    Charge,
    MoveManifest,
    PutBlob,
    PutLink,
    RemoveManifest,
    RemoveTag,
)
from chalicelib.registry.lifecycle import DAY
from chalicelib.registry.lifecycle_run import Lifecycle, Outcome
from chalicelib.registry.manifests import Push
from chalicelib.registry.policies import LIFECYCLE, Policy, repository_scope
from chalicelib.registry.stores import LIVE, Link, Usage
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import RegistryError
from chalicelib.spec.reference import Repository
from tests.properties.documents import CONTENTS, DOCUMENTS, Document
from tests.properties.effort import effort
from tests.properties.lifecycle_in_memory import MemoryLifecycleStore, MemoryPolicyStore
from tests.properties.memory_stores import Memory, MemoryTransactions, MemoryTrashStore
from tests.properties.registry_in_memory import (
    RegistryInMemory,
    check_counts,
    check_pullable,
    check_referrers,
    check_tags,
    small_limits,
)

REPOSITORY: Final = Repository("account", "dev/app")
TAGS: Final = ("v1", "v2", "v3", "pr-1", "latest", f"sha256-{DOCUMENTS[0].digest[7:]}.sig")


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with small_limits():
        yield


@dataclass
class World:
    """A registry with a policy, whose content is there and whose time passes."""

    registry: RegistryInMemory = field(default_factory=RegistryInMemory)

    def __post_init__(self) -> None:
        self.registry.now = 1000.0 * DAY
        self.policies = MemoryPolicyStore()
        memory, manifests = self.memory, self.registry.manifests
        memory.usage["account"] = Usage(0, 10**9)
        for content in CONTENTS:
            digest = Digest.of(content)
            key = f"blobs/{digest}"
            memory.objects[key] = content
            link = Link(digest, len(content), key)
            account = REPOSITORY.account
            put = [PutLink(REPOSITORY, link), PutBlob(account, link), Charge(account, link.size)]
            assert not MemoryTransactions(memory).write(put)
        self.lifecycle = Lifecycle(
            MemoryLifecycleStore(memory),
            MemoryTrashStore(memory),
            self.policies,
            manifests,
            clock=lambda: self.registry.now,
        )

    @property
    def memory(self) -> Memory:
        return self.registry.memory

    def keep(self, rules: list[dict[str, Any]]) -> None:
        before = self.policies.get(repository_scope(REPOSITORY), LIFECYCLE)
        version = before.version + 1 if before else 1
        assert self.policies.put(Policy(repository_scope(REPOSITORY), LIFECYCLE, {"rules": rules}, version))

    def do(self, action: Action) -> None:
        """Whatever is refused changes nothing."""
        self.registry.now += 1
        try:
            action(self)
        except RegistryError:
            return

    def run(self) -> Outcome:
        return self.lifecycle.run(REPOSITORY, int(self.registry.now))

    def live(self) -> set[Digest]:
        return {digest for (_, digest), row in self.memory.manifests.items() if row.state == LIVE}

    def tags(self) -> dict[str, Digest]:
        return {tag: row.digest for (_, tag), row in self.memory.tags.items()}

    def check(self) -> None:
        for check in (check_pullable, check_tags, check_counts, check_referrers):
            check(self.memory)


Action = Callable[[World], object]


def push(document: Document, tags: tuple[str, ...]) -> Action:
    made = Push(REPOSITORY, document.manifest, document.digest, tags)
    return lambda world: world.registry.manifests.put(made)


def pull(document: Document) -> Action:
    def action(world: World) -> None:
        manifests = world.registry.manifests
        manifests.note_pull(REPOSITORY, manifests.get(REPOSITORY, document.digest))

    return action


def untag(tag: str) -> Action:
    return lambda world: world.registry.manifests.untag(REPOSITORY, tag)


def wait(days: int) -> Action:
    def action(world: World) -> None:
        world.registry.now += days * DAY

    return action


some_document = st.sampled_from(DOCUMENTS)
some_tags = st.lists(st.sampled_from(TAGS), max_size=1).map(tuple)
changes = st.one_of(
    st.builds(push, some_document, some_tags),
    st.builds(pull, some_document),
    st.builds(untag, st.sampled_from(TAGS)),
)
steps = st.one_of(changes, changes, st.builds(wait, st.integers(1, 20)))
patterns = st.lists(st.sampled_from(("v*", "pr-*", "*", "latest", "v1")), min_size=1, max_size=2)
after = st.sampled_from(("1h", "5d", "2w"))
priority = st.integers(0, 3)
rules = st.lists(
    st.one_of(
        st.fixed_dictionaries({"action": st.just("protect"), "tags": patterns}),
        st.fixed_dictionaries(
            {
                "action": st.just("keep-newest"),
                "tags": patterns,
                "count": st.integers(1, 2),
                "priority": priority,
            }
        ),
        st.fixed_dictionaries(
            {"action": st.just("expire-tags"), "tags": patterns, "after": after, "priority": priority}
        ),
        st.fixed_dictionaries(
            {"action": st.just("expire-unpulled"), "after": after, "priority": priority},
            optional={"tags": patterns},
        ),
        st.fixed_dictionaries({"action": st.just("expire-untagged"), "after": after, "priority": priority}),
    ),
    min_size=1,
    max_size=4,
).map(lambda some: [{**one, "name": f"rule {number}"} for number, one in enumerate(some)])


def built(history: list[Action], chosen: list[dict[str, Any]]) -> World:
    """Everything first, so that what refers to others has them."""
    world = World()
    for document in DOCUMENTS:
        world.do(push(document, ()))
    for action in history:
        world.do(action)
    world.keep(chosen)
    return world


@effort(150, 4000)
@given(st.lists(steps, max_size=20), rules)
def test_a_run_deletes_exactly_what_a_preview_shows(
    history: list[Action], chosen: list[dict[str, Any]]
) -> None:
    world = built(history, chosen)
    before, tags = world.live(), world.tags()
    plan = world.lifecycle.preview(REPOSITORY, int(world.registry.now))
    assert plan is not None
    outcome = world.run()
    assert outcome.is_complete
    assert not outcome.left
    assert world.live() == {one for one in before if not plan.manifests[one].goes}
    assert world.tags() == {tag: digest for tag, digest in tags.items() if not plan.tags[tag].goes}
    told = sorted(verdict.key for verdict in outcome.gone)
    assert told == sorted(one.key for one in plan.verdicts() if one.goes)
    world.check()
    again = world.run()
    assert not [one for one in again.gone if one.tag in tags and tags[one.tag] in world.live()]


@dataclass
class Meddling:
    """Does something of others before each transaction of a run that takes away what can be pulled."""

    transactions: Any
    meddle: Callable[[], None]

    def write(self, made: list[Change]) -> list[Change]:
        if any(_takes_away(one) for one in made):
            self.meddle()
        return self.transactions.write(made)  # type: ignore[no-any-return]


def _takes_away(change: Change) -> bool:
    is_move = isinstance(change, MoveManifest) and change.before[0] == LIVE
    return is_move or isinstance(change, RemoveManifest | RemoveTag)


@effort(150, 4000)
@given(st.lists(steps, max_size=20), rules, st.lists(changes, min_size=1, max_size=8))
def test_what_changes_during_a_run_stays(
    history: list[Action], chosen: list[dict[str, Any]], meanwhile: list[Action]
) -> None:
    """No tag that moved since the run began is lost, nor what it names, nor what was pulled or pushed."""
    world = built(history, chosen)
    began, waiting = world.registry.now, list(meanwhile)
    moved: dict[str, Digest] = {}
    used: set[Digest] = set()

    def meddle() -> None:
        if not waiting:
            return
        before = dict(world.memory.moved)
        world.do(waiting.pop())
        for key, row in world.memory.manifests.items():
            if row.state == LIVE and max(row.pulled, world.memory.pushed[key]) > began:
                used.add(row.digest)
        now = world.tags()
        for (_, tag), at in world.memory.moved.items():
            if before.get((REPOSITORY.name, tag)) != at and tag in now:
                moved[tag] = now[tag]
        for tag in [one for one in moved if one not in now]:
            del moved[tag]

    manifests = replace(
        world.registry.manifests, transactions=Meddling(world.registry.manifests.transactions, meddle)
    )
    replace(world.lifecycle, manifests=manifests).run(REPOSITORY, int(began))
    assert {tag: world.tags().get(tag) for tag in moved} == moved
    assert used <= world.live()
    world.check()


@effort(100, 3000)
@given(st.lists(steps, max_size=20), rules, st.integers(0, 12))
def test_a_run_that_dies_anywhere_leaves_everything_whole_and_the_next_one_ends_it(
    history: list[Action], chosen: list[dict[str, Any]], writes: int
) -> None:
    world = built(history, chosen)
    plan = world.lifecycle.preview(REPOSITORY, int(world.registry.now))
    assert plan is not None
    left = writes

    def die() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt

    manifests = replace(
        world.registry.manifests, transactions=Meddling(world.registry.manifests.transactions, die)
    )
    try:
        replace(world.lifecycle, manifests=manifests).run(REPOSITORY, int(world.registry.now))
    except KeyboardInterrupt:
        world.check()
    world.run()
    world.check()
    stays = {digest for digest, verdict in plan.manifests.items() if not verdict.goes}
    assert world.live() == stays
    assert set(world.tags()) == {tag for tag, verdict in plan.tags.items() if not verdict.goes}
