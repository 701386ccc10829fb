"""Pushes, deletes, mounts and uploads of overlapping content, interleaved and broken at every store call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chalicelib.registry.manifests import Precondition, Push
from chalicelib.registry.stores import LIVE, Held
from chalicelib.registry.uploads import Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository
from tests.properties.documents import BIG, BIG_SBOM, BY_DIGEST, CONTENTS, DOCUMENTS, WIDE, Document
from tests.properties.effort import effort
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

REPOSITORIES: Final = [Repository("account", "registry/app"), Repository("account", "registry/base")]
TAGS: Final = ["t0", "t1", "t2", "t3", "t4", "t5"]
AT_ONCE: Final = 4
UNCONDITIONAL: Final = Precondition()

# The first one most of the time, where operations meet.
repositories = st.integers(0, 4).map(lambda number: REPOSITORIES[number // 4])
# Those that are staged more often than their share.
documents = st.sampled_from([*DOCUMENTS, BIG, BIG_SBOM, WIDE])
contents = st.sampled_from(CONTENTS)
numbers = st.integers(0, 11)
which = st.integers(0, AT_ONCE - 1)
kinds = st.deferred(lambda: st.sampled_from(list(KINDS)))


@dataclass(frozen=True)
class Target:
    """What an operation is about: `number` and `part` choose among what the example is about."""

    repository: Repository
    number: int
    part: int
    tags: tuple[str, ...]

    def document(self, machine: ManifestMachine) -> Document:
        return machine.documents[self.number % len(machine.documents)]

    def content(self, machine: ManifestMachine) -> bytes:
        """Of a blob that the document names."""
        named = {held.digest for held in self.document(machine).holds()}
        choice = [one for one in CONTENTS if Digest.of(one) in named] or CONTENTS
        return choice[self.part % len(choice)]

    def shown(self, machine: ManifestMachine) -> str:
        content = self.content(machine)[:12]
        return f"[{self.document(machine)}, {content!r}, {self.tags}, {self.repository.name}]"


def closure(document: Document) -> set[Held]:
    """What it names, and what that names."""
    below = [closure(BY_DIGEST[one.digest]) for one in document.holds() if one.digest in BY_DIGEST]
    return document.holds().union(*below)


targets = st.builds(
    Target,
    repositories,
    numbers,
    numbers,
    st.lists(st.sampled_from(TAGS), max_size=2, unique=True).map(tuple),
)


class ManifestMachine(RuleBasedStateMachine):
    """Several operations are on their way at once; each rule starts one, or lets one go on."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(small_limits())
        self.registry = RegistryInMemory()
        self.memory = self.registry.memory
        self.operations: list[Operation] = []
        self.documents: list[Document] = []
        self.hurt = False

    def teardown(self) -> None:
        with self.stack:
            for operation in self.operations:
                operation.step(Fate.DIE_BEFORE)

    def start(self, target: Target, kind: str) -> Operation:
        make, codes = KINDS[kind]
        label = f"{kind} {target.shown(self)}"
        operation = Operation(label, make(self, target), codes | {ErrorCode.TOOMANYREQUESTS})
        self.operations.append(operation)
        self.settle(operation)
        return operation

    def settle(self, operation: Operation) -> None:
        """Judge how it ended."""
        if not operation.is_done:
            return
        self.operations.remove(operation)
        self.hurt = self.hurt or bool(operation.broken)
        error = operation.error
        if isinstance(error, RegistryError):
            assert error.code in operation.allowed, error
        elif error is not None:
            assert operation.broken, error

    # What is there to begin with.

    @initialize(
        subject=st.sets(documents, min_size=1, max_size=3),
        missing=st.sets(contents, max_size=1),
        is_pushed=st.booleans(),
        is_everywhere=st.booleans(),
    )
    def fill(
        self, *, subject: set[Document], missing: set[bytes], is_pushed: bool, is_everywhere: bool
    ) -> None:
        """An example is about a few manifests, so that its operations meet."""
        self.documents = [one for one in DOCUMENTS if one in subject]
        needed = {held.digest for one in self.documents for held in closure(one)}
        for repository in REPOSITORIES if is_everywhere else REPOSITORIES[:1]:
            for content in CONTENTS:
                if Digest.of(content) in needed and content not in missing:
                    self.upload(repository, content)
            for document in DOCUMENTS:
                if document.digest in needed or (is_pushed and document in subject):
                    self.attempt(repository, document, document.name)

    def upload(self, repository: Repository, content: bytes) -> None:
        row = self.registry.uploads.open(repository)
        chunk = Chunk([content], len(content))
        self.registry.uploads.close(repository, row.session, Digest.of(content), chunk)

    def put(self, target: Target, precondition: Precondition = UNCONDITIONAL) -> None:
        document = target.document(self)
        self.registry.manifests.put(
            Push(
                target.repository,
                document.manifest,
                document.digest,
                target.tags,
                precondition=precondition,
            )
        )

    def pull(self, repository: Repository, reference: Digest | str) -> None:
        stored = self.registry.manifests.get(repository, reference)
        assert stored.raw == BY_DIGEST[stored.digest].manifest.raw

    def attempt(self, repository: Repository, document: Document, *tags: str) -> RegistryError | None:
        try:
            self.registry.manifests.put(Push(repository, document.manifest, document.digest, tags))
        except RegistryError as error:
            return error
        return None

    # Operations.

    @precondition(lambda self: len(self.operations) < AT_ONCE)
    @rule(about=targets, kind=kinds)
    def begin(self, about: Target, kind: str) -> None:
        self.start(about, kind)

    @precondition(lambda self: not self.operations)
    @rule(
        about=targets,
        together=st.lists(kinds, min_size=2, max_size=AT_ONCE),
        turns=st.lists(which, max_size=20),
        fate=st.sampled_from(Fate),
    )
    def race(self, about: Target, together: list[str], turns: list[int], fate: Fate) -> None:
        """Several about the same content at once, in the order of `turns`; one of them may break."""
        operations = [self.start(about, kind) for kind in together]
        for turn in turns:
            operation = operations[turn % len(operations)]
            if not operation.is_done:
                self.step(operation)
        if self.operations and fate is not Fate.WELL:
            self.step(self.operations[0], fate)

    @precondition(lambda self: not self.operations)
    @rule(about=targets, kind=kinds, rival=kinds, writes=st.integers(0, 3), fate=st.sampled_from(Fate))
    def overtake_at(self, about: Target, kind: str, rival: str, writes: int, fate: Fate) -> None:
        """One stops before some write while another comes and goes, and then goes on, or breaks there."""
        operation = self.start(about, kind)
        self.come_to_write(operation, writes)
        other = self.start(about, rival)
        while not other.is_done:
            self.step(other)
        if not operation.is_done:
            self.step(operation, fate)

    @precondition(lambda self: len(self.operations) < AT_ONCE)
    @rule(about=targets, kind=kinds, writes=st.integers(0, 3), fate=st.sampled_from(BROKEN))
    def break_at(self, about: Target, kind: str, writes: int, fate: Fate) -> None:
        operation = self.start(about, kind)
        self.come_to_write(operation, writes)
        if not operation.is_done:
            self.step(operation, fate)

    def come_to_write(self, operation: Operation, writes: int) -> None:
        """Past as many transactions."""
        while not operation.is_done:
            if operation.waiting.startswith("write"):
                if not writes:
                    return
                writes -= 1
            self.step(operation)

    @precondition(lambda self: self.operations)
    @rule(number=which, steps=st.integers(1, 3))
    def go_on(self, number: int, steps: int) -> None:
        operation = self.operations[number % len(self.operations)]
        for _ in range(steps):
            if not operation.is_done:
                self.step(operation)

    @precondition(lambda self: self.operations)
    @rule(number=which, steps=st.integers(0, 4), fate=st.sampled_from(BROKEN))
    def break_one(self, number: int, steps: int, fate: Fate) -> None:
        operation = self.operations[number % len(self.operations)]
        self.go_on(number, steps)
        if not operation.is_done:
            self.step(operation, fate)

    def finish_all(self) -> None:
        while self.operations:
            self.step(self.operations[0])

    def step(self, operation: Operation, fate: Fate = Fate.WELL) -> None:
        operation.step(fate)
        self.settle(operation)
        self.hold_true()

    @rule(number=numbers)
    def finish_all_and_complete(self, number: int) -> None:
        """With nothing on its way, anybody can complete what a dead process left."""
        self.finish_all()
        self.nothing_is_left()
        for name, digest in self.left(number):
            error = self.attempt(Repository("account", name), BY_DIGEST[digest])
            if error is None:
                assert self.memory.manifests[name, digest].state == LIVE
            else:
                assert error.code is ErrorCode.MANIFEST_BLOB_UNKNOWN

    @rule(number=numbers)
    def finish_all_and_unwind(self, number: int) -> None:
        """Deleting what nobody can pull answers that it is not there, and makes it so."""
        self.finish_all()
        self.nothing_is_left()
        for name, digest in self.left(number):
            with pytest.raises(RegistryError, match="MANIFEST_UNKNOWN"):
                self.registry.manifests.delete(Repository("account", name), digest)
            assert (name, digest) not in self.memory.manifests

    def left(self, number: int) -> list[tuple[str, Digest]]:
        """One of the rows that cannot be pulled, if there is any."""
        found = sorted(key for key, row in self.memory.manifests.items() if row.state != LIVE)
        return [found[number % len(found)]] if found else []

    def nothing_is_left(self) -> None:
        """Unless something broke, no row is half way and no bytes are there that no row names."""
        if self.hurt:
            return
        assert all(row.state == LIVE for row in self.memory.manifests.values())
        leaked = self.memory.objects.keys() - named_keys(self.memory)
        assert not leaked, f"nothing broke, and nothing names {leaked}"

    @invariant()
    def hold_true(self) -> None:
        check_pullable(self.memory)
        check_tags(self.memory)
        check_counts(self.memory)
        check_referrers(self.memory)
        check_blobs(self.memory)
        check_keys(self.memory)


Work = Callable[[ManifestMachine, Target], Callable[[], Any]]


def upload_blob(machine: ManifestMachine, target: Target) -> Callable[[], Any]:
    return lambda: machine.upload(target.repository, target.content(machine))


def delete_blob(machine: ManifestMachine, target: Target) -> Callable[[], Any]:
    digest = Digest.of(target.content(machine))
    return lambda: machine.registry.blobs.delete(target.repository, digest)


def mount_blob(machine: ManifestMachine, target: Target) -> Callable[[], Any]:
    """From the other repository, or from anywhere."""
    digest = Digest.of(target.content(machine))
    source = None if target.part % 2 else REPOSITORIES[1]
    return lambda: machine.registry.blobs.mount(target.repository, digest, source)


def put_manifest(machine: ManifestMachine, target: Target) -> Callable[[], Any]:
    return lambda: machine.put(target)


def put_if_absent(machine: ManifestMachine, target: Target) -> Callable[[], Any]:
    return lambda: machine.put(target, Precondition(absent=True))


def put_if_it_names_the_first(machine: ManifestMachine, target: Target) -> Callable[[], Any]:
    return lambda: machine.put(target, Precondition((machine.documents[0].digest,)))


def delete_manifest(machine: ManifestMachine, target: Target) -> Callable[[], Any]:
    digest = target.document(machine).digest
    return lambda: machine.registry.manifests.delete(target.repository, digest)


def delete_first_child(machine: ManifestMachine, target: Target) -> Callable[[], Any]:
    """Of an index; of anything else the manifest itself."""
    document = target.document(machine)
    digest = min(document.children, default=document.digest)
    return lambda: machine.registry.manifests.delete(target.repository, digest)


def untag(machine: ManifestMachine, target: Target) -> Callable[[], Any]:
    return lambda: machine.registry.manifests.untag(target.repository, (*target.tags, TAGS[0])[0])


def restore(machine: ManifestMachine, target: Target) -> Callable[[], Any]:
    digest, force = target.document(machine).digest, target.part % 2 == 1
    return lambda: machine.registry.undo.restore(target.repository, digest, force=force)


def roll_back(machine: ManifestMachine, target: Target) -> Callable[[], Any]:
    tag, back = (*target.tags, TAGS[0])[0], 1 + target.part % 2
    return lambda: machine.registry.undo.rollback(target.repository, tag, back=back)


def purge(machine: ManifestMachine, target: Target) -> Callable[[], Any]:
    digest = target.document(machine).digest
    return lambda: machine.registry.undo.purge(target.repository, digest)


def pull_by_digest(machine: ManifestMachine, target: Target) -> Callable[[], Any]:
    return lambda: machine.pull(target.repository, target.document(machine).digest)


def pull_by_tag(machine: ManifestMachine, target: Target) -> Callable[[], Any]:
    return lambda: machine.pull(target.repository, (*target.tags, TAGS[0])[0])


# Each kind of operation with the refusals it may end with.
KINDS: Final[dict[str, tuple[Work, set[ErrorCode]]]] = {
    "upload": (upload_blob, set()),
    "delete the blob": (delete_blob, {ErrorCode.BLOB_UNKNOWN, ErrorCode.DENIED}),
    "mount": (mount_blob, set()),
    "put": (put_manifest, {ErrorCode.MANIFEST_BLOB_UNKNOWN}),
    "put if absent": (put_if_absent, {ErrorCode.MANIFEST_BLOB_UNKNOWN, ErrorCode.MANIFEST_INVALID}),
    "put over the first": (
        put_if_it_names_the_first,
        {ErrorCode.MANIFEST_BLOB_UNKNOWN, ErrorCode.MANIFEST_INVALID},
    ),
    "delete": (delete_manifest, {ErrorCode.MANIFEST_UNKNOWN, ErrorCode.DENIED}),
    "delete the first child": (delete_first_child, {ErrorCode.MANIFEST_UNKNOWN, ErrorCode.DENIED}),
    "untag": (untag, {ErrorCode.MANIFEST_UNKNOWN}),
    "restore": (restore, {ErrorCode.MANIFEST_UNKNOWN}),
    "roll back": (
        roll_back,
        {ErrorCode.MANIFEST_UNKNOWN, ErrorCode.MANIFEST_INVALID, ErrorCode.MANIFEST_BLOB_UNKNOWN},
    ),
    "purge": (purge, {ErrorCode.MANIFEST_UNKNOWN}),
    "get by digest": (pull_by_digest, {ErrorCode.MANIFEST_UNKNOWN}),
    "get by tag": (pull_by_tag, {ErrorCode.MANIFEST_UNKNOWN}),
}


ManifestMachine.TestCase.settings = effort(examples=80, long=4000, steps=50)
TestManifests = ManifestMachine.TestCase
