"""Emptying a repository: every manifest with its tags, then the links of its blobs, and its policies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from chalicelib.registry.blobs import Blobs
from chalicelib.registry.changes import Actor, NameRepository
from chalicelib.registry.manifests import Manifests
from chalicelib.registry.removed_policies import RemovedPolicies
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository


class ContentStore(Protocol):
    """Everything that a registry and a repository hold, a page at a time."""

    def repositories(self, account: str, registry: str) -> Iterator[Repository]: ...
    def manifests(self, repository: Repository) -> Iterator[Digest]: ...
    def links(self, repository: Repository) -> Iterator[Digest]: ...
    def forget(self, repository: Repository) -> None:
        """Take the repository itself out of the lists."""
        ...


@dataclass(frozen=True, slots=True)
class Emptying:
    """May be run again, beside pushes too: what comes in meanwhile is there for the next run."""

    content: ContentStore
    manifests: Manifests
    blobs: Blobs
    policies: RemovedPolicies

    def empty_registry(self, account: str, registry: str, actor: Actor) -> None:
        for repository in list(self.content.repositories(account, registry)):
            self.empty(repository, actor)
        self.policies.remove_all(account, registry)

    def is_empty(self, repository: Repository) -> bool:
        return next(iter(self.content.manifests(repository)), None) is None

    def empty(self, repository: Repository, actor: Actor) -> int:
        """How many manifests went. An index goes before its children."""
        count = 0
        while (gone := self._pass(repository, actor)) > 0:
            count += gone
        for digest in list(self.content.links(repository)):
            _unless_gone(partial(self.blobs.delete, repository, digest))
        # They say how long what was just deleted is kept.
        self.policies.remove(repository)
        self.content.forget(repository)
        if not self.is_empty(repository):
            # A push that began before found the repository named, and did not name it.
            self.manifests.transactions.write([NameRepository(repository)])
        return count

    def _pass(self, repository: Repository, actor: Actor) -> int:
        """Those that nothing else names now."""
        digests = list(self.content.manifests(repository))
        # Whoever may delete all of it has been asked about immutable tags.
        delete = partial(self.manifests.delete, repository, actor=actor, force=True)
        return sum(_unless_gone(partial(delete, one)) for one in digests)


def _unless_gone(delete: Callable[[], None]) -> bool:
    """False for what is gone already, or still named by something that goes first."""
    try:
        delete()
    except RegistryError as error:
        if error.code in {ErrorCode.MANIFEST_UNKNOWN, ErrorCode.BLOB_UNKNOWN, ErrorCode.DENIED}:
            return False
        raise
    return True
