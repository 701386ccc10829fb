"""Several clients on a few upload sessions, interleaved and broken at every store call, as leases run out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chalicelib.registry import uploads
from chalicelib.registry.parts import PartWriter
from chalicelib.registry.stores import UploadRow
from chalicelib.registry.uploads import SESSION_SECONDS, Chunk
from chalicelib.spec import running_digest
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository
from tests.properties.effort import effort
from tests.properties.interleaving import BROKEN, Fate, Operation, pause
from tests.properties.memory_stores import Memory, S3Error
from tests.properties.registry_in_memory import (
    PART_SIZE,
    RegistryInMemory,
    check_blobs,
    named_keys,
    small_limits,
)

REPOSITORIES: Final = [Repository("account", "registry/app"), Repository("account", "registry/base")]
SESSIONS: Final = 2
AT_ONCE: Final = 3
# Within the lease and its renewal, and beyond each.
SECONDS: Final = [5, 25, 61]

which = st.integers(0, AT_ONCE - 1)
blocks = st.lists(
    st.builds(lambda text, size: text * size, st.sampled_from([b"a", b"b"]), st.integers(0, 40)), max_size=4
)


class HangUpError(Exception):
    """The client went away in the middle of its request."""


@dataclass(frozen=True)
class Request:
    """What a client does to a session, and the bytes that it sends."""

    kind: str
    session: int
    blocks: tuple[bytes, ...]

    @property
    def content(self) -> bytes:
        return b"".join(self.blocks)


@dataclass(eq=False)
class Visit:
    """A request on its way: what it found, and whether it lost the session to another."""

    request: Request
    session: str
    operation: Operation
    digest: Digest | None
    found: UploadRow | None = None
    writer: str = ""
    is_overtaken: bool = False


KINDS: Final = (
    "append",
    "append at the right place",
    "append at a wrong place",
    "append and hang up",
    "append less than announced",
    "append to another repository",
    "close",
    "close with sha512",
    "close with a wrong digest",
    "close and hang up",
    "cancel",
    "status",
)
# Every call that a request may make, but the first.
calls = st.sampled_from(
    ["save", "write", "put(", "put_part", "copy_part", "complete", "begin", "abort", "get", "delete", "renew"]
)
kinds = st.sampled_from([*KINDS, "append", "append", "close", "close"])
requests = st.builds(
    Request,
    kinds,
    st.integers(0, SESSIONS - 1),
    blocks.map(tuple),
)


@dataclass
class Watched:
    """What is known of a session beside its row. Excused: its bytes may be left for the collector."""

    row: UploadRow
    content: bytes = b""
    published: int = 0
    is_excused: bool = False
    is_overtaken: bool = False
    faults: int = 0
    deaths: int = 0


def content_of(memory: Memory, row: UploadRow) -> bytes | None:
    """Every byte that a session's row describes; None where some are gone."""
    pieces: list[bytes] = []
    if row.multipart_id:
        upload = memory.multiparts.get(row.multipart_id)
        parts = upload.parts if upload else {}
        for number, part in enumerate(row.parts, start=1):
            etag, content = parts.get(number, ("", b""))
            if etag != part.etag:
                return None
            pieces.append(content)
        if upload is None:
            return None
    return b"".join([*pieces, *tail_of(memory, row)])


def tail_of(memory: Memory, row: UploadRow) -> list[bytes]:
    if not row.tail_key:
        return []
    tail = memory.objects.get(row.tail_key)
    assert tail is not None, f"the tail at {row.tail_key} is gone"
    assert row.tail_size == len(tail) <= PART_SIZE
    return [tail]


class UploadMachine(RuleBasedStateMachine):
    """Clients share sessions, which a well-behaved one does not."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(small_limits())
        self.patch = self.stack.enter_context(pytest.MonkeyPatch.context())
        self.writers: list[PartWriter] = []
        self.patch.setattr(uploads, "PartWriter", self.part_writer)
        self.visits: list[Visit] = []
        self.sessions: list[str] = []
        self.watched: dict[str, Watched] = {}

    def part_writer(self, **named: Any) -> PartWriter:
        self.writers.append(PartWriter(**named))
        return self.writers[-1]

    def teardown(self) -> None:
        with self.stack:
            for visit in self.visits:
                visit.operation.step(Fate.DIE_BEFORE)

    @initialize(answers_again=st.booleans(), carries_state=st.booleans())
    def begin(self, *, answers_again: bool, carries_state: bool) -> None:
        """S3 and other engines differ, and so do versions of libcrypto."""
        self.registry = RegistryInMemory(answers_again)
        self.memory = self.registry.memory
        self.visible: set[tuple[str, Digest]] = set()
        if not carries_state:
            self.patch.setattr(running_digest, "resume", lambda _algorithm, _state: None)
        for number in range(SESSIONS):
            self.sessions.append("")
            self.open(number, 0)

    def open(self, number: int, repository: int) -> None:
        row = self.registry.uploads.open(REPOSITORIES[repository])
        self.sessions[number] = row.session
        self.watched[row.session] = Watched(row)

    @rule(number=st.integers(0, SESSIONS - 1), repository=st.integers(0, 1))
    def open_another(self, number: int, repository: int) -> None:
        """The clients turn to it; who is still busy with the one before stays there."""
        self.open(number, repository)

    # Requests.

    @precondition(lambda self: len(self.visits) < AT_ONCE)
    @rule(request=requests)
    def arrive(self, request: Request) -> None:
        self.start(request)

    @precondition(lambda self: not self.visits)
    @rule(
        together=st.lists(requests, min_size=1, max_size=AT_ONCE),
        turns=st.lists(which, max_size=16),
        fate=st.sampled_from(Fate),
    )
    def race(self, together: list[Request], turns: list[int], fate: Fate) -> None:
        """All on one session; the last turn may break."""
        visits = [self.start(Request(one.kind, together[0].session, one.blocks)) for one in together]
        for number, turn in enumerate(turns, start=1):
            self.step(visits[turn % len(visits)], fate if number == len(turns) else Fate.WELL)

    @precondition(lambda self: not self.visits)
    @rule(request=requests, call=calls, kind=kinds, blocks=blocks, seconds=st.sampled_from([5, 61]))
    def overtake_at(self, request: Request, call: str, kind: str, blocks: list[bytes], seconds: int) -> None:
        """A writer stops at some call, until its lease has run out or not, while another comes and goes."""
        self.come_to(self.start(request), call)
        self.pass_time(seconds)
        rival = self.start(Request(kind, request.session, tuple(blocks)))
        self.come_to(rival, "nothing")

    @precondition(lambda self: not self.visits)
    @rule(request=requests, call=calls, fate=st.sampled_from(BROKEN))
    def break_at(self, request: Request, call: str, fate: Fate) -> None:
        visit = self.start(request)
        self.come_to(visit, call)
        self.step(visit, fate)

    def come_to(self, visit: Visit, call: str) -> None:
        while not visit.operation.is_done and not visit.operation.waiting.startswith(call):
            self.step(visit)

    @precondition(lambda self: self.visits)
    @rule(number=which, steps=st.integers(1, 6))
    def go_on(self, number: int, steps: int) -> None:
        visit = self.visits[number % len(self.visits)]
        for _ in range(steps):
            self.step(visit)

    @precondition(lambda self: self.visits)
    @rule(number=which, steps=st.integers(0, 6), fate=st.sampled_from(BROKEN))
    def break_one(self, number: int, steps: int, fate: Fate) -> None:
        visit = self.visits[number % len(self.visits)]
        for _ in range(steps):
            self.step(visit)
        self.step(visit, fate)

    @rule(seconds=st.sampled_from(SECONDS))
    def pass_time(self, seconds: int) -> None:
        self.registry.now += seconds

    @rule(are_forgotten=st.booleans())
    def expire(self, *, are_forgotten: bool) -> None:
        """DynamoDB removes expired rows in its own time, and leaves the bytes for the collector."""
        self.registry.now += SESSION_SECONDS + 1
        for session in list(self.memory.uploads) if are_forgotten else []:
            del self.memory.uploads[session]
            self.lose(session, None)
            self.watched[session].is_excused = True

    @rule()
    def finish_all(self) -> None:
        """With nothing on its way, bytes that nothing names are those of a request that was cut off."""
        while self.visits:
            self.step(self.visits[0])
        kept = named_keys(self.memory)
        leaked = [key for key in self.memory.objects if key not in kept and not self.excuses(key)]
        assert not leaked, f"nothing names {leaked}"
        named = {found.row.multipart_id for found in self.memory.uploads.values()}
        parts = self.memory.multiparts.items()
        begun = [upload.key for multipart_id, upload in parts if multipart_id not in named]
        assert not [key for key in begun if not self.excuses(key)], f"nothing names the uploads of {begun}"

    def excuses(self, key: str) -> bool:
        return self.watched[key.split("/")[1]].is_excused

    @precondition(lambda self: not self.visits)
    @rule(number=st.integers(0, SESSIONS - 1))
    def go_on_later(self, number: int) -> None:
        """Whatever happened to a session, later it takes more bytes after those it has, or is gone."""
        self.pass_time(61)
        session = self.sessions[number]
        found = self.memory.uploads.get(session)
        if found is None or found.row.expires < self.registry.now:
            return
        watched, before = self.watched[session], found.row.offset
        request = Request("append", number, (b"later",))
        visit = self.start(request)
        while visit in self.visits:
            self.step(visit)
        if isinstance(visit.operation.error, S3Error):
            assert self.may_be_dead(watched)
        else:
            assert visit.operation.error is None
            assert visit.operation.result.offset == before + len(b"later")

    def may_be_dead(self, watched: Watched) -> bool:
        """A process that dies, or goes on without its lease, may leave parts that do not fit the row."""
        return bool(watched.deaths or watched.is_overtaken or watched.faults > 1)

    # What a request does.

    def start(self, request: Request) -> Visit:
        """On a new session where the last one ended and nobody is there any more."""
        session = self.sessions[request.session]
        found = self.memory.uploads.get(session)
        if not self.visits and (found is None or found.row.expires < self.registry.now):
            self.open(request.session, 0)
            session = self.sessions[request.session]
        watched = self.watched[session]
        digest = self.digest(request, watched)
        work, codes = self.work(request, session, watched, digest)
        label = f"{request.kind} {[len(block) for block in request.blocks]} on {session[-2:]}"
        visit = Visit(request, session, Operation(label, work, codes), digest)
        self.visits.append(visit)
        self.settle(visit)
        return visit

    def digest(self, request: Request, watched: Watched) -> Digest | None:
        """What the client believes that the whole blob hashes to."""
        if not request.kind.startswith("close"):
            return None
        if request.kind == "close with a wrong digest":
            return Digest.of(b"something else")
        algorithm = "sha512" if request.kind == "close with sha512" else "sha256"
        return Digest.of(watched.content + request.content, algorithm)

    def work(
        self, request: Request, session: str, watched: Watched, digest: Digest | None
    ) -> tuple[Callable[[], Any], set[ErrorCode]]:
        """The call, and the refusals it may meet: it may always find another there, or the session gone."""
        repository, length = watched.row.repository, len(request.content)
        start = None
        if request.kind == "append at the right place":
            start = len(watched.content)
        if request.kind == "append at a wrong place":
            start = len(watched.content) + 1
        if request.kind == "append to another repository":
            repository = Repository("account", "registry/other")
        if request.kind == "append less than announced":
            length += 1
        chunk = Chunk(self.arriving(request), length, start)
        codes = {ErrorCode.BLOB_UPLOAD_UNKNOWN, ErrorCode.BLOB_UPLOAD_INVALID, ErrorCode.TOOMANYREQUESTS}
        if request.kind == "append less than announced":
            codes.add(ErrorCode.SIZE_INVALID)
        if digest is not None:
            codes.add(ErrorCode.DIGEST_INVALID)
            return lambda: self.registry.uploads.close(repository, session, digest, chunk), codes
        if request.kind == "cancel":
            return lambda: self.registry.uploads.cancel(repository, session), codes
        if request.kind == "status":
            return lambda: self.registry.uploads.status(repository, session), codes
        return lambda: self.registry.uploads.append(repository, session, chunk), codes

    def arriving(self, request: Request) -> Iterator[bytes]:
        for block in request.blocks:
            pause("the next block")
            yield block
        if request.kind.endswith("hang up"):
            raise HangUpError

    def step(self, visit: Visit, fate: Fate = Fate.WELL) -> None:
        if visit.operation.is_done:
            return
        before = self.holder(visit.session)
        visit.operation.step(fate)
        self.watch_holder(visit, before)
        watched = self.watched[visit.session]
        if fate is not Fate.WELL:
            watched.is_excused = True
            watched.faults += 1
            watched.deaths += visit.operation.is_dead
        self.watch_content(visit)
        self.watch_visible(visit)
        self.settle(visit)
        self.hold_true()

    def holder(self, session: str) -> str | None:
        found = self.memory.uploads.get(session)
        return found.writer if found else None

    def watch_holder(self, visit: Visit, before: str | None) -> None:
        """Who has the session since this step, and who lost it."""
        after = self.holder(visit.session)
        if after == before and visit.session in self.memory.uploads:
            return
        if after is not None and after != before:
            visit.writer = after
            visit.found = self.memory.uploads[visit.session].row
        self.lose(visit.session, visit)

    def lose(self, session: str, by: Visit | None) -> None:
        for other in self.visits:
            lost = other.session == session and other is not by and other.writer
            if lost and other.writer != self.holder(session):
                other.is_overtaken = True
                self.watched[session].is_excused = self.watched[session].is_overtaken = True

    def watch_content(self, visit: Visit) -> None:
        """A session's bytes change by a whole request at a time, and only at their end."""
        found, watched = self.memory.uploads.get(visit.session), self.watched[visit.session]
        if found is None:
            return
        if found.row != watched.row:
            assert visit.request.kind.startswith("append")
            assert visit.found == watched.row
            watched.row, watched.content = found.row, watched.content + visit.request.content
        assert found.row.offset == len(watched.content)
        content = content_of(self.memory, found.row)
        if content is None:
            on_its_way = [other for other in self.visits if other.session == visit.session]
            assert on_its_way or self.may_be_dead(watched), "the session names parts that are gone"
        else:
            assert content == watched.content

    def watch_visible(self, visit: Visit) -> None:
        """Nothing is visible but what a client closes with its digest."""
        visible = set(self.memory.links)
        new = visible - self.visible
        assert len(new) <= 1
        for name, digest in new:
            assert digest == visit.digest
            assert name == self.watched[visit.session].row.repository.name
            assert visit.session not in self.memory.uploads
        self.visible = visible

    def settle(self, visit: Visit) -> None:
        """Judge how a request ended."""
        operation = visit.operation
        if not operation.is_done:
            return
        self.visits.remove(visit)
        watched, error = self.watched[visit.session], operation.error
        whole = not operation.broken and not visit.is_overtaken
        if isinstance(error, RegistryError):
            assert error.code in operation.allowed, error
        elif isinstance(error, HangUpError):
            assert visit.request.kind.endswith("hang up")
        elif isinstance(error, S3Error):
            assert operation.broken or self.may_be_dead(watched), error
        elif error is not None:
            assert operation.broken, error
        if error is None and visit.digest is not None:
            watched.published += 1
            assert watched.published == 1, "the session was completed twice"
            assert visit.session not in self.memory.uploads
        if error is not None and whole and visit.writer and not isinstance(error, S3Error):
            self.check_left_alone(visit, error)

    def check_left_alone(self, visit: Visit, error: BaseException) -> None:
        """A request that fails leaves the session as it found it, but a wrong digest ends it."""
        found = self.memory.uploads.get(visit.session)
        if isinstance(error, RegistryError) and error.code is ErrorCode.DIGEST_INVALID:
            assert found is None
        else:
            assert found is not None
            assert (found.row, found.writer) == (visit.found, None)

    @invariant()
    def hold_true(self) -> None:
        if hasattr(self, "memory"):
            check_blobs(self.memory)
        assert all(len(writer._buffer) <= PART_SIZE for writer in self.writers)


UploadMachine.TestCase.settings = effort(examples=180, long=6000, steps=40)
TestUploads = UploadMachine.TestCase
