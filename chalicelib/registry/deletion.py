"""Deletion of many tags and images at once: what would go is said before, and nothing but that goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final, Protocol

from chalicelib.registry.changes import Actor
from chalicelib.registry.immutability import check_deletion
from chalicelib.registry.manifests import Manifests, Precondition
from chalicelib.registry.policies import IMMUTABLE_TAGS, Policy, PolicyStore
from chalicelib.registry.stores import LIVE
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import RegistryError
from chalicelib.spec.reference import Repository, parse_reference

# Of one request: each is a transaction, and whoever asked waits.
ITEMS_LIMIT: Final = 500


@dataclass(frozen=True, slots=True)
class ListedManifest:
    """`tags` and `parents` count who names it; `pushed` is an epoch second."""

    digest: Digest
    tags: int
    parents: int
    subject: Digest | None
    pushed: int


@dataclass(frozen=True, slots=True)
class ListedTag:
    tag: str
    digest: Digest
    moved: int


class ListingStore(Protocol):
    """What a repository has, a page at a time; consistent."""

    def manifests(self, repository: Repository) -> Iterator[ListedManifest]:
        """Those that can be pulled."""
        ...

    def tags(self, repository: Repository) -> Iterator[ListedTag]: ...


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to go: `references` as they stand, and tags by `pattern`, or manifests that nothing names.

    `before`: of those by pattern and the untagged, what is older (epoch second). `images`: what the tags name
    goes too, where no other tag does.
    """

    references: Sequence[str] = ()
    pattern: str = ""
    untagged: bool = False
    before: int | None = None
    images: bool = False

    def is_old(self, second: int) -> bool:
        return self.before is None or second < self.before


@dataclass(frozen=True, slots=True)
class Item:
    """Tags that go, and with `is_image` the manifest; `refused` says why it stays."""

    reference: str
    digest: Digest | None
    tags: tuple[str, ...] = ()
    is_image: bool = False
    why: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class BulkDeletion:
    """A run is of the plan that it makes itself; what changed since then stays, and is told."""

    manifests: Manifests
    listing: ListingStore
    policies: PolicyStore

    def plan(self, repository: Repository, choice: Choice, *, force: bool = False) -> list[Item]:
        """Everything that would go, in that order; what is immutable goes by `force` alone."""
        items = [self._referenced(repository, one) for one in dict.fromkeys(choice.references)]
        if choice.pattern or choice.untagged:
            items += self._listed(repository, choice)
        if force:
            return items
        policy = self.policies.of(repository, IMMUTABLE_TAGS)
        return [_unless_immutable(repository, policy, item) for item in items]

    def run(self, repository: Repository, items: Sequence[Item], actor: Actor, *, force: bool) -> list[Item]:
        return [self._delete(repository, item, actor, force=force) for item in items]

    def _delete(self, repository: Repository, item: Item, actor: Actor, *, force: bool) -> Item:
        if item.refused or item.digest is None:
            return item
        unmoved = Precondition((item.digest,))
        try:
            if item.is_image:
                self.manifests.delete(
                    repository, item.digest, actor, reason=item.why, only=frozenset(item.tags), force=force
                )
            else:
                for tag in item.tags:
                    self.manifests.untag(repository, tag, actor, unmoved, force=force)
        except RegistryError as error:
            return replace(item, refused=error.message)
        return item

    def _referenced(self, repository: Repository, text: str) -> Item:
        """A tag, a digest, or a tag with what it has to name: `1.0@sha256:…`."""
        name, at, pinned = text.partition("@")
        reference = parse_reference(name)
        if isinstance(reference, Digest):
            row = self.manifests.rows.get(repository, reference)
            if row is None or row.state != LIVE:
                return Item(text, None, refused="there is no such image")
            tags = tuple(self.manifests.tags.naming(repository, reference))
            return Item(text, reference, tags, is_image=True, why="asked for")
        tag = self.manifests.tags.get(repository, reference)
        if tag is None:
            return Item(text, None, refused="there is no such tag")
        if at and tag.digest != pinned:
            return Item(text, tag.digest, (reference,), refused=f"it names {tag.digest} by now")
        return Item(text, tag.digest, (reference,), why="asked for")

    def _listed(self, repository: Repository, choice: Choice) -> list[Item]:
        manifests = {one.digest: one for one in self.listing.manifests(repository)}
        items: list[Item] = []
        if choice.pattern:
            items += self._matching(repository, choice, manifests)
        if choice.untagged:
            items += _untagged(choice, manifests)
        return items

    def _matching(
        self, repository: Repository, choice: Choice, manifests: dict[Digest, ListedManifest]
    ) -> list[Item]:
        chosen: dict[Digest, list[str]] = {}
        for one in self.listing.tags(repository):
            if fnmatchcase(one.tag, choice.pattern) and choice.is_old(one.moved):
                chosen.setdefault(one.digest, []).append(one.tag)
        items: list[Item] = []
        for digest, tags in chosen.items():
            row = manifests.get(digest)
            if choice.images and row is not None and not row.parents and row.tags == len(tags):
                why = f"all its tags match {choice.pattern}"
                items.append(Item(digest, digest, tuple(tags), is_image=True, why=why))
            else:
                why = f"matches {choice.pattern}"
                items += [Item(tag, digest, (tag,), why=why) for tag in tags]
        return items


def _unless_immutable(repository: Repository, policy: Policy | None, item: Item) -> Item:
    if item.digest is None or item.refused:
        return item
    try:
        check_deletion(repository, policy, dict.fromkeys(item.tags, item.digest))
    except RegistryError as error:
        return replace(item, refused=error.message)
    return item


def _untagged(choice: Choice, manifests: dict[Digest, ListedManifest]) -> list[Item]:
    """What refers to an image that is there is its signature or SBOM, and stays with it."""
    return [
        Item(one.digest, one.digest, is_image=True, why="no tag and no index names it")
        for one in manifests.values()
        if not one.tags and not one.parents and one.subject not in manifests and choice.is_old(one.pushed)
    ]
