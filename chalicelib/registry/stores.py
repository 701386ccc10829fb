"""What the domain needs of its storage: rows and protocols; the changes of a transaction are in `changes`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from chalicelib.registry.policies import Policy
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository

LIVE: Final = "live"
STAGING: Final = "staging"
RELEASING: Final = "releasing"


@dataclass(frozen=True, slots=True)
class Link:
    """A blob as one repository sees it; `references` counts the manifests there that name it.

    As its account sees it, they are the repositories that have it: with none, nobody may have it from there;
    and `kept` counts the deleted manifests that keep it.
    `idle`: the second in which the last of them may have gone, 0 while there are some for certain.
    """

    digest: Digest
    size: int
    storage_key: str
    references: int = 0
    idle: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """One piece of content that a manifest keeps alive."""

    digest: Digest
    is_manifest: bool


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A stored manifest. Only `live` ones can be pulled; the rest are on their way in or out.

    `pulled`: the second of the last pull that was noted, 0 for none; a survey leaves it out.
    """

    digest: Digest
    media_type: str
    size: int
    state: str
    raw: bytes | None = None
    storage_key: str | None = None
    subject: Digest | None = None
    holds: tuple[Held, ...] = ()
    held: int = 0
    tags: int = 0
    parents: int = 0
    pushed_by: str = ""
    pulled: int = 0


KEPT: Final = "kept"


@dataclass(frozen=True, slots=True)
class TrashRow:
    """A deleted manifest that can be restored until `due`; the account keeps the first `held` of its blobs.

    `staging` until its manifest is deleted, then `kept`, at last `releasing`. `deleted` and `due` are epoch
    seconds; `children` are what it named as an index. `gives_way`: it goes where a push needs its room.
    """

    digest: Digest
    media_type: str
    size: int
    state: str
    raw: bytes | None = None
    storage_key: str | None = None
    subject: Digest | None = None
    blobs: tuple[Digest, ...] = ()
    children: tuple[Digest, ...] = ()
    held: int = 0
    tags: tuple[str, ...] = ()
    deleted: int = 0
    due: int = 0
    deleted_by: str = ""
    reason: str = ""
    gives_way: bool = False


@dataclass(frozen=True, slots=True)
class GivingRow:
    """What is known of a deleted manifest that gives way: the blobs that it keeps, and what it names."""

    repository: Repository
    digest: Digest
    blobs: tuple[Digest, ...]
    children: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class TagMove:
    """What a tag came to name, and when (epoch milliseconds); None: it was deleted."""

    tag: str
    at: int
    digest: Digest | None
    previous: Digest | None
    actor: str = ""
    action: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of an account: `bytes` of its stored blobs, and what is `free` of `limit`; below 0 once it fell.

    `level`: the last threshold that was told of. `turn` goes up with each charge, whatever its sign.
    """

    bytes: int
    limit: int
    level: int = 0
    turn: int = 0

    @property
    def free(self) -> int:
        return self.limit - self.bytes

    @property
    def reached(self) -> int:
        """Of the limit, in whole percent; nothing at all can be full."""
        return self.bytes * 100 // self.limit if self.limit else 100


@dataclass(frozen=True, slots=True)
class TagRow:
    """What a tag names now; `moved`: since when, in epoch microseconds, 0 where nobody has noted it."""

    tag: str
    digest: Digest
    media_type: str
    size: int
    version: int = 1
    moved: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Part:
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class UploadRow:
    """An upload session between requests; `writer` is whoever may write to it until `lease`.

    `verified` is all of it, once it has been found to hash to what the client said.
    """

    session: str
    repository: Repository
    offset: int = 0
    algorithm: str = "sha256"
    hash_state: bytes | None = None
    multipart_key: str | None = None
    multipart_id: str | None = None
    parts: tuple[Part, ...] = ()
    tail_key: str | None = None
    tail_size: int = 0
    expires: int = 0
    verified: Link | None = None


@dataclass(frozen=True, slots=True)
class Staged:
    """An object that a client put into S3 itself, for an upload session, as the blob `digest`."""

    repository: Repository
    digest: Digest
    session: str
    key: str


OPEN: Final = "open"
VERIFYING: Final = "verifying"
PUBLISHED: Final = "published"
REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True)
class DirectRow:
    """A direct upload: what its client announced, and how far its bytes, which the client sends to S3, are.

    `is_final`: the blob stays at `key`; else it is copied from there. `lease` is the writer's, 0 is none.
    """

    session: str
    repository: Repository
    digest: Digest
    size: int
    key: str
    is_final: bool = False
    multipart_id: str | None = None
    part_size: int = 0
    state: str = OPEN
    verified: int = 0
    hash_state: bytes | None = None
    detail: str = ""
    expires: int = 0
    lease: int = 0


@dataclass(frozen=True, slots=True)
class CheckedPart:
    """A part that S3 has checked against `sha256` (in base64); '' where S3 does not say it again."""

    number: int
    size: int
    sha256: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Stat:
    """An object's size, and the SHA-256 of all of it (in base64) where S3 has one."""

    size: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Presigned:
    """A PUT to be sent with exactly these headers: they are signed."""

    url: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class Survey:
    """What a manifest PUT finds when it looks: one consistent read of every row it may touch."""

    manifest: ManifestRow | None = None
    tags: dict[str, TagRow] = field(default_factory=dict)
    links: dict[Digest, Link] = field(default_factory=dict)
    manifests: dict[Digest, ManifestRow] = field(default_factory=dict)
    # Whether the repository is in the lists; read where a manifest is put.
    is_named: bool = False
    # The policy of immutable tags, where the PUT has tags.
    immutable: Policy | None = None


class ManifestStore(Protocol):
    def get(self, repository: Repository, digest: Digest) -> ManifestRow | None: ...
    def survey(
        self,
        repository: Repository,
        digest: Digest | None,
        tags: Collection[str],
        blobs: Iterable[Digest],
        manifests: Iterable[Digest],
    ) -> Survey:
        """One BatchGetItem for each 100 rows, consistent; the policy of immutable tags is among them where
        there are `tags`.
        """
        ...

    def note_pull(self, repository: Repository, digest: Digest, before: int, now: int) -> None:
        """Nothing where the manifest is gone, or another pull than `before` was noted."""
        ...

    def referrers(
        self, repository: Repository, subject: Digest, after: str
    ) -> tuple[list[dict[str, Any]], str]:
        """A page of descriptors after the digest `after`, and where the next page begins, or ''."""
        ...


class TagStore(Protocol):
    def get(self, repository: Repository, tag: str) -> TagRow | None: ...
    def page(self, repository: Repository, after: str, limit: int) -> list[str]:
        """At most `limit` tags after `after`, sorted by code point; one query."""
        ...

    def naming(self, repository: Repository, digest: Digest) -> list[str]:
        """Every tag that names `digest`, consistent."""
        ...


class RepositoryStore(Protocol):
    def exists(self, repository: Repository) -> bool: ...
    def page(self, account: str, after: str, limit: int) -> list[str]: ...


class LinkStore(Protocol):
    def get(self, repository: Repository, digest: Digest) -> Link | None: ...
    def blob(self, account: str, digest: Digest) -> Link | None:
        """The account's copy, whatever repositories link it."""
        ...

    def blobs(self, account: str, digests: Collection[Digest]) -> dict[Digest, Link]:
        """Those that the account has; one read for each hundred."""
        ...


class TrashStore(Protocol):
    def get(self, repository: Repository, digest: Digest) -> TrashRow | None: ...
    def page(self, repository: Repository, after: str, limit: int) -> list[TrashRow]:
        """By digest, without their bytes; consistent."""
        ...

    def giving(self, account: str) -> Iterator[GivingRow]:
        """What of the account gives way to pushes, the oldest first: a list that follows the rows in time."""
        ...


class HistoryStore(Protocol):
    def moves(self, repository: Repository, tag: str, until: int, limit: int) -> list[TagMove]:
        """Those of `tag` no later than `until` (epoch milliseconds), newest first; one query."""
        ...


class UsageStore(Protocol):
    def get(self, account: str) -> Usage | None: ...
    def open(self, account: str, limit: int) -> None:
        """Begin to count, from what is stored; nothing where it is counted already.

        Until then nothing can be charged, so that no blob comes in while they are summed.
        """
        ...

    def many(self, accounts: Sequence[str]) -> dict[str, Usage]:
        """Those of at most 100 that are counted; one read."""
        ...

    def repair(self, account: str, seen: Usage, stored: int, limit: int) -> bool:
        """Count `stored` bytes of `limit`. False: something was charged since `seen`, or its limit moved."""
        ...


class UploadStore(Protocol):
    def create(self, row: UploadRow) -> None: ...
    def get(self, session: str) -> UploadRow | None: ...
    def acquire(self, session: str, writer: str, *, now: int, lease: int) -> UploadRow | None:
        """Become the one writer until `lease` (epoch seconds). None: gone, or another has it."""
        ...

    def renew(self, session: str, writer: str, lease: int) -> bool: ...
    def save(self, row: UploadRow, writer: str) -> bool:
        """Keep progress and let go of the session. False: somebody else has it now, nothing was kept."""
        ...

    def remove(self, session: str) -> UploadRow | None: ...


class ObjectStore(Protocol):
    """Whole objects in S3."""

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None: ...
    def get(self, key: str) -> bytes | None: ...
    def blocks(self, key: str) -> Iterator[bytes]: ...
    def delete(self, key: str) -> None: ...
    def presign(self, method: str, key: str) -> str: ...


class StagedStore(Protocol):
    """Objects that came past the registry, with the checksum that S3 took of them."""

    def waiting(self, repository: Repository, digest: Digest) -> list[Staged]:
        """Those for this blob, the last to come first; one LIST."""
        ...

    def named(self, key: str) -> Staged | None:
        """What an object under that key would be; None for keys of another kind."""
        ...

    def verified_size(self, one: Staged) -> int | None:
        """Its size, where S3 has a SHA-256 of the whole object and it is the digest."""
        ...


class MultipartStore(Protocol):
    """S3 multipart uploads; part numbers count from 1."""

    def begin(self, key: str) -> str: ...
    def put_part(
        self, key: str, multipart_id: str, number: int, data: bytes | bytearray | memoryview
    ) -> str: ...
    def copy_part(self, key: str, multipart_id: str, number: int, source: str) -> str: ...
    def complete(self, key: str, multipart_id: str, etags: Sequence[str]) -> None: ...
    def abort(self, key: str, multipart_id: str) -> None: ...


class DirectStore(Protocol):
    def create(self, row: DirectRow) -> None: ...
    def get(self, session: str) -> DirectRow | None: ...
    def verifying(self, session: str, lease: int) -> bool:
        """From open to verifying, by nobody yet, who has until `lease` to begin. False: it was not open."""
        ...

    def acquire(self, session: str, writer: str, *, now: int, lease: int) -> DirectRow | None:
        """Become the one that verifies until `lease`. None: nothing to verify, or another is at it."""
        ...

    def save(self, row: DirectRow, writer: str, lease: int = 0) -> bool:
        """Keep progress; let go of the session without a `lease`. False: it is not this writer's any more."""
        ...

    def remove(self, session: str) -> DirectRow | None:
        """The row as it was; None where it was gone, or published."""
        ...


class CheckedObjects(Protocol):
    """Whole objects that clients put, and S3 checks. `copies_checked`: a copy tells the SHA-256 of it all."""

    @property
    def copies_checked(self) -> bool: ...
    def put_url(self, key: str, size: int, sha256: str) -> Presigned: ...
    def stat(self, key: str) -> Stat | None: ...
    def copy(self, source: str, key: str) -> str:
        """The SHA-256 of all of it in base64, or '' where S3 does not say it."""
        ...

    def read_ahead(self, key: str, start: int, size: int) -> Iterator[bytes | bytearray]:
        """The bytes from `start` to `size`, in order, with a bounded number of them under way.

        A block is good until the next one is asked for.
        """
        ...

    def delete(self, key: str) -> None: ...


class CheckedParts(Protocol):
    """Multipart uploads whose parts clients put, and S3 checks."""

    def begin_checked(self, key: str) -> str: ...
    def part_url(self, key: str, multipart_id: str, part: CheckedPart) -> Presigned: ...
    def stored_parts(self, key: str, multipart_id: str) -> list[CheckedPart] | None:
        """In their order; None: the upload was completed, or is gone."""
        ...

    def complete_checked(self, key: str, multipart_id: str, parts: Sequence[CheckedPart]) -> None: ...
    def abort(self, key: str, multipart_id: str) -> None: ...
