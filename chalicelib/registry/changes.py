"""The changes that a transaction makes, each with its condition: its docstring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from chalicelib.registry.stores import Link, ManifestRow, TagMove, TagRow, TrashRow
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository

# DynamoDB takes 100 items: what is audited is told in the outbox too, which is one more.
TRANSACTION_LIMIT: Final = 99


@dataclass(frozen=True, slots=True)
class PutManifest:
    """Holds if no row of that digest is there, in any state."""

    repository: Repository
    row: ManifestRow


@dataclass(frozen=True, slots=True)
class Used:
    """When a manifest was last pulled (epoch seconds, 0 for never) and last pushed (epoch microseconds)."""

    pulled: int
    pushed: int


@dataclass(frozen=True, slots=True)
class MoveManifest:
    """From one (state, held) to another. Holds if the row is in the first, with `tags` and no parents
    where `tags` is given, and was last pulled and pushed when `used` says where that is given.
    `leaves_bytes`: another row names the object of its bytes now.
    """

    repository: Repository
    digest: Digest
    before: tuple[str, int]
    after: tuple[str, int]
    tags: int | None = None
    new_tags: int = 0
    leaves_bytes: bool = False
    used: Used | None = None


@dataclass(frozen=True, slots=True)
class RemoveManifest:
    """Holds if the row is in `before` with exactly `tags` tags and no parents, last pulled and pushed when
    `used` says where that is given.
    """

    repository: Repository
    digest: Digest
    before: tuple[str, int]
    tags: int
    used: Used | None = None


@dataclass(frozen=True, slots=True)
class CountManifest:
    """Adds to the tags and parents of a manifest, and notes when some left it, or that it is pushed again
    where `is_push`. Holds if it is live, last pulled and pushed when `used` says where that is given.
    """

    repository: Repository
    digest: Digest
    tags: int = 0
    parents: int = 0
    is_push: bool = False
    used: Used | None = None


@dataclass(frozen=True, slots=True)
class CountLink:
    """Adds to the references of a link, and marks it idle where it takes away. Holds if the link is there."""

    repository: Repository
    digest: Digest
    references: int


@dataclass(frozen=True, slots=True)
class PutTag:
    """Holds if the tag still names `previous` (None: is not there), since `since` (epoch microseconds) where
    that is given.
    """

    repository: Repository
    row: TagRow
    previous: Digest | None
    since: int | None = None


@dataclass(frozen=True, slots=True)
class RemoveTag:
    """Holds if the tag names `digest`, since `moved` (epoch microseconds) where that is given."""

    repository: Repository
    tag: str
    digest: Digest
    moved: int | None = None


@dataclass(frozen=True, slots=True)
class PutReferrer:
    """Always holds: the edge has the key of the manifest that makes it."""

    repository: Repository
    subject: Digest
    digest: Digest
    descriptor: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RemoveReferrer:
    """Always holds."""

    repository: Repository
    subject: Digest
    digest: Digest


@dataclass(frozen=True, slots=True)
class Actor:
    """On whose behalf a reference changes, and from where."""

    id: str = ""
    address: str = ""


NOBODY: Final = Actor()


@dataclass(frozen=True, slots=True)
class WriteAudit:
    """Always holds: an entry of the audit trail, in the transaction of what it tells of, and an event.

    `facts`: what the event says beside.
    """

    repository: Repository
    actor: Actor
    action: str
    reference: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NameRepository:
    """Always holds: makes the repository known."""

    repository: Repository


@dataclass(frozen=True, slots=True)
class PutLink:
    """Idle at first. Holds if the repository has no link to that blob."""

    repository: Repository
    link: Link


@dataclass(frozen=True, slots=True)
class RemoveLink:
    """Holds if the link is there and no manifest names it, nor did since `idle` where that is given."""

    repository: Repository
    digest: Digest
    idle: int | None = None


@dataclass(frozen=True, slots=True)
class TouchLink:
    """Marks the link idle from now on: somebody counts on it. Holds if it is there, and no manifest named it
    since `idle` where that is given.
    """

    repository: Repository
    digest: Digest
    idle: int | None = None


@dataclass(frozen=True, slots=True)
class SettleLink:
    """Takes away the mark of a link in use. Holds if some manifest names it, and `idle` is its mark."""

    repository: Repository
    digest: Digest
    idle: int


@dataclass(frozen=True, slots=True)
class PutBlob:
    """Holds if the account has no such blob; it starts with one link."""

    account: str
    link: Link


@dataclass(frozen=True, slots=True)
class CountBlob:
    """Adds to the links of a blob, and to the deleted manifests that keep it; marks it idle where it takes
    away. Holds if the account has it, under `storage_key` where given. With `is_shared` its mark stays as it
    is, and something else must link or keep it too: whoever is the last of them marks it.
    """

    account: str
    digest: Digest
    links: int = 0
    storage_key: str | None = None
    kept: int = 0
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class SettleBlob:
    """Takes away the mark of a blob in use. Holds if something links or keeps it, and `idle` is its mark."""

    account: str
    digest: Digest
    idle: int


@dataclass(frozen=True, slots=True)
class RemoveBlob:
    """Holds if no repository links the blob, exactly `kept` deleted manifests keep it, which go in the same
    transaction, no others did since `idle` (0: it has no mark), and it is stored under `storage_key`.
    """

    account: str
    digest: Digest
    storage_key: str
    idle: int
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Charge:
    """Adds to what an account uses. Holds if its usage is counted, and that much is free of its limit."""

    account: str
    bytes: int


@dataclass(frozen=True, slots=True)
class MoveLevel:
    """From one threshold that an account reached to another. Holds if it is at the first."""

    account: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class AuditAccount:
    """Always holds: an entry of the audit trail about an account, or what `target` names in it, by nobody.

    Of some it is an event.
    """

    account: str
    action: str
    target: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuryObject:
    """Always holds: an object that no row names any more, and that is to be deleted from S3."""

    storage_key: str


@dataclass(frozen=True, slots=True)
class PutTrash:
    """Holds if nothing deleted of that digest is kept there."""

    repository: Repository
    row: TrashRow


@dataclass(frozen=True, slots=True)
class MoveTrash:
    """From one (state, held) to another; `row` says the rest where its manifest is deleted now.

    Holds if it is in the first, due at `due` where that is given, and gives way where `gives_way`.
    """

    repository: Repository
    digest: Digest
    before: tuple[str, int]
    after: tuple[str, int]
    row: TrashRow | None = None
    due: int | None = None
    gives_way: bool = False


@dataclass(frozen=True, slots=True)
class RemoveTrash:
    """Holds if it is in `before`, due at `due` where that is given, and gives way where `gives_way`."""

    repository: Repository
    digest: Digest
    before: tuple[str, int]
    due: int | None = None
    gives_way: bool = False


@dataclass(frozen=True, slots=True)
class TellMove:
    """Always holds: a move of a tag, for its history."""

    repository: Repository
    move: TagMove


@dataclass(frozen=True, slots=True)
class EndUpload:
    """Holds if `writer` still has the session."""

    session: str
    writer: str


@dataclass(frozen=True, slots=True)
class ExpireSession:
    """Removes an upload session of either kind. Holds if it `expires` then, and nobody writes to it `now`."""

    session: str
    expires: int
    now: int


@dataclass(frozen=True, slots=True)
class EndDirect:
    """Marks a direct upload as published. Holds if `writer` still has the session."""

    session: str
    writer: str
    expires: int


Change = (
    PutManifest
    | MoveManifest
    | RemoveManifest
    | CountManifest
    | CountLink
    | PutTag
    | RemoveTag
    | PutReferrer
    | RemoveReferrer
    | WriteAudit
    | NameRepository
    | PutLink
    | RemoveLink
    | TouchLink
    | SettleLink
    | PutBlob
    | CountBlob
    | SettleBlob
    | RemoveBlob
    | Charge
    | MoveLevel
    | AuditAccount
    | BuryObject
    | PutTrash
    | MoveTrash
    | RemoveTrash
    | TellMove
    | EndUpload
    | ExpireSession
    | EndDirect
)


class Transactions(Protocol):
    """All or nothing, at most `TRANSACTION_LIMIT` changes, no two on one row."""

    def write(self, changes: Sequence[Change]) -> list[Change]:
        """Write all and return []; or write none and return those whose condition did not hold.

        Conflicts with other transactions are retried inside.
        """
        ...
