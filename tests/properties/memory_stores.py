"""The stores of `chalicelib.registry.stores` in memory, with DynamoDB's conditions and S3's errors.

`test_memory_stores.py` makes the same calls here and on the adapters, and wants the same answers.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.aws.manifest_store import PAGE_BYTES
from chalicelib.registry.changes import (
    AuditAccount,
    BuryObject,
    Change,
    Charge,
    CountBlob,
    CountLink,
    CountManifest,
    EndDirect,
    EndUpload,
    ExpireSession,
    MoveLevel,
    MoveManifest,
    MoveTrash,
    NameRepository,
    PutBlob,
    PutLink,
    PutManifest,
    PutReferrer,
    PutTag,
    PutTrash,
    RemoveBlob,
    RemoveLink,
    RemoveManifest,
    RemoveReferrer,
    RemoveTag,
    RemoveTrash,
    SettleBlob,
    SettleLink,
    TellMove,
    TouchLink,
    WriteAudit,
)
from chalicelib.registry.policies import IMMUTABLE_TAGS, Policy, nearest, scopes
from chalicelib.registry.stores import (
    LIVE,
    OPEN,
    PUBLISHED,
    RELEASING,
    STAGING,
    VERIFYING,
    DirectRow,
    GivingRow,
    Link,
    ManifestRow,
    Survey,
    TagMove,
    TagRow,
    TrashRow,
    UploadRow,
    Usage,
)
from chalicelib.registry.trash import RELEASE_SECONDS
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository

Data = bytes | bytearray | memoryview


class S3Error(Exception):
    """What S3 refuses; `code` is its own word for it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Session:
    """An upload's row with the two attributes that the domain never sees."""

    row: UploadRow
    writer: str | None = None
    lease: int = 0


@dataclass
class DirectSession:
    """The same of a direct upload."""

    row: DirectRow
    writer: str | None = None

    def publish(self, expires: int) -> None:
        row = self.row
        self.writer = None
        self.row = replace(row, state=PUBLISHED, verified=row.size, expires=expires, hash_state=None, lease=0)


@dataclass
class Multipart:
    key: str
    parts: dict[int, tuple[str, bytes]] = field(default_factory=dict)


@dataclass
class Memory:
    """Every table and the bucket. `between` runs between the reads of one call that is not atomic."""

    manifests: dict[tuple[str, Digest], ManifestRow] = field(default_factory=dict)
    referrers: dict[tuple[str, Digest, Digest], Mapping[str, Any]] = field(default_factory=dict)
    tags: dict[tuple[str, str], TagRow] = field(default_factory=dict)
    links: dict[tuple[str, Digest], Link] = field(default_factory=dict)
    blobs: dict[tuple[str, Digest], Link] = field(default_factory=dict)
    blob_links: dict[tuple[str, Digest], int] = field(default_factory=dict)
    blob_keeps: dict[tuple[str, Digest], int] = field(default_factory=dict)
    trash: dict[tuple[str, Digest], TrashRow] = field(default_factory=dict)
    history: list[TellMove] = field(default_factory=list)
    usage: dict[str, Usage] = field(default_factory=dict)
    policies: dict[tuple[str, str], Policy] = field(default_factory=dict)
    buried: set[str] = field(default_factory=set)
    idle_manifests: dict[tuple[str, Digest], int] = field(default_factory=dict)
    versions: Counter[tuple[object, ...]] = field(default_factory=Counter)
    pushed: dict[tuple[str, Digest], float] = field(default_factory=dict)
    left: dict[tuple[str, Digest], int] = field(default_factory=dict)
    moved: dict[tuple[str, str], int] = field(default_factory=dict)
    clock: Callable[[], float] = lambda: 1000.0
    audit: list[WriteAudit | AuditAccount] = field(default_factory=list)
    repositories: set[tuple[str, str]] = field(default_factory=set)
    uploads: dict[str, Session] = field(default_factory=dict)
    direct: dict[str, DirectSession] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    multiparts: dict[str, Multipart] = field(default_factory=dict)
    # Every one that ever was: their ids are the bucket's, whoever begins them.
    begun: list[str] = field(default_factory=list)
    completed: dict[str, list[str]] = field(default_factory=dict)
    between: Callable[[], None] = lambda: None


class MemoryTransactions:
    """`Transactions`: each change checks its condition, and all are made when every one holds."""

    def __init__(self, memory: Memory, limit: int = 100) -> None:
        self._memory, self._limit = memory, limit

    def write(self, changes: Sequence[Change]) -> list[Change]:
        assert len(changes) <= self._limit, f"{len(changes)} changes in one transaction"
        rows = [row_of(change) for change in changes]
        assert len(set(rows)) == len(rows), f"two changes on one row: {rows}"
        refused = [change for change in changes if not _holds(self._memory, change)]
        if not refused:
            for change in changes:
                _make(self._memory, change)
            self._memory.versions.update(rows)
        return refused


def row_of(change: Change) -> tuple[object, ...]:
    """The table and key of the item that a change is."""
    match change:
        case PutBlob(account, link):
            return "blobs", account, link.digest
        case CountBlob(account, digest) | SettleBlob(account, digest) | RemoveBlob(account, digest):
            return "blobs", account, digest
        case Charge(key) | MoveLevel(key) | BuryObject(key):
            return _TABLES[type(change)], key
        case EndUpload(key) | EndDirect(key) | ExpireSession(key):
            return _TABLES[type(change)], key
        case WriteAudit() | AuditAccount() | TellMove():
            return _TABLES[type(change)], str(id(change))
    return _TABLES[type(change)], change.repository.name, *_range_key(change)


_TABLES: dict[type, str] = {
    PutManifest: "manifests",
    MoveManifest: "manifests",
    RemoveManifest: "manifests",
    CountManifest: "manifests",
    PutReferrer: "referrers",
    RemoveReferrer: "referrers",
    PutTag: "tags",
    RemoveTag: "tags",
    PutLink: "links",
    CountLink: "links",
    RemoveLink: "links",
    TouchLink: "links",
    SettleLink: "links",
    NameRepository: "repositories",
    PutTrash: "trash",
    MoveTrash: "trash",
    RemoveTrash: "trash",
    Charge: "usage",
    MoveLevel: "usage",
    AuditAccount: "audit",
    BuryObject: "buried",
    EndUpload: "uploads",
    ExpireSession: "uploads",
    EndDirect: "uploads",
    WriteAudit: "audit",
    TellMove: "history",
}


def _range_key(change: Any) -> tuple[object, ...]:
    match change:
        case PutReferrer() | RemoveReferrer():
            return change.subject, change.digest
        case PutTag(_, row):
            return (row.tag,)
        case RemoveTag():
            return (change.tag,)
        case PutManifest(_, row) | PutLink(_, row) | PutTrash(_, row):
            return (row.digest,)
        case NameRepository():
            return ()
    return (change.digest,)


def _holds(memory: Memory, change: Change) -> bool:  # noqa: PLR0911 - one for each table
    """The condition in the docstring of the change."""
    match change:
        case MoveManifest() | RemoveManifest() | CountManifest():
            return _manifest_holds(memory, change)
        case EndUpload() | EndDirect():
            return _session_holds(memory, change)
        case PutManifest() | PutLink() | PutBlob() | PutTrash():
            return row_of(change)[1:] not in getattr(memory, str(row_of(change)[0]))
        case Charge() | MoveLevel():
            return _usage_holds(memory, change)
        case MoveTrash() | RemoveTrash():
            return _trash_holds(memory, change)
        case CountBlob() | SettleBlob() | RemoveBlob():
            return _blob_holds(memory, change)
        case CountLink() | TouchLink() | SettleLink() | RemoveLink():
            return _link_holds(memory, change)
        case ExpireSession(session, expires, now):
            return _has_expired(memory, session, expires, now)
    return not isinstance(change, PutTag | RemoveTag) or _tag_holds(memory, change)


def _session_holds(memory: Memory, change: EndUpload | EndDirect) -> bool:
    sessions: Mapping[str, Session | DirectSession] = memory.uploads
    if isinstance(change, EndDirect):
        sessions = memory.direct
    return change.session in sessions and sessions[change.session].writer == change.writer


def _has_expired(memory: Memory, session: str, expires: int, now: int) -> bool:
    found = memory.uploads.get(session) or memory.direct.get(session)
    if found is None or found.row.expires != expires:
        return False
    return (found.lease if isinstance(found, Session) else found.row.lease) < now


def _usage_holds(memory: Memory, change: Charge | MoveLevel) -> bool:
    usage = memory.usage.get(change.account)
    if isinstance(change, MoveLevel):
        return usage is not None and usage.level == change.before
    return usage is not None and (change.bytes <= 0 or usage.free >= change.bytes)


def _trash_holds(memory: Memory, change: MoveTrash | RemoveTrash) -> bool:
    row = memory.trash.get((change.repository.name, change.digest))
    if row is not None and change.gives_way and not row.gives_way:
        return False
    return row is not None and (row.state, row.held) == change.before and change.due in {None, row.due}


def _blob_holds(memory: Memory, change: CountBlob | SettleBlob | RemoveBlob) -> bool:
    key = change.account, change.digest
    blob = memory.blobs.get(key)
    if blob is None or isinstance(change, CountBlob):
        if blob is not None and change.is_shared and not _is_shared(memory, change):
            return False
        return blob is not None and change.storage_key in {None, blob.storage_key}
    if isinstance(change, SettleBlob):
        return bool(memory.blob_links[key] or memory.blob_keeps[key]) and change.idle == blob.idle
    is_unused = not memory.blob_links[key] and memory.blob_keeps[key] == change.kept
    return is_unused and (change.storage_key, change.idle) == (blob.storage_key, blob.idle)


def _is_shared(memory: Memory, change: CountBlob) -> bool:
    key = change.account, change.digest
    return memory.blob_links[key] + change.links > 0 or memory.blob_keeps[key] + change.kept > 0


def _link_holds(memory: Memory, change: CountLink | TouchLink | SettleLink | RemoveLink) -> bool:
    link = memory.links.get((change.repository.name, change.digest))
    if link is None or isinstance(change, CountLink):
        return link is not None
    if isinstance(change, SettleLink):
        return link.references > 0 and change.idle == link.idle
    if isinstance(change, TouchLink):
        return change.idle is None or (link.references, link.idle) == (0, change.idle)
    return not link.references and change.idle in {None, link.idle}


def _manifest_holds(memory: Memory, change: MoveManifest | RemoveManifest | CountManifest) -> bool:
    row = memory.manifests.get((change.repository.name, change.digest))
    if row is None:
        return False
    if change.used is not None and not _used_as(memory, row, change):
        return False
    if isinstance(change, CountManifest):
        return row.state == LIVE
    if (row.state, row.held) != change.before:
        return False
    return change.tags is None or (row.tags, row.parents) == (change.tags, 0)


def _used_as(memory: Memory, row: ManifestRow, change: MoveManifest | RemoveManifest | CountManifest) -> bool:
    pushed = round(memory.pushed[change.repository.name, row.digest] * 1_000_000)
    return change.used is not None and row.pulled == change.used.pulled and pushed == change.used.pushed


def _tag_holds(memory: Memory, change: PutTag | RemoveTag) -> bool:
    tag = change.row.tag if isinstance(change, PutTag) else change.tag
    wanted = change.previous if isinstance(change, PutTag) else change.digest
    since = change.since if isinstance(change, PutTag) else change.moved
    row = memory.tags.get((change.repository.name, tag))
    if since not in {None, memory.moved.get((change.repository.name, tag))}:
        return False
    return (row.digest if row else None) == wanted


def _make(memory: Memory, change: Change) -> None:
    match change:
        case PutManifest(repository, row):
            memory.manifests[repository.name, row.digest] = row
            memory.pushed[repository.name, row.digest] = memory.clock()
            memory.left.pop((repository.name, row.digest), None)
            _mark_manifest(memory, (repository.name, row.digest))
        case MoveManifest() | CountManifest():
            _update_manifest(memory, change)
        case PutReferrer(repository, subject, digest, descriptor):
            memory.referrers[repository.name, subject, digest] = descriptor
        case PutTag(repository, row):
            moved = memory.moved[repository.name, row.tag] = max(int(memory.clock() * 1_000_000), row.moved)
            memory.tags[repository.name, row.tag] = replace(row, moved=moved)
        case NameRepository(repository):
            memory.repositories.add((repository.account, repository.name))
        case EndDirect(session, _, expires):
            if session in memory.direct:
                memory.direct[session].publish(expires)
        case TouchLink() | SettleLink() | SettleBlob():
            _mark(memory, change)
        case PutLink() | CountLink() | PutBlob() | CountBlob():
            _make_blob(memory, change)
        case _:
            _tell(memory, change)


def _tell(memory: Memory, change: Change) -> None:
    match change:
        case WriteAudit() | AuditAccount():
            memory.audit.append(change)
        case TellMove():
            memory.history.append(change)
        case BuryObject(key):
            memory.buried.add(key)
        case Charge(account, size):
            usage = memory.usage.get(account, Usage(0, 0))
            memory.usage[account] = replace(usage, bytes=usage.bytes + size, turn=usage.turn + 1)
        case MoveLevel(account, _, after):
            memory.usage[account] = replace(memory.usage[account], level=after)
        case PutTrash(repository, row):
            memory.trash[repository.name, row.digest] = row
        case MoveTrash():
            _move_trash(memory, change)
        case _:
            _remove(memory, change)


def _move_trash(memory: Memory, change: MoveTrash) -> None:
    key = change.repository.name, change.digest
    row, told = memory.trash[key], change.row
    state, held = change.after
    if told is not None:
        row = replace(row, tags=told.tags, deleted=told.deleted, due=told.due, storage_key=told.storage_key)
        row = replace(row, deleted_by=told.deleted_by, reason=told.reason, gives_way=told.gives_way)
    if state == RELEASING:
        row = replace(row, due=int(memory.clock()) + RELEASE_SECONDS)
    memory.trash[key] = replace(row, state=state, held=held)


def _make_blob(memory: Memory, change: PutLink | CountLink | PutBlob | CountBlob) -> None:
    now = int(memory.clock())
    match change:
        case PutLink(repository, link):
            memory.links[repository.name, link.digest] = replace(link, references=0, idle=now)
        case CountLink(repository, digest, references):
            link = memory.links[repository.name, digest]
            idle = now if references < 0 else 0
            counted = replace(link, references=link.references + references, idle=idle)
            memory.links[repository.name, digest] = counted
        case PutBlob(account, link):
            memory.blobs[account, link.digest] = replace(link, references=0, idle=0)
            memory.blob_links[account, link.digest] = 1
            memory.blob_keeps[account, link.digest] = 0
        case CountBlob(account, digest, links, _, kept, is_shared):
            memory.blob_links[account, digest] += links
            memory.blob_keeps[account, digest] += kept
            if not is_shared:
                idle = now if min(links, kept) < 0 else 0
                memory.blobs[account, digest] = replace(memory.blobs[account, digest], idle=idle)


def _mark(memory: Memory, change: TouchLink | SettleLink | SettleBlob) -> None:
    match change:
        case TouchLink(repository, digest):
            key = repository.name, digest
            memory.links[key] = replace(memory.links[key], idle=int(memory.clock()))
        case SettleLink(repository, digest):
            key = repository.name, digest
            memory.links[key] = replace(memory.links[key], idle=0)
        case SettleBlob(account, digest):
            memory.blobs[account, digest] = replace(memory.blobs[account, digest], idle=0)


def _mark_manifest(memory: Memory, key: tuple[str, Digest]) -> None:
    memory.idle_manifests.pop(key, None)
    if memory.manifests[key].state != LIVE:
        memory.idle_manifests[key] = int(memory.clock())


def _update_manifest(memory: Memory, change: MoveManifest | CountManifest) -> None:
    key = change.repository.name, change.digest
    row = memory.manifests[key]
    if isinstance(change, MoveManifest):
        state, held = change.after
        stored = None if change.leaves_bytes else row.storage_key
        moved = replace(row, state=state, held=held, tags=change.new_tags, storage_key=stored)
        memory.manifests[key] = moved
        _mark_manifest(memory, key)
    else:
        memory.manifests[key] = replace(
            row, tags=row.tags + change.tags, parents=row.parents + change.parents
        )
        if min(change.tags, change.parents) < 0:
            memory.left[key] = int(memory.clock())
        if change.is_push:
            memory.pushed[key] = memory.clock()


def _remove(memory: Memory, change: Change) -> None:
    match change:
        case RemoveManifest(repository, digest):
            del memory.manifests[repository.name, digest]
            memory.idle_manifests.pop((repository.name, digest), None)
        case RemoveTrash(repository, digest):
            del memory.trash[repository.name, digest]
        case RemoveBlob(account, digest):
            key = account, digest
            del memory.blobs[key], memory.blob_links[key], memory.blob_keeps[key]
        case RemoveReferrer(repository, subject, digest):
            memory.referrers.pop((repository.name, subject, digest), None)
        case RemoveTag(repository, tag, _):
            del memory.tags[repository.name, tag]
        case RemoveLink(repository, digest):
            del memory.links[repository.name, digest]
        case EndUpload(session, _):
            memory.uploads.pop(session, None)
        case ExpireSession(session):
            memory.uploads.pop(session, None)
            memory.direct.pop(session, None)


class MemoryManifestStore:
    """`ManifestStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def get(self, repository: Repository, digest: Digest) -> ManifestRow | None:
        return self._memory.manifests.get((repository.name, digest))

    def survey(
        self,
        repository: Repository,
        digest: Digest | None,
        tags: Collection[str],
        blobs: Iterable[Digest],
        manifests: Iterable[Digest],
    ) -> Survey:
        """BatchGetItem reads each row consistently, and not all of them at one instant."""
        memory, name, found = self._memory, repository.name, Survey()
        found.is_named = bool(digest) and (repository.account, name) in memory.repositories
        memory.between()
        for one in sorted({*manifests, *([digest] if digest else [])}):
            if row := memory.manifests.get((name, one)):
                found.manifests[one] = replace(row, raw=None, pushed_by="", pulled=0)
        memory.between()
        found.tags = {tag: memory.tags[name, tag] for tag in tags if (name, tag) in memory.tags}
        memory.between()
        found.links = {blob: memory.links[name, blob] for blob in blobs if (name, blob) in memory.links}
        found.manifest = found.manifests.pop(digest, None) if digest else None
        if tags:
            memory.between()
            found.immutable = MemoryPolicyStore(memory).of(repository, IMMUTABLE_TAGS)
        return found

    def note_pull(self, repository: Repository, digest: Digest, before: int, now: int) -> None:
        row = self._memory.manifests.get((repository.name, digest))
        if row is not None and (row.state, row.pulled) == (LIVE, before):
            self._memory.manifests[repository.name, digest] = replace(row, pulled=now)

    def referrers(
        self, repository: Repository, subject: Digest, after: str
    ) -> tuple[list[dict[str, Any]], str]:
        edges = self._memory.referrers
        mine = sorted(key for key in edges if key[:2] == (repository.name, subject) and key[2] > after)
        entries: list[dict[str, Any]] = []
        room = PAGE_BYTES
        for key in mine:
            room -= len(json.dumps(edges[key]))
            if room < 0 and entries:
                return entries, str(entries[-1]["digest"])
            entries.append(dict(edges[key]))
        return entries, ""


class MemoryTagStore:
    """`TagStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def get(self, repository: Repository, tag: str) -> TagRow | None:
        return self._memory.tags.get((repository.name, tag))

    def page(self, repository: Repository, after: str, limit: int) -> list[str]:
        return sorted(t for name, t in self._memory.tags if name == repository.name and t > after)[:limit]

    def naming(self, repository: Repository, digest: Digest) -> list[str]:
        rows = self._memory.tags.items()
        return sorted(tag for (name, tag), row in rows if (name, row.digest) == (repository.name, digest))


class MemoryRepositoryStore:
    """`RepositoryStore`; the index follows at once."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def exists(self, repository: Repository) -> bool:
        return any(name == repository.name for _, name in self._memory.repositories)

    def page(self, account: str, after: str, limit: int) -> list[str]:
        known = self._memory.repositories
        return sorted(name for owner, name in known if owner == account and name > after)[:limit]


class MemoryLinkStore:
    """`LinkStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def get(self, repository: Repository, digest: Digest) -> Link | None:
        return self._memory.links.get((repository.name, digest))

    def blob(self, account: str, digest: Digest) -> Link | None:
        return self.blobs(account, [digest]).get(digest)

    def blobs(self, account: str, digests: Collection[Digest]) -> dict[Digest, Link]:
        memory = self._memory
        return {
            digest: replace(
                memory.blobs[account, digest],
                references=memory.blob_links[account, digest],
                kept=memory.blob_keeps[account, digest],
            )
            for digest in digests
            if (account, digest) in memory.blobs
        }


class MemoryTrashStore:
    """`TrashStore`."""

    def __init__(self, memory: Memory) -> None:
        self._trash = memory.trash

    def get(self, repository: Repository, digest: Digest) -> TrashRow | None:
        return self._trash.get((repository.name, digest))

    def page(self, repository: Repository, after: str, limit: int) -> list[TrashRow]:
        keys = sorted(key for key in self._trash if key[0] == repository.name and key[1] > after)
        return [replace(self._trash[key], raw=None) for key in keys[:limit]]

    def giving(self, account: str) -> Iterator[GivingRow]:
        found = sorted(self._trash.items(), key=lambda one: one[1].deleted)
        for (name, digest), row in found:
            if row.gives_way and row.state != STAGING:
                yield GivingRow(Repository(account, name), digest, row.blobs[: row.held], row.children)


class MemoryHistoryStore:
    """`HistoryStore`; two moves of one millisecond stay in their order."""

    def __init__(self, memory: Memory) -> None:
        self._history = memory.history

    def moves(self, repository: Repository, tag: str, until: int, limit: int) -> list[TagMove]:
        told = (one.move for one in self._history if one.repository.name == repository.name)
        found = [move for move in told if move.tag == tag and move.at <= until]
        found.reverse()
        return sorted(found, key=lambda move: -move.at)[:limit]


class MemoryPolicyStore:
    """`PolicyStore`."""

    def __init__(self, memory: Memory) -> None:
        self._policies = memory.policies

    def get(self, scope: str, kind: str) -> Policy | None:
        return self._policies.get((scope, kind))

    def of(self, repository: Repository, kind: str) -> Policy | None:
        found = (self._policies.get((scope, kind)) for scope in scopes(repository))
        return nearest([policy for policy in found if policy is not None])

    def all(self, scope: str) -> list[Policy]:
        return [policy for (where, _), policy in sorted(self._policies.items()) if where == scope]

    def scopes(self, account: str, registry: str) -> list[str]:
        return sorted({scope for scope, _ in self._policies if scope.startswith(f"{account}/{registry}/")})

    def put(self, policy: Policy) -> bool:
        before = self._policies.get((policy.scope, policy.kind))
        if policy.version != (before.version if before else 0) + 1:
            return False
        self._policies[policy.scope, policy.kind] = policy
        return True

    def remove(self, policy: Policy) -> bool:
        before = self._policies.get((policy.scope, policy.kind))
        if before is None or before.version != policy.version:
            return False
        del self._policies[policy.scope, policy.kind]
        return True


class MemoryUsageStore:
    """`UsageStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def get(self, account: str) -> Usage | None:
        return self._memory.usage.get(account)

    def open(self, account: str, limit: int) -> None:
        stored = sum(blob.size for (owner, _), blob in self._memory.blobs.items() if owner == account)
        self._memory.usage.setdefault(account, Usage(stored, limit))

    def many(self, accounts: Sequence[str]) -> dict[str, Usage]:
        return {one: self._memory.usage[one] for one in accounts if one in self._memory.usage}

    def repair(self, account: str, seen: Usage, stored: int, limit: int) -> bool:
        now = self._memory.usage.get(account)
        if now is None or (now.turn, now.bytes, now.free) != (seen.turn, seen.bytes, seen.free):
            return False
        self._memory.usage[account] = replace(now, bytes=stored, limit=limit)
        return True


class MemoryUploadStore:
    """`UploadStore`."""

    def __init__(self, memory: Memory) -> None:
        self._sessions = memory.uploads

    def create(self, row: UploadRow) -> None:
        assert row.session not in self._sessions
        self._sessions[row.session] = Session(row)

    def get(self, session: str) -> UploadRow | None:
        found = self._sessions.get(session)
        return found.row if found else None

    def acquire(self, session: str, writer: str, *, now: int, lease: int) -> UploadRow | None:
        found = self._sessions.get(session)
        if found is None or (found.writer not in {None, writer} and found.lease >= now):
            return None
        found.writer, found.lease = writer, lease
        return found.row

    def renew(self, session: str, writer: str, lease: int) -> bool:
        found = self._sessions.get(session)
        if found is None or found.writer != writer:
            return False
        found.lease = lease
        return True

    def save(self, row: UploadRow, writer: str) -> bool:
        found = self._sessions.get(row.session)
        if found is None or found.writer != writer:
            return False
        self._sessions[row.session] = Session(row)
        return True

    def remove(self, session: str) -> UploadRow | None:
        found = self._sessions.pop(session, None)
        return found.row if found else None


class MemoryDirectStore:
    """`DirectStore`, with the conditions of the adapter."""

    def __init__(self, memory: Memory) -> None:
        self._sessions = memory.direct

    def create(self, row: DirectRow) -> None:
        assert row.session not in self._sessions
        self._sessions[row.session] = DirectSession(row)

    def get(self, session: str) -> DirectRow | None:
        found = self._sessions.get(session)
        return found.row if found else None

    def verifying(self, session: str, lease: int) -> bool:
        found = self._sessions.get(session)
        if found is None or found.row.state != OPEN:
            return False
        found.row = replace(found.row, state=VERIFYING, lease=lease)
        return True

    def acquire(self, session: str, writer: str, *, now: int, lease: int) -> DirectRow | None:
        found = self._sessions.get(session)
        if found is None or found.row.state != VERIFYING:
            return None
        if found.writer not in {None, writer} and found.row.lease >= now:
            return None
        found.writer, found.row = writer, replace(found.row, lease=lease)
        return found.row

    def save(self, row: DirectRow, writer: str, lease: int = 0) -> bool:
        found = self._sessions.get(row.session)
        if found is None or found.writer != writer:
            return False
        found.row = replace(row, lease=lease)
        found.writer = writer if lease else None
        return True

    def remove(self, session: str) -> DirectRow | None:
        found = self._sessions.get(session)
        if found is None or found.row.state == PUBLISHED:
            return None
        return self._sessions.pop(session).row


class MemoryObjectStore:
    """`ObjectStore`, and `MultipartStore` beside it in the same bucket.

    `answers_again`: completing a finished upload again with the same parts succeeds, as on Amazon S3;
    other engines know nothing of it any more.
    """

    def __init__(self, memory: Memory, minimum_part: int, *, answers_again: bool = False) -> None:
        self._memory, self._minimum, self._answers_again = memory, minimum_part, answers_again

    def put(self, key: str, data: Data) -> None:
        self._memory.objects[key] = bytes(data)

    def get(self, key: str) -> bytes | None:
        return self._memory.objects.get(key)

    def blocks(self, key: str) -> Iterator[bytes]:
        yield self._source(key)

    def delete(self, key: str) -> None:
        self._memory.objects.pop(key, None)

    def presign(self, method: str, key: str) -> str:
        return f"memory:{method}:{key}"

    def begin(self, key: str) -> str:
        multipart_id = f"multipart-{len(self._memory.begun) + 1}"
        self._memory.begun.append(multipart_id)
        self._memory.multiparts[multipart_id] = Multipart(key)
        return multipart_id

    def put_part(self, key: str, multipart_id: str, number: int, data: Data) -> str:
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        self._upload(key, multipart_id).parts[number] = etag, bytes(data)
        return etag

    def copy_part(self, key: str, multipart_id: str, number: int, source: str) -> str:
        return self.put_part(key, multipart_id, number, self._source(source))

    def complete(self, key: str, multipart_id: str, etags: Sequence[str]) -> None:
        if self._answers_again and self._memory.completed.get(multipart_id) == list(etags):
            return
        parts = self._upload(key, multipart_id).parts
        chosen = [parts.get(number, ("", b"")) for number in range(1, len(etags) + 1)]
        if [etag for etag, _ in chosen] != list(etags):
            raise S3Error("InvalidPart")
        if any(len(content) < self._minimum for _, content in chosen[:-1]):
            raise S3Error("EntityTooSmall")
        del self._memory.multiparts[multipart_id]
        self._memory.completed[multipart_id] = list(etags)
        self._memory.objects[key] = b"".join(content for _, content in chosen)

    def abort(self, key: str, multipart_id: str) -> None:
        if multipart_id in self._memory.multiparts:
            self._upload(key, multipart_id)
            del self._memory.multiparts[multipart_id]

    def _upload(self, key: str, multipart_id: str) -> Multipart:
        upload = self._memory.multiparts.get(multipart_id)
        if upload is None or upload.key != key:
            raise S3Error("NoSuchUpload")
        return upload

    def _source(self, key: str) -> bytes:
        content = self._memory.objects.get(key)
        if content is None:
            raise S3Error("NoSuchKey")
        return content
