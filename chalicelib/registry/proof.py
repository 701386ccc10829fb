"""What fsck reads and finds: rows as they are, what is wrong with them, and how that is mended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, NamedTuple, Protocol

Value = int | str | None
BLOBS: Final = "blobs"
BURIED: Final = "buried"
HISTORY: Final = "history"
LINKS: Final = "links"
MANIFESTS: Final = "manifests"
TAGS: Final = "tags"
TRASH: Final = "trash"
USAGE: Final = "usage"
# Of one TransactGetItems: 100 rows, and 4 MB of all that they hold, which may be 400 KB for each of these.
_TOGETHER: Final = {MANIFESTS: 10, TRASH: 10}
# What a row never changes.
FIXED: Final = "holds"


class Place(NamedTuple):
    """Where a row is: `scope` is a repository with its account, or an account; `key` a digest or a tag.

    The rows of `buried` have no scope, and that of `usage` no key.
    """

    table: str
    scope: str
    key: str


@dataclass(frozen=True, slots=True)
class Row:
    """What matters of a row: all that its writers change."""

    place: Place
    values: Mapping[str, Value]

    @property
    def key(self) -> str:
        return self.place.key

    def number(self, name: str) -> int:
        return int(self.values.get(name) or 0)

    def text(self, name: str) -> str:
        return str(self.values.get(name) or "")

    @property
    def token(self) -> str:
        """Another one after every write: counts have a version that only grows."""
        return hashlib.sha256(json.dumps(self.values, sort_keys=True).encode()).hexdigest()[:16]

    def names(self, kind: str) -> list[str]:
        """The digests that it has counted so far: `kind` is b for blobs and m for manifests."""
        lines = self.text("holds").splitlines()
        if self.place.table == TRASH:
            lines = [line for line in lines if line[0] == "b"]
        return [line[1:] for line in lines[: self.number("held")] if line[0] == kind]


@dataclass(frozen=True, slots=True)
class Mend:
    """A write to one row. Holds if the row has all of `expect`; None: if it is not there.

    `put` are values to be set, of which None takes one away; without it the row is deleted, or with
    `is_check` only looked at.
    """

    place: Place
    expect: Mapping[str, Value] | None
    put: Mapping[str, Value] | None = None
    is_check: bool = False

    def document(self) -> dict[str, Any]:
        kept = None if self.expect is None else dict(self.expect)
        put = None if self.put is None else dict(self.put)
        return {"row": list(self.place), "expect": kept, "put": put, "check": self.is_check}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Mend:
        table, scope, key = document["row"]
        return cls(Place(table, scope, key), document["expect"], document["put"], document["check"])


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be: `found`, what it `should` be, and the writes that make it so.

    Without `mends` nothing can but whoever has the bytes.
    """

    code: str
    place: Place
    message: str
    found: Mapping[str, Any] = field(default_factory=dict)
    should: Mapping[str, Any] = field(default_factory=dict)
    mends: tuple[Mend, ...] = ()

    def document(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "table": self.place.table,
            "scope": self.place.scope,
            "key": self.place.key,
            "message": self.message,
            "found": dict(self.found),
            "should": dict(self.should),
            "mends": [one.document() for one in self.mends],
        }


class RowStore(Protocol):
    """Rows past their stores; every read is consistent."""

    def repositories(self, account: str) -> list[str]:
        """The scopes of all that have anything, deleted ones that can be restored too; sorted."""
        ...

    def page(self, table: str, scope: str, after: str, limit: int) -> list[Row]:
        """At most `limit` rows after the key `after`, sorted."""
        ...

    def together(self, places: Sequence[Place]) -> dict[Place, Row]:
        """Those that are there, as they were at one instant; a hundred and 4 MB at the most."""
        ...

    def newest_moves(self, scope: str, tag: str) -> list[Row]:
        """Of its history, the newest first; a few."""
        ...

    def stored(self, keys: Iterable[str]) -> set[str]:
        """Those under which S3 has an object."""
        ...

    def mend(self, mends: Sequence[Mend]) -> bool:
        """All or nothing. False: something is not as expected any more."""
        ...


@dataclass(frozen=True, slots=True)
class Ground:
    """What checks stand on; `now` in epoch seconds, `descriptor_of` a manifest as referrers are listed."""

    rows: RowStore
    shard_of: Callable[[str], str]
    limit_of: Callable[[str], int]
    descriptor_of: Callable[[str, str], str | None]
    now: int
    listed: dict[str, list[str]] = field(default_factory=dict)

    def repositories(self, account: str, *, is_new: bool) -> list[str]:
        """Asked for again where `is_new`, and once a slice."""
        if is_new or account not in self.listed:
            self.listed[account] = self.rows.repositories(account)
        return self.listed[account]

    def many(self, places: Iterable[Place]) -> dict[Place, Row]:
        """As many as one transaction reads, each so many as they were at one instant."""
        found = dict[Place, Row]()
        for table, group in groupby(sorted(set(places)), lambda place: place.table):
            wanted, most = list(group), _TOGETHER.get(table, 100)
            for first in range(0, len(wanted), most):
                found.update(self.rows.together(wanted[first : first + most]))
        return found

    def marks(self, digest: str) -> dict[str, Value]:
        """What puts a row into the collector's list."""
        return {"idle": self.now, "shard": self.shard_of(digest)}


def exactly(row: Row) -> Mapping[str, Value]:
    """For a write that must not be made to a row that changed since; what it names is long, and stays."""
    return {name: value for name, value in row.values.items() if name != FIXED}


def unchanged(row: Row) -> Mend:
    return Mend(row.place, exactly(row), is_check=True)
