"""Undo: deleted manifests and tags come back, and tags name again what they named before.

Every verb may be called again, by anybody, at any time: what it wrote is not written twice.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from chalicelib.registry.blobs import ATTEMPTS, Blobs, busy
from chalicelib.registry.changes import NOBODY, Actor, CountManifest, MoveTrash
from chalicelib.registry.manifests import ALWAYS, Manifests, Precondition, Push
from chalicelib.registry.stores import KEPT, LIVE, RELEASING, HistoryStore, TagMove, TrashRow
from chalicelib.registry.trash import Trash
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.manifest import Manifest, parse_manifest
from chalicelib.spec.reference import Repository

# Longer than any restore takes: meanwhile the collector leaves the row alone.
HOLD_SECONDS: Final = 3600
MANIFESTS_LIMIT: Final = 500
# Of one transaction: each is a tag, its history, and the count of what it named.
TAGS_AT_ONCE: Final = 16
PAGE: Final = 100
RESTORABLE: Final = "restorable"
GONE: Final = "gone"

_NO_PREVIOUS: Final = Precondition(absent=True)


class ChangedError(Exception):
    """What was read is no longer so: look at it all again."""


@dataclass(frozen=True, slots=True)
class Restored:
    """`manifests` came back, children first; `left` are tags that name something else and were left so."""

    digest: Digest
    manifests: tuple[Digest, ...] = ()
    tags: tuple[str, ...] = ()
    left: Mapping[str, Digest] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Named:
    """What a tag named at a time: nothing where `digest` is None.

    `since`: the move (epoch milliseconds) that made it so, 0 where the history does not reach back to it.
    `state` is live, restorable (until `due`, or until a push needs its room where it `gives_way`) or gone;
    '' where there is no digest.
    """

    digest: Digest | None
    since: int = 0
    actor: str = ""
    action: str = ""
    state: str = ""
    due: int = 0
    gives_way: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """Which tags shall name it, those it had where None; `force` takes them from what they name now."""

    tags: Sequence[str] | None = None
    force: bool = False
    action: str = "restore"


@dataclass(frozen=True, slots=True)
class Undo:
    """A restored manifest is pushed again by the registry itself, from bytes that the account has kept."""

    manifests: Manifests
    blobs: Blobs
    trash: Trash
    history: HistoryStore
    clock: Callable[[], float] = time.time

    def restore(
        self,
        repository: Repository,
        digest: Digest,
        *,
        tags: Sequence[str] | None = None,
        actor: Actor = NOBODY,
        force: bool = False,
        referrers: bool = True,
    ) -> Restored:
        """Bring back a manifest, what it names as an index, and with `referrers` what refers to them.

        Raises MANIFEST_UNKNOWN (404) for what is not kept, or names what is gone; DENIED (422) for more than
        `MANIFESTS_LIMIT` manifests, and where a tag that would move is immutable.
        """
        restored = self._restore(repository, digest, Wish(tags, force), actor)
        if not referrers:
            return restored
        came = list(restored.manifests)
        for row in self._referrers(repository, [digest, *came]):
            if len(came) >= MANIFESTS_LIMIT:
                raise _too_many()
            try:
                came += self._restore(repository, row.digest, Wish(), actor).manifests
            except RegistryError as error:
                if error.code is not ErrorCode.MANIFEST_UNKNOWN:
                    raise
        return replace(restored, manifests=tuple(came))

    def rollback(
        self,
        repository: Repository,
        tag: str,
        *,
        back: int = 1,
        digest: Digest | None = None,
        at: int | None = None,
        actor: Actor = NOBODY,
        may_restore: bool = True,
    ) -> Restored:
        """Let a tag name what it named `back` images ago, at `at` (epoch milliseconds), or `digest`.

        Each image counts once, where it was last named, and the one that is named now not at all.
        Raises MANIFEST_UNKNOWN (404) where there is no such version, or it is gone; MANIFEST_INVALID (412)
        where the tag moved meanwhile; DENIED (403) where it is immutable.
        """
        row = self.manifests.tags.get(repository, tag)
        now = row.digest if row else None
        target = digest or self._target(repository, tag, now, back, at)
        if target is None:
            raise _no_version(tag)
        came: tuple[Digest, ...] = ()
        if not self._is_live(repository, target):
            if not may_restore:
                raise _in_trash(target)
            came = self._restore(repository, target, Wish(()), actor).manifests
        if target == now:
            return Restored(target, came)
        stored = self.manifests.get(repository, target)
        manifest = parse_manifest(stored.raw or b"", stored.media_type)
        unmoved = Precondition((now,)) if now else _NO_PREVIOUS
        self.manifests.put(Push(repository, manifest, target, (tag,), actor, unmoved, action="rollback"))
        return Restored(target, came, (tag,))

    def at(self, repository: Repository, tag: str, when: int) -> Named:
        """What the tag named at `when` (epoch milliseconds), and whether that can be had."""
        found = self.history.moves(repository, tag, when, 1)
        if found:
            move = found[0]
            named = Named(move.digest, move.at, move.actor, move.action)
        else:
            named = Named(self._before_history(repository, tag))
        if named.digest is None:
            return named
        if self._is_live(repository, named.digest):
            return replace(named, state=LIVE)
        kept = self.trash.rows.get(repository, named.digest)
        if kept is None or kept.state != KEPT:
            return replace(named, state=GONE)
        return replace(named, state=RESTORABLE, due=kept.due, gives_way=kept.gives_way)

    def moves(self, repository: Repository, tag: str, after: tuple[int, int] = (0, 0)) -> Iterator[TagMove]:
        """Newest first; from a time (epoch milliseconds) on back, without so many moves of that time."""
        until, seen = after if after[0] else (int(self.clock() + HOLD_SECONDS) * 1000, 0)
        while True:
            page = self.history.moves(repository, tag, until, PAGE + seen)
            yield from page[seen:]
            if len(page) < PAGE + seen:
                return
            until = page[-1].at
            seen = sum(one.at == until for one in page)

    def purge_all(self, repository: Repository) -> None:
        """Everything that is kept of the repository."""
        for row in self.kept(repository):
            with contextlib.suppress(RegistryError):
                self.purge(repository, row.digest)

    def purge(self, repository: Repository, digest: Digest) -> TrashRow:
        """Take away what is kept of a deleted manifest, for good. Raises MANIFEST_UNKNOWN (404)."""
        for _ in range(ATTEMPTS):
            row = self.trash.rows.get(repository, digest)
            if row is None:
                raise _not_kept(digest)
            if self.trash.release(repository, row):
                return row
        raise busy()

    def _restore(self, repository: Repository, digest: Digest, wish: Wish, actor: Actor) -> Restored:
        for _ in range(ATTEMPTS):
            try:
                return self._try_restore(repository, digest, wish, actor)
            except ChangedError:
                continue
            except RegistryError as error:
                # Something that it needs went between the look and the write, or a tag came.
                if error.code is not ErrorCode.MANIFEST_BLOB_UNKNOWN and error.status != 412:
                    raise
        raise busy()

    def _try_restore(self, repository: Repository, digest: Digest, wish: Wish, actor: Actor) -> Restored:
        rows = [self._held(repository, row) for row in self._tree(repository, digest)]
        came: list[Digest] = []
        for row in rows:
            if row.digest != digest:
                self._one(repository, row, Wish((), action=wish.action), actor)
                came.append(row.digest)
        if not rows or rows[-1].digest != digest:
            return self._retag(repository, digest, wish, actor)
        was_live = self._is_live(repository, digest)
        restored = self._one(repository, rows[-1], wish, actor)
        return replace(restored, manifests=(*came, *(() if was_live else (digest,))))

    def _tree(self, repository: Repository, digest: Digest) -> list[TrashRow]:
        """What has to come back, each after everything below it. Raises MANIFEST_UNKNOWN (404)."""
        ordered: list[TrashRow] = []
        seen = {digest}
        root = self.trash.rows.get(repository, digest)
        if root is None or root.state != KEPT:
            if not self._is_live(repository, digest):
                raise _not_kept(digest)
            if root is not None and root.state == RELEASING:
                # A restore before this one has stopped in the middle of it.
                self.trash.release(repository, root)
            return []
        path = [(root, iter(root.children))]
        while path:
            row, below = path[-1]
            child = next((one for one in below if one not in seen), None)
            if child is None:
                ordered.append(row)
                path.pop()
                continue
            seen.add(child)
            if self._is_live(repository, child):
                continue
            found = self._kept(repository, child)
            if found is None:
                raise _not_kept(digest, child)
            if len(seen) > MANIFESTS_LIMIT:
                raise _too_many()
            path.append((found, iter(found.children)))
        return ordered

    def _one(self, repository: Repository, row: TrashRow, wish: Wish, actor: Actor) -> Restored:
        """Bytes and children are there: link the blobs, push, and give back what was kept."""
        raw = row.raw
        if raw is None and row.storage_key:
            raw = self.manifests.objects.get(row.storage_key)
        if raw is None:
            raise ChangedError
        for blob in row.blobs:
            if not self.blobs.relink(repository, blob):
                raise ChangedError
        tags = row.tags if wish.tags is None else wish.tags
        manifest = parse_manifest(raw, row.media_type)
        restored = self._push(repository, manifest, row.digest, replace(wish, tags=tags), actor)
        # Who deleted it again meanwhile needs it: it goes only while the manifest is there.
        self.trash.release(repository, row, guard=CountManifest(repository, row.digest))
        return restored

    def _held(self, repository: Repository, row: TrashRow) -> TrashRow:
        """Neither to be collected meanwhile, nor to give way to a push. Raises ChangedError."""
        until = int(self.clock()) + HOLD_SECONDS
        if row.due >= until and not row.gives_way:
            return row
        later, stays = replace(row, due=max(row.due, until), gives_way=False), (row.state, row.held)
        move = MoveTrash(repository, row.digest, stays, stays, row=later, due=row.due)
        if self.trash.transactions.write([move]):
            raise ChangedError
        return later

    def _retag(self, repository: Repository, digest: Digest, wish: Wish, actor: Actor) -> Restored:
        """It is live, and nothing of it is kept: it never went, or came back before."""
        if not wish.tags:
            return Restored(digest)
        stored = self.manifests.get(repository, digest)
        manifest = parse_manifest(stored.raw or b"", stored.media_type)
        return self._push(repository, manifest, digest, wish, actor)

    def _push(
        self, repository: Repository, manifest: Manifest, digest: Digest, wish: Wish, actor: Actor
    ) -> Restored:
        free, taken = self._split(repository, digest, wish.tags or ())
        pushes = [(tags, ALWAYS) for tags in _cut(tuple(taken))] if wish.force else []
        pushes += [(tags, _NO_PREVIOUS) for tags in _cut(free)]
        for tags, precondition in pushes or [((), ALWAYS)]:
            self.manifests.put(Push(repository, manifest, digest, tags, actor, precondition, wish.action))
        if wish.force:
            return Restored(digest, (), (*free, *taken))
        return Restored(digest, (), free, taken)

    def _split(
        self, repository: Repository, digest: Digest, tags: Iterable[str]
    ) -> tuple[tuple[str, ...], dict[str, Digest]]:
        """The tags that name nothing now, and those that name something else."""
        rows = {tag: self.manifests.tags.get(repository, tag) for tag in dict.fromkeys(tags)}
        taken = {tag: row.digest for tag, row in rows.items() if row and row.digest != digest}
        return tuple(tag for tag, row in rows.items() if row is None), taken

    def _referrers(self, repository: Repository, subjects: Iterable[Digest]) -> list[TrashRow]:
        """What is kept and refers to one of `subjects`, or to what does."""
        by_subject: dict[Digest, list[TrashRow]] = {}
        for row in self.kept(repository):
            if row.subject is not None and row.state == KEPT:
                by_subject.setdefault(row.subject, []).append(row)
        found: dict[Digest, TrashRow] = {}
        waiting = list(dict.fromkeys(subjects))
        while waiting:
            for row in by_subject.pop(waiting.pop(), []):
                found[row.digest] = row
                waiting.append(row.digest)
        return list(found.values())

    def kept(self, repository: Repository) -> Iterator[TrashRow]:
        """Everything in the trash of a repository, without its bytes."""
        after = ""
        while page := self.trash.rows.page(repository, after, PAGE):
            yield from page
            after = page[-1].digest

    def _kept(self, repository: Repository, digest: Digest) -> TrashRow | None:
        row = self.trash.rows.get(repository, digest)
        return row if row is not None and row.state == KEPT else None

    def _is_live(self, repository: Repository, digest: Digest) -> bool:
        row = self.manifests.rows.get(repository, digest)
        return row is not None and row.state == LIVE

    def _target(
        self, repository: Repository, tag: str, now: Digest | None, back: int, at: int | None
    ) -> Digest | None:
        if at is not None:
            return self.at(repository, tag, at).digest
        seen: set[Digest | None] = {None, now}
        for version in self._versions(repository, tag):
            if version in seen:
                continue
            seen.add(version)
            back -= 1
            if not back:
                return version
        return None

    def _versions(self, repository: Repository, tag: str) -> Iterator[Digest | None]:
        """What it named, newest first, what it names now among them."""
        move = None
        for move in self.moves(repository, tag):
            yield move.digest
        if move is not None:
            yield move.previous

    def _before_history(self, repository: Repository, tag: str) -> Digest | None:
        """What it named before the first move that is told of."""
        told = deque(self.moves(repository, tag), maxlen=1)
        if told:
            return told[0].previous
        row = self.manifests.tags.get(repository, tag)
        return row.digest if row else None


def _cut(tags: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [tags[first : first + TAGS_AT_ONCE] for first in range(0, len(tags), TAGS_AT_ONCE)]


def _not_kept(digest: Digest, child: Digest | None = None) -> RegistryError:
    message = "it is not in the trash of this repository: it was never deleted here, or not kept until now"
    if child is not None:
        message = f"it names {child}, which is neither here nor in the trash: push that, then restore it"
    return RegistryError(ErrorCode.MANIFEST_UNKNOWN, message, ({"digest": child or digest},))


def _in_trash(digest: Digest) -> RegistryError:
    message = f"{digest} is deleted: this credential may not restore it, which takes push and delete"
    return RegistryError(ErrorCode.DENIED, message, ({"digest": digest},))


def _no_version(tag: str) -> RegistryError:
    message = f"the history of the tag {tag} has no such version: it shows those that there are"
    return RegistryError(ErrorCode.MANIFEST_UNKNOWN, message, ({"tag": tag},))


def _too_many() -> RegistryError:
    message = f"a restore brings back {MANIFESTS_LIMIT} manifests at the most: restore its parts one by one"
    return RegistryError(ErrorCode.DENIED, message, status=422)
