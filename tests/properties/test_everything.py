"""The whole registry beside a simple model: everything that clients, crashes, collectors and time do to it.

10,000 steps in CI; `CCR_PROPERTIES=long` (`make soak`) makes a million, from the seed that `CCR_SEED` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Final

import pytest
from hypothesis import Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chalicelib.registry.collection import URL_SECONDS
from chalicelib.registry.manifests import Push
from chalicelib.registry.policies import RETENTION, Policy, repository_scope
from chalicelib.registry.stores import LIVE
from chalicelib.registry.uploads import SESSION_SECONDS, Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository
from tests.properties.documents import BLOBS, BY_DIGEST, DOCUMENTS, SMALL, Document
from tests.properties.effort import LONG, SEED, effort
from tests.properties.expectations import Expectations
from tests.properties.interleaving import BROKEN, Fate, Operation
from tests.properties.memory_stores import S3Error
from tests.properties.registry_in_memory import GRACE, named_keys
from tests.properties.whole_registry import Key, WholeRegistry, check_everything, facts, small_everything
from tests.support.limits import limited

REPOSITORIES: Final = (Repository("account", "registry/app"), Repository("account", "registry/base"))
TAGS: Final = ("t0", "t1", "t2")
IN_PARTS: Final = b"a blob of more than one part, whatever a part is in these tests"
CONTENTS: Final = (*BLOBS, SMALL.manifest.raw, IN_PARTS)
AT_ONCE: Final = 3
DAY: Final = 24 * 3600
FOREVER: Final = 10.0**12
SECONDS: Final = (1, 61, 700, GRACE // 2, GRACE, DAY + 1, 8 * DAY)
# Each call takes some time, so that moves of a tag have an order.
TICK: Final = 0.001
ROOM: Final = 10**9
# Of the contents, less than all and more than most.
NARROW: Final = 120

repositories = st.integers(0, 3).map(lambda number: REPOSITORIES[number // 3])
# One at the most: with so small a limit, two moved from two manifests would not fit in a transaction.
tags = st.lists(st.sampled_from(TAGS), max_size=1).map(tuple)
which = st.integers(0, AT_ONCE - 1)
kinds = st.deferred(lambda: st.sampled_from(list(KINDS)))


@dataclass(frozen=True)
class Target:
    """What an operation is about; `number` and `part` choose among what the example is about."""

    repository: Repository
    number: int
    part: int
    tags: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.repository.name


targets = st.builds(Target, repositories, st.integers(0, 5), st.integers(0, 11), tags)


@dataclass
class Running:
    """An operation on its way. `rivals` are the keys that others may have changed meanwhile."""

    operation: Operation
    kind: str
    about: About
    began: float
    possible: set[tuple[Key, Any]]
    rivals: set[Key] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    before: dict[Key, set[Any]] = field(default_factory=dict)


class EverythingMachine(RuleBasedStateMachine):
    """`made` counts the steps of every example: each rule but the first, which fills it."""

    made: ClassVar[int] = 0
    # What the bucket says to whoever comes too late.
    S3_ERRORS: ClassVar[tuple[type[Exception], ...]] = (S3Error,)
    PHASES: ClassVar[tuple[Phase, ...]] = tuple(Phase)

    def __init__(self) -> None:
        super().__init__()
        self.steps = -1
        self.stack = ExitStack()
        self.registry: Any = self.world()
        self.model = Expectations()
        self.running: list[Running] = []
        self.told: dict[Key, float] = {}
        self.documents: list[Document] = []
        self.used = 0
        self.is_hurt = False
        # Whether what is deleted may give way to what is uploaded, now or then.
        self.is_uncounted = False
        # When bytes were last linked: until an hour later somebody may be reading them.
        self.linked: dict[str, float] = {}

    def world(self) -> Any:
        self.stack.enter_context(small_everything())
        return WholeRegistry()

    def teardown(self) -> None:
        type(self).made += max(0, self.steps)
        with self.stack:
            try:
                if self.documents:
                    self.finish_all()
                    self.everything_goes_in_the_end()
            finally:
                for one in self.running:
                    one.operation.step(Fate.DIE_BEFORE)

    # What there is to begin with.

    @initialize(subject=st.sets(st.sampled_from(DOCUMENTS), min_size=1, max_size=3), is_filled=st.booleans())
    def fill(self, *, subject: set[Document], is_filled: bool) -> None:
        self.documents = [one for one in DOCUMENTS if one in subject]
        if not is_filled:
            return
        needed = {held.digest for one in self.documents for held in closure(one)}
        for number, content in enumerate(CONTENTS):
            if Digest.of(content) in needed:
                self.whole("put at once", Target(REPOSITORIES[0], 0, number, ()), content)
        for document in DOCUMENTS:
            if document.digest in needed or document in subject:
                self.whole("push", Target(REPOSITORIES[0], 0, 0, (document.name,)), document=document)

    def document(self, target: Target) -> Document:
        return self.documents[target.number % len(self.documents)]

    def content(self, target: Target) -> bytes:
        """Of a blob that the document names, or a long one."""
        named = {held.digest for held in self.document(target).holds()}
        choice = [*(one for one in CONTENTS if Digest.of(one) in named), IN_PARTS]
        return choice[target.part % len(choice)]

    # Operations.

    def whole(
        self, kind: str, target: Target, content: bytes | None = None, document: Document | None = None
    ) -> Running:
        running = self.start(kind, target, content, document)
        while running in self.running:
            self.step(running)
        return running

    def start(
        self, kind: str, target: Target, content: bytes | None = None, document: Document | None = None
    ) -> Running:
        self.registry.now += TICK
        verb = KINDS[kind]
        document = document or self.document(target)
        content = self.content(target) if content is None else content
        about = About(self, target, document, content)
        possible = set(verb.possible(about))
        label = f"{kind} [{document}, {content[:10]!r}, {target.tags}, {target.name}]"
        before = {key: self.model.of(key) for key in self.model.may}
        work = partial(verb.work, about)
        operation = Operation(label, work, verb.refusals | {ErrorCode.TOOMANYREQUESTS})
        running = Running(operation, kind, about, self.registry.now, possible, before=before)
        for other in self.running:
            other.rivals |= {key for key, _ in possible}
            other.others.add(kind)
            running.rivals |= {key for key, _ in other.possible}
            running.others.add(other.kind)
        self.model.begin(possible)
        self.running.append(running)
        self.widen()
        self.settle(running)
        return running

    def widen(self) -> None:
        """What is under way may do more, with what others do and as time passes."""
        for one in self.running:
            later = set(KINDS[one.kind].possible(one.about)) - one.possible
            one.possible |= later
            self.model.begin(later)
            for other in self.running:
                if other is not one:
                    other.rivals |= {key for key, _ in later}

    def step(self, running: Running, fate: Fate = Fate.WELL) -> None:
        self.registry.now += TICK
        waits_for = running.operation.waiting
        running.operation.step(fate)
        if waits_for.startswith(("write", "delete", "complete", "abort")):
            self.check()
        self.settle(running)

    def settle(self, running: Running) -> None:
        operation = running.operation
        if not operation.is_done:
            return
        self.running.remove(running)
        self.is_hurt = self.is_hurt or bool(operation.broken)
        self.judge(running)
        if not operation.broken and operation.error is None:
            self.acknowledged(running)
        for other in self.running:
            other.rivals |= {key for key, _ in running.possible}
        self.model.check(facts(self.registry.memory))
        if not self.running:
            self.model.settle(facts(self.registry.memory))

    def judge(self, running: Running) -> None:
        operation = running.operation
        error = operation.error
        if isinstance(error, RegistryError):
            assert error.code in operation.allowed, error
            # Whoever takes longer than a session lasts is refused for that.
            is_late = self.registry.now - running.began >= SESSION_SECONDS
            if not operation.broken and not running.rivals and not is_late:
                KINDS[running.kind].refused(Refusal(running.about, running.before, error.code))
        elif error is not None:
            assert operation.broken or isinstance(error, self.S3_ERRORS), error

    def acknowledged(self, running: Running) -> None:
        about = running.about
        effects = KINDS[running.kind].effects(about, running.operation.result)
        for key in effects:
            if key[0] == "link" and effects[key]:
                self.told[key] = max(self.told.get(key, 0), about.told or running.began)
        mine = {key for key in effects if key not in running.rivals or self.is_counted_on(key, running)}
        self.model.end({key: effects[key] for key in mine})

    def is_counted_on(self, key: Key, running: Running) -> bool:
        """No collector may take away what a client was told of, whatever it saw before."""
        by_others = [one for one in self.running if key in {seen for seen, _ in one.possible}]
        is_fresh = key[0] == "link" and self.told.get(key, 0) + GRACE > self.registry.now
        if not is_fresh or running.others - {"collect"} or any(one.kind != "collect" for one in by_others):
            return False
        for one in by_others:
            one.possible.discard((key, None))
        return True

    def check(self) -> None:
        check_everything(self.registry.memory)
        usage = self.registry.memory.usage["account"]
        assert usage.bytes <= max(usage.limit, self.used), "more was charged than there was room for"
        self.used = usage.bytes
        self.check_readers()

    def check_readers(self) -> None:
        memory = self.registry.memory
        for key, blob in memory.blobs.items():
            if memory.blob_links[key]:
                self.linked[blob.storage_key] = self.registry.now
        for storage_key in self.linked.keys() - {blob.storage_key for blob in memory.blobs.values()}:
            since = self.registry.now - self.linked.pop(storage_key)
            assert since >= URL_SECONDS, f"{storage_key} went while it may be read"

    @precondition(lambda self: len(self.running) < AT_ONCE)
    @rule(aim=targets, kind=kinds)
    def do(self, aim: Target, kind: str) -> None:
        """Beside whatever is under way."""
        self.whole(kind, aim)

    @precondition(lambda self: len(self.running) < AT_ONCE)
    @rule(aim=targets, kind=kinds, calls=st.integers(0, 6))
    def begin(self, aim: Target, kind: str, calls: int) -> None:
        running = self.start(kind, aim)
        for _ in range(calls):
            if running in self.running:
                self.step(running)

    @precondition(lambda self: len(self.running) < AT_ONCE)
    @rule(aim=targets, kind=kinds, writes=st.integers(0, 3), rival=kinds, fate=st.sampled_from(Fate))
    def overtake(self, aim: Target, kind: str, writes: int, rival: str, fate: Fate) -> None:
        """One stops before some write while another comes and goes, and then goes on, or breaks there."""
        running = self.start(kind, aim)
        self.come_to_write(running, writes)
        if len(self.running) < AT_ONCE:
            self.whole(rival, aim)
        if running in self.running:
            self.step(running, fate)

    @precondition(lambda self: len(self.running) < AT_ONCE)
    @rule(aim=targets, kind=kinds, calls=st.integers(0, 12), fate=st.sampled_from(BROKEN))
    def crash(self, aim: Target, kind: str, calls: int, fate: Fate) -> None:
        """Between any two calls."""
        running = self.start(kind, aim)
        for _ in range(calls):
            if running in self.running:
                self.step(running)
        if running in self.running:
            self.step(running, fate)

    def come_to_write(self, running: Running, writes: int) -> None:
        while running in self.running:
            if running.operation.waiting.startswith("write"):
                if not writes:
                    return
                writes -= 1
            self.step(running)

    @precondition(lambda self: self.running)
    @rule(number=which, calls=st.integers(1, 4), fate=st.sampled_from([Fate.WELL, *Fate]))
    def go_on(self, number: int, calls: int, fate: Fate) -> None:
        running = self.running[number % len(self.running)]
        for _ in range(calls - 1):
            if running in self.running:
                self.step(running)
        if running in self.running:
            self.step(running, fate)

    @rule()
    def finish_all(self) -> None:
        while self.running:
            self.step(self.running[0])

    @rule(seconds=st.sampled_from(SECONDS))
    def pass_time(self, seconds: int) -> None:
        self.registry.now += seconds
        self.widen()

    @rule(limit=st.sampled_from([NARROW, ROOM, ROOM]))
    def set_limit(self, limit: int) -> None:
        limited(self.registry.blobs.quota.usages, "account", limit)

    @precondition(lambda self: not self.running)
    @rule(is_counted=st.booleans())
    def set_retention(self, *, is_counted: bool) -> None:
        """Of what is deleted from now on in the first repository."""
        self.is_uncounted = self.is_uncounted or not is_counted
        document = {"days": 7, "counted": is_counted}
        self.registry.set_policy(Policy(repository_scope(REPOSITORIES[0]), RETENTION, document))

    @precondition(lambda self: not self.running)
    @rule()
    def everything_goes_in_the_end(self) -> None:
        """With all grace passed, what nobody needs is gone to the last byte, and nothing else is."""
        before = facts(self.registry.memory)
        self.registry.now += 9 * DAY
        for _ in range(6):
            self.whole("collect", Target(REPOSITORIES[0], 0, 0, ()))
            self.registry.now += DAY + 1
        memory = self.registry.memory
        after = facts(memory)
        stays = {key: value for key, value in before.items() if key[0] in {"live", "tag"}}
        assert {key: value for key, value in after.items() if key[0] in {"live", "tag"}} == stays
        needed = {("link", n, d) for n, d in memory.links if memory.links[n, d].references}
        assert {key for key in after if key[0] == "link"} == needed
        assert all(row.state == LIVE for row in memory.manifests.values())
        assert not memory.trash
        assert not memory.buried
        assert not memory.uploads
        assert {digest for _, digest in memory.blobs} == {digest for _, digest in memory.links}
        # What a request that broke could not delete any more is for the sweep of the bucket.
        left = set() if self.is_hurt else {key for key in memory.objects if not key.startswith("staged")}
        assert left <= named_keys(memory), f"nothing names {left - named_keys(memory)}"

    @invariant()
    def hold_true(self) -> None:
        self.steps += 1
        self.check()


def closure(document: Document) -> set[Any]:
    """What it names, and what that names."""
    below = [closure(BY_DIGEST[one.digest]) for one in document.holds() if one.digest in BY_DIGEST]
    return document.holds().union(*below)


@dataclass
class About:
    """One operation: whose, on what. `told`: since when its client may count on the blob."""

    machine: EverythingMachine
    target: Target
    document: Document
    content: bytes
    told: float = 0

    @property
    def registry(self) -> Any:
        return self.machine.registry

    @property
    def repository(self) -> Repository:
        return self.target.repository

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)

    @property
    def link(self) -> Key:
        return "link", self.target.name, self.digest

    @property
    def live(self) -> Key:
        return self.of("live", self.document.digest)

    def of(self, what: str, key: str) -> Key:
        return what, self.target.name, key

    @property
    def tags(self) -> list[Key]:
        """Every tag that there may be."""
        return [self.of("tag", tag) for tag in (*TAGS, *(one.name for one in DOCUMENTS))]


@dataclass(frozen=True)
class Refusal:
    """What was answered to an operation that nothing ran beside, and what may have been `before`."""

    about: About
    before: Mapping[Key, set[Any]]
    code: ErrorCode

    def had(self, key: Key) -> bool:
        """For certain."""
        return None not in self.before.get(key, {None})


class Verb:
    """What an operation does, what it may do in any order with others, and what its answer promises."""

    refusals: frozenset[ErrorCode] = frozenset()

    def work(self, about: About) -> Any:
        raise NotImplementedError

    def possible(self, _about: About) -> Iterator[tuple[Key, Any]]:
        yield from ()

    def effects(self, _about: About, _result: Any) -> dict[Key, Any]:
        return {}

    def refused(self, refusal: Refusal) -> None:
        """Of one that nothing ran beside: whether there was a reason."""


class Upload(Verb):
    """In one of the ways in which clients send a blob."""

    refusals = frozenset({ErrorCode.DENIED, ErrorCode.BLOB_UPLOAD_UNKNOWN, ErrorCode.BLOB_UPLOAD_INVALID})

    def possible(self, about: About) -> Iterator[tuple[Key, Any]]:
        yield about.link, True
        if about.machine.is_uncounted:
            yield from ((("kept", REPOSITORIES[0].name, one.digest), None) for one in DOCUMENTS)

    def effects(self, about: About, result: Any) -> dict[Key, Any]:
        return {about.link: True} if result is not False else {}

    def refused(self, refusal: Refusal) -> None:
        registry = refusal.about.registry
        assert refusal.code is ErrorCode.DENIED, refusal.code
        room = registry.memory.usage["account"].free + registry.blobs.quota.gives_way("account")
        assert room < len(refusal.about.content), "refused, and there is room"


class PutAtOnce(Upload):
    def work(self, about: About) -> Any:
        row = about.registry.uploads.open(about.repository)
        chunk = Chunk([about.content], len(about.content))
        return about.registry.uploads.close(about.repository, row.session, about.digest, chunk)


class Patched(Upload):
    def work(self, about: About) -> Any:
        uploads, half = about.registry.uploads, len(about.content) // 2
        row = uploads.open(about.repository)
        uploads.append(about.repository, row.session, Chunk([about.content[:half]], half))
        rest = Chunk([about.content[half:]], len(about.content) - half)
        return uploads.close(about.repository, row.session, about.digest, rest)


class ThroughGateway(Upload):
    def work(self, about: About) -> Any:
        uploads = about.registry.uploads
        row = uploads.open(about.repository)
        chunk = Chunk([about.content], len(about.content))
        uploads.verify(about.repository, row.session, about.digest, chunk)
        return uploads.close(about.repository, row.session, about.digest, Chunk([]))


class Direct(Upload):
    """One PUT or several parts, by its size."""

    def work(self, about: About) -> Any:
        direct = about.registry.direct
        row = direct.open(about.repository, about.digest, len(about.content))
        about.registry.send(row, about.content)
        done = direct.complete(row)
        if done.state == "verifying":
            about.registry.verifier.verify(row.session)
            done = direct.find(row.session)
        return done.state == "published"


class Adopted(Upload):
    """Put into S3 past the registry, then asked for."""

    refusals = frozenset({*Upload.refusals, ErrorCode.BLOB_UNKNOWN})

    def work(self, about: About) -> Any:
        row = about.registry.uploads.open(about.repository)
        about.registry.stage(about.repository, about.digest, row.session, about.content)
        return about.registry.adoption.find(about.repository, about.digest)


class Mount(Verb):
    """From the other repository, or from anywhere."""

    def work(self, about: About) -> Any:
        other = REPOSITORIES[about.repository == REPOSITORIES[0]]
        source = None if about.target.part % 2 else other
        return about.registry.blobs.mount(about.repository, about.digest, source)

    def possible(self, about: About) -> Iterator[tuple[Key, Any]]:
        yield about.link, True

    def effects(self, about: About, result: Any) -> dict[Key, Any]:
        return {about.link: True} if result else {}


class Look(Verb):
    """A client asks whether it has to upload the blob: told yes, it counts on it."""

    def work(self, about: About) -> Any:
        return about.registry.blobs.look(about.repository, about.digest)

    def effects(self, about: About, result: Any) -> dict[Key, Any]:
        about.told = about.registry.now - GRACE // 2
        return {about.link: True} if result is not None else {}


class DeleteBlob(Verb):
    refusals = frozenset({ErrorCode.BLOB_UNKNOWN, ErrorCode.DENIED})

    def work(self, about: About) -> Any:
        about.registry.blobs.delete(about.repository, about.digest)

    def possible(self, about: About) -> Iterator[tuple[Key, Any]]:
        yield about.link, None

    def effects(self, about: About, _result: Any) -> dict[Key, Any]:
        return {about.link: None}

    def refused(self, refusal: Refusal) -> None:
        if refusal.code is ErrorCode.BLOB_UNKNOWN:
            assert not refusal.had(refusal.about.link)


class Put(Verb):
    # DENIED: there is no room for what it would adopt.
    refusals = frozenset({ErrorCode.MANIFEST_BLOB_UNKNOWN, ErrorCode.DENIED})

    def work(self, about: About) -> Any:
        document, tags = about.document, about.target.tags
        about.registry.manifests.put(Push(about.repository, document.manifest, document.digest, tags))

    def possible(self, about: About) -> Iterator[tuple[Key, Any]]:
        """It adopts what waits to be."""
        yield from self.effects(about, None).items()
        for held in about.document.holds():
            if about.registry.is_staged(about.repository, held.digest):
                yield about.of("link", held.digest), True

    def effects(self, about: About, _result: Any) -> dict[Key, Any]:
        named = {about.of("tag", tag): about.document.digest for tag in about.target.tags}
        return {about.live: True, **named}

    def refused(self, refusal: Refusal) -> None:
        about = refusal.about
        needed = {about.of("link", one) for one in about.document.blobs}
        needed |= {about.of("live", one) for one in about.document.children}
        is_unclear = bool(about.document.manifest.unclear)
        assert is_unclear or not all(map(refusal.had, needed)), "all of it is there"


class Delete(Verb):
    refusals = frozenset({ErrorCode.MANIFEST_UNKNOWN, ErrorCode.DENIED})

    def work(self, about: About) -> Any:
        about.registry.manifests.delete(about.repository, about.document.digest)

    def possible(self, about: About) -> Iterator[tuple[Key, Any]]:
        yield about.live, None
        yield about.of("kept", about.document.digest), True
        # Kept before, and given back to be kept anew.
        yield about.of("kept", about.document.digest), None
        yield from ((key, None) for key in about.tags if about.document.digest in about.machine.model.of(key))

    def effects(self, about: About, _result: Any) -> dict[Key, Any]:
        model, digest = about.machine.model, about.document.digest
        gone = {key: None for key in about.tags if digest in model.of(key) and len(model.of(key)) <= 2}
        return {about.live: None, about.of("kept", digest): True, **gone}

    def refused(self, refusal: Refusal) -> None:
        if refusal.code is ErrorCode.MANIFEST_UNKNOWN:
            assert not refusal.had(refusal.about.live)


class Untag(Verb):
    refusals = frozenset({ErrorCode.MANIFEST_UNKNOWN})

    def _tag(self, about: About) -> str:
        return (*about.target.tags, about.document.name)[0]

    def work(self, about: About) -> Any:
        about.registry.manifests.untag(about.repository, self._tag(about))

    def possible(self, about: About) -> Iterator[tuple[Key, Any]]:
        yield about.of("tag", self._tag(about)), None

    def effects(self, about: About, _result: Any) -> dict[Key, Any]:
        return {about.of("tag", self._tag(about)): None}


class Restore(Verb):
    """With what it names and what refers to it."""

    refusals = frozenset({ErrorCode.MANIFEST_UNKNOWN})

    def work(self, about: About) -> Any:
        force = about.target.part % 2 == 1
        return about.registry.undo.restore(about.repository, about.document.digest, force=force)

    def possible(self, about: About) -> Iterator[tuple[Key, Any]]:
        for one in DOCUMENTS:
            yield about.of("live", one.digest), True
            yield about.of("kept", one.digest), None
            yield from ((key, one.digest) for key in about.tags)
        yield from ((about.of("link", Digest.of(content)), True) for content in CONTENTS)

    def effects(self, about: About, result: Any) -> dict[Key, Any]:
        named = {about.of("tag", tag): result.digest for tag in result.tags}
        return {about.live: True, about.of("kept", about.document.digest): None, **named}

    def refused(self, refusal: Refusal) -> None:
        about = refusal.about
        kept = about.of("kept", about.document.digest)
        children = [about.of("live", one) for one in about.document.children]
        is_whole = all(map(refusal.had, children))
        assert not (refusal.had(kept) and is_whole), "it is kept whole, and not restored"


class RollBack(Restore):
    refusals = frozenset(
        {ErrorCode.MANIFEST_UNKNOWN, ErrorCode.MANIFEST_INVALID, ErrorCode.MANIFEST_BLOB_UNKNOWN}
    )

    def work(self, about: About) -> Any:
        tag = (*about.target.tags, about.document.name)[0]
        return about.registry.undo.rollback(about.repository, tag, back=1 + about.target.part % 2)

    def effects(self, about: About, result: Any) -> dict[Key, Any]:
        named = {about.of("tag", tag): result.digest for tag in result.tags}
        return {about.of("live", result.digest): True, **named}

    def refused(self, refusal: Refusal) -> None:
        assert refusal.code is not ErrorCode.MANIFEST_INVALID


class Purge(Verb):
    refusals = frozenset({ErrorCode.MANIFEST_UNKNOWN})

    def work(self, about: About) -> Any:
        about.registry.undo.purge(about.repository, about.document.digest)

    def possible(self, about: About) -> Iterator[tuple[Key, Any]]:
        yield about.of("kept", about.document.digest), None

    def effects(self, about: About, _result: Any) -> dict[Key, Any]:
        return {about.of("kept", about.document.digest): None}


class Pull(Verb):
    refusals = frozenset({ErrorCode.MANIFEST_UNKNOWN})

    def work(self, about: About) -> Any:
        stored = about.registry.manifests.get(about.repository, about.document.digest)
        assert stored.raw == about.document.manifest.raw
        return stored

    def refused(self, refusal: Refusal) -> None:
        assert not refusal.had(refusal.about.live), "it can be pulled, and is not there"


class Collect(Verb):
    def work(self, about: About) -> Any:
        report = about.registry.collector.run(FOREVER)
        assert report.is_complete
        return report

    def possible(self, about: About) -> Iterator[tuple[Key, Any]]:
        """What nobody counts on any more, and what cannot be restored any more."""
        registry, told = about.registry, about.machine.told
        for key in about.machine.model.may:
            if key[0] == "link" and told.get(key, 0) + GRACE <= registry.now:
                yield key, None
        for (name, digest), row in registry.memory.trash.items():
            if row.due <= registry.now:
                yield ("kept", name, digest), None


KINDS: Final[dict[str, Verb]] = {
    "put at once": PutAtOnce(),
    "patch and put": Patched(),
    "through a gateway": ThroughGateway(),
    "direct": Direct(),
    "adopt": Adopted(),
    "mount": Mount(),
    "look": Look(),
    "delete the blob": DeleteBlob(),
    "push": Put(),
    "push again": Put(),
    "delete": Delete(),
    "delete again": Delete(),
    "untag": Untag(),
    "restore": Restore(),
    "roll back": RollBack(),
    "purge": Purge(),
    "pull": Pull(),
    "collect": Collect(),
}

STEPS: Final = 50
# Each part is one process's; together they make this many steps.
PARTS: Final = 40 if LONG else 1
WANTED: Final = 1_000_000 if LONG else 10_000
# A part that goes on goes on beyond those of all parts.
SEEDS: Final = 1000


@pytest.mark.parametrize("part", range(PARTS))
def test_everything_stays_as_it_must_be(part: int) -> None:
    wanted = WANTED // PARTS
    assert run(EverythingMachine, wanted, None if SEED is None else SEED + part) >= wanted


def run(machine: type[EverythingMachine], steps: int, number: int | None = None) -> int:
    """At least so many steps, from that seed where one is given; how many were made."""
    own = type(machine.__name__, (machine,), {"made": 0})
    said = "" if number is None else f" from seed {number}"
    while own.made < steps:
        if number is not None:
            seed(number)(own)
            number += SEEDS
        # Some end early: then there are more.
        examples = -(-(steps - own.made) // STEPS)
        chosen = settings(effort(examples, examples, STEPS), phases=own.PHASES)
        run_state_machine_as_test(own, settings=chosen)
    print(f"{own.made} steps of {machine.__name__}{said}")
    return own.made
