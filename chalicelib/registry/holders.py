"""Why a blob lives, or when it goes: who names it, through what, and what is waited for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from chalicelib.registry.collection import Collector, IdleBlob, IdleLink, IdleRow
from chalicelib.registry.stores import Link, LinkStore, TagStore
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository

# Of one blob: a base layer may have thousands, and the first few say enough.
HOLDERS_LIMIT: Final = 25
REPOSITORIES_LIMIT: Final = 2000
# On the ways up from manifest to index, each a read of the repository: indexes may be nested without end.
STEPS_LIMIT: Final = 200


@dataclass(frozen=True, slots=True)
class Naming:
    """A manifest that names something, and since when (epoch seconds)."""

    digest: Digest
    since: int


@dataclass(frozen=True, slots=True)
class Holder:
    """`path` leads from the manifest that `tags` name, or that nothing names, down to that of the blob."""

    repository: Repository
    tags: tuple[str, ...]
    path: tuple[Digest, ...]
    since: int


@dataclass(frozen=True, slots=True)
class Keeper:
    """A deleted manifest that can be restored until `due`."""

    repository: Repository
    manifest: Digest
    due: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A repository that has the blob and no manifest for it; its link goes at `due` if it stays so."""

    repository: Repository
    since: int
    due: int


@dataclass(slots=True)
class Explanation:
    """`due` is when the blob goes, if nothing changes; 0 while something holds it.

    `unnamed`: so many repositories have it that no list has yet, for the indexes follow in a moment.
    `is_complete`: everything was looked at, so that there is nothing else; `steps`: on the ways up.
    """

    digest: Digest
    size: int
    links: int
    idle: int
    due: int = 0
    holders: list[Holder] = field(default_factory=list)
    keepers: list[Keeper] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    unnamed: int = 0
    is_complete: bool = True
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """One thing that the next run frees, and the bytes that go with it."""

    kind: str
    what: str
    since: int
    bytes: int = 0


class HolderStore(Protocol):
    """Reads whole partitions: for people, not for requests."""

    def repositories(self, account: str) -> Iterator[Repository]: ...
    def links(self, repositories: Sequence[Repository], digest: Digest) -> list[tuple[Repository, Link]]:
        """Of at most a hundred, sorted by name."""
        ...

    def naming(self, repository: Repository, digest: Digest, *, is_manifest: bool) -> Iterator[Naming]: ...
    def keeping(self, repository: Repository, digest: Digest) -> Iterator[Keeper]: ...


@dataclass(frozen=True, slots=True)
class Holders:
    rows: HolderStore
    links: LinkStore
    tags: TagStore
    collector: Collector

    def explain(self, account: str, digest: Digest) -> Explanation | None:
        """None: the account has no such blob."""
        blob = self.links.blob(account, digest)
        if blob is None:
            return None
        told = Explanation(digest, blob.size, blob.references, blob.idle, unnamed=blob.references)
        for number, repositories in enumerate(_hundreds(self.rows.repositories(account))):
            if number * 100 >= REPOSITORIES_LIMIT or len(told.holders) >= HOLDERS_LIMIT:
                told.is_complete = False
                return told
            found = self.rows.links(repositories, digest)
            told.unnamed -= len(found)
            for repository, link in found:
                self._about_link(told, repository, link)
            for repository in repositories:
                told.keepers += self.rows.keeping(repository, digest)
        if not (told.links or told.keepers) and blob.idle:
            told.due = blob.idle + self.collector.url_seconds
        return told

    def _about_link(self, told: Explanation, repository: Repository, link: Link) -> None:
        if not link.references:
            told.waiting.append(Waiting(repository, link.idle, link.idle + self.collector.grace))
            return
        for one in self.rows.naming(repository, link.digest, is_manifest=False):
            for holder in self._up(told, repository, one, (one.digest,)):
                if len(told.holders) >= HOLDERS_LIMIT:
                    told.is_complete = False
                    return
                told.holders.append(holder)

    def _up(
        self, told: Explanation, repository: Repository, one: Naming, path: tuple[Digest, ...]
    ) -> Iterator[Holder]:
        """By its own tags, and by the indexes that name it."""
        if told.steps >= STEPS_LIMIT:
            told.is_complete = False
            return
        told.steps += 1
        tags = tuple(self.tags.naming(repository, one.digest))
        if tags:
            yield Holder(repository, tags, path, one.since)
        is_named = bool(tags)
        for index in self.rows.naming(repository, one.digest, is_manifest=True):
            is_named = True
            if index.digest not in path:
                yield from self._up(told, repository, index, (index.digest, *path))
        if not is_named:
            yield Holder(repository, (), path, one.since)

    def due(self, account: str, limit: int) -> tuple[list[Due], bool]:
        """What a run would free now, at most `limit`, and whether that is all. It changes nothing."""
        found: list[Due] = []
        for row in self._listed(account):
            if len(found) == limit:
                return found, False
            found.append(row)
        return found, True

    def _listed(self, account: str) -> Iterator[Due]:
        for row in self.collector.listed(account):
            match row:
                case IdleBlob():
                    yield Due("blob", row.digest, row.idle, row.size)
                case IdleLink():
                    yield Due("link", f"{row.repository.name}@{row.digest}", row.idle)
                case IdleRow():
                    yield Due("deleted manifest", f"{row.repository.name}@{row.digest}", row.at)


def _hundreds(repositories: Iterable[Repository]) -> Iterator[list[Repository]]:
    some: list[Repository] = []
    for one in repositories:
        some.append(one)
        if len(some) == 100:
            yield some
            some = []
    if some:
        yield some
