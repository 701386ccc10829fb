"""Manifests and tags: put, get, delete, each as one transaction where it fits in one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

from chalicelib.registry.blobs import ATTEMPTS, busy
from chalicelib.registry.changes import (
    NOBODY,
    TRANSACTION_LIMIT,
    Actor,
    Change,
    CountManifest,
    MoveManifest,
    NameRepository,
    PutManifest,
    PutReferrer,
    PutTag,
    RemoveManifest,
    RemoveReferrer,
    RemoveTag,
    TellMove,
    Transactions,
    WriteAudit,
)
from chalicelib.registry.holding import check_count, count_changes, held_by, hold_changes, missing_content
from chalicelib.registry.immutability import check_deletion, check_moves
from chalicelib.registry.staging import Staging
from chalicelib.registry.stores import (
    LIVE,
    RELEASING,
    STAGING,
    Held,
    ManifestRow,
    ManifestStore,
    ObjectStore,
    Survey,
    TagMove,
    TagRow,
    TagStore,
)
from chalicelib.registry.trash import Deletion, Trash
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.manifest import Manifest
from chalicelib.spec.reference import Repository

INLINE_LIMIT: Final = 200 * 1024
# A pull is noted this long after the one noted before.
PULL_SECONDS: Final = 24 * 3600
_LOG: Final = logging.getLogger(__name__)
# Each is a call to S3; an image has at most half as many layers, and S3's events adopt too.
ADOPTIONS_LIMIT: Final = 256
# So many tags a deleted manifest can be restored with; a row has no room for any number.
TAGS_KEPT: Final = 500


@dataclass(frozen=True, slots=True)
class Stored:
    """A manifest as a client gets it; `raw` is None where only its descriptor was read.

    `pulled`: the second of the last pull that was noted.
    """

    digest: Digest
    media_type: str
    size: int
    raw: bytes | None = None
    pulled: int = 0


@dataclass(frozen=True, slots=True)
class Precondition:
    """What a reference must name before it changes: one of `digests`, or nothing at all when `absent`."""

    digests: tuple[str, ...] = ()
    absent: bool = False

    def check(self, reference: str, named: Digest | None) -> None:
        """Raises MANIFEST_INVALID (412)."""
        is_wrong = self.digests and (named is None or not {named, "*"}.intersection(self.digests))
        if is_wrong or (self.absent and named is not None):
            found = f"names {named}" if named else "is not there"
            message = f"{reference} {found}, which is not what the request's If-Match or If-None-Match wants"
            raise RegistryError(ErrorCode.MANIFEST_INVALID, message, ({"reference": reference},), status=412)


ALWAYS: Final = Precondition()


@dataclass(frozen=True, slots=True)
class Push:
    """One manifest PUT: the document, its digest and the tags that shall name it."""

    repository: Repository
    manifest: Manifest
    digest: Digest
    tags: tuple[str, ...] = ()
    actor: Actor = NOBODY
    precondition: Precondition = ALWAYS
    # As the audit trail and the history of the tags call it; '' is a push, or a tag that moves.
    action: str = ""
    # The repository that it is promoted from.
    source: str = ""


@dataclass(frozen=True, slots=True)
class Manifests:
    """Reads are consistent: what was acknowledged is seen by the next request."""

    rows: ManifestStore
    tags: TagStore
    objects: ObjectStore
    transactions: Transactions
    staging: Staging
    key_for: Callable[[Repository, Digest], str]
    adopt: Callable[[Repository, Digest], bool] | None = None
    trash: Trash | None = None
    clock: Callable[[], float] = time.time

    def get(self, repository: Repository, reference: Digest | str) -> Stored:
        """Raises MANIFEST_UNKNOWN (404)."""
        if isinstance(reference, Digest):
            stored = self._stored(repository, reference)
            if stored is None:
                raise unknown_manifest(reference)
            return stored
        # A tag can move and its old manifest be deleted between two reads: look once more.
        for _ in range(2):
            row = self.tags.get(repository, reference)
            if row is None:
                break
            stored = self._stored(repository, row.digest)
            if stored is not None:
                return stored
        raise unknown_manifest(reference)

    def describe(self, repository: Repository, reference: Digest | str) -> Stored:
        """Like `get`, without the bytes, in one read. Raises MANIFEST_UNKNOWN (404)."""
        if isinstance(reference, Digest):
            row = self.rows.get(repository, reference)
            if row is None or row.state != LIVE:
                raise unknown_manifest(reference)
            return Stored(row.digest, row.media_type, row.size)
        tag = self.tags.get(repository, reference)
        if tag is None:
            raise unknown_manifest(reference)
        return Stored(tag.digest, tag.media_type, tag.size)

    def note_pull(self, repository: Repository, stored: Stored) -> None:
        """For the policies that ask when; at the most one write a day, which may fail."""
        now = int(self.clock())
        if now - stored.pulled < PULL_SECONDS:
            return
        try:
            self.rows.note_pull(repository, stored.digest, stored.pulled, now)
        except Exception:  # noqa: BLE001 - whatever it is, the pull goes on
            _LOG.warning("a pull of %s@%s was not noted", repository.name, stored.digest, exc_info=True)

    def put(self, push: Push) -> None:
        """Store the manifest and move its tags, all or nothing.

        Raises MANIFEST_BLOB_UNKNOWN (400, one detail for each missing descriptor), SIZE_INVALID
        (400), MANIFEST_INVALID (412 when the precondition does not hold, 413 for more than a row can name).
        """
        check_count(push.manifest)
        for _ in range(ATTEMPTS):
            if self._try_put(push):
                return
        raise busy()

    def delete(
        self,
        repository: Repository,
        digest: Digest,
        actor: Actor = NOBODY,
        precondition: Precondition = ALWAYS,
        reason: str = "",
        *,
        force: bool = False,
        only: AbstractSet[str] | None = None,
    ) -> None:
        """Delete a manifest and the tags that name it, no others than `only` where that is given.

        It can be restored where there is a `trash`.

        Raises MANIFEST_UNKNOWN (404), MANIFEST_INVALID (412), DENIED (405) while an index names it, and
        DENIED (403) where a tag of it is immutable, unless by `force`.
        """
        untagged: list[str] = []
        for _ in range(ATTEMPTS):
            row = self.rows.get(repository, digest)
            if row is not None and row.state != LIVE:
                self.staging.drop(repository, row)
                row = None
            if row is None:
                raise unknown_manifest(digest)
            precondition.check(f"the manifest {digest}", digest)
            _check_unnamed(row)
            tags = self.tags.naming(repository, row.digest) if row.tags else []
            if only is not None and not only >= set(tags):
                message = f"it is tagged {min(set(tags) - only)} too by now; look at it again"
                raise RegistryError(ErrorCode.DENIED, message, ({"digest": digest},), status=412)
            at_once = TRANSACTION_LIMIT // 3
            survey = self.rows.survey(repository, None, tags[:at_once], (), ()) if tags else Survey()
            if not force:
                check_deletion(repository, survey.immutable, dict.fromkeys(tags, digest))
            if len(tags) > at_once:
                untagged += self._untag_most(repository, row.digest, tags, actor)
                continue
            named = _naming(survey, digest)
            if len(named) < len(tags):
                continue  # one has moved
            kept = tuple((*untagged, *tags)[:TAGS_KEPT])
            if self._try_delete(repository, row, named, Deletion(kept, actor.id, reason), actor):
                return
        raise busy()

    def untag(
        self,
        repository: Repository,
        tag: str,
        actor: Actor = NOBODY,
        precondition: Precondition = ALWAYS,
        *,
        force: bool = False,
    ) -> None:
        """Delete a tag, not its manifest.

        Raises MANIFEST_UNKNOWN (404), MANIFEST_INVALID (412), and DENIED (403) where it is immutable, unless
        by `force`.
        """
        for _ in range(ATTEMPTS):
            survey = self.rows.survey(repository, None, (tag,), (), ())
            row = survey.tags.get(tag)
            if row is None:
                raise unknown_manifest(tag)
            precondition.check(f"the tag {tag}", row.digest)
            if not force:
                check_deletion(repository, survey.immutable, {tag: row.digest})
            if not self.transactions.write(self._untag_changes(repository, [row], actor)):
                return
        raise busy()

    def _stored(self, repository: Repository, digest: Digest) -> Stored | None:
        row = self.rows.get(repository, digest)
        if row is None or row.state != LIVE:
            return None
        raw = row.raw
        if raw is None and row.storage_key:
            raw = self.objects.get(row.storage_key)
        return None if raw is None else Stored(digest, row.media_type, row.size, raw, row.pulled)

    def _try_put(self, push: Push) -> bool:
        manifest = push.manifest
        named = [descriptor.digest for descriptor in (*manifest.blobs, *manifest.unclear)]
        children = [descriptor.digest for descriptor in (*manifest.children, *manifest.unclear)]
        survey = self.rows.survey(push.repository, push.digest, push.tags, named, children)
        _check_precondition(push, survey)
        check_moves(push.repository, survey.immutable, _moved(push, survey))
        row = survey.manifest
        if row is not None and row.state == RELEASING:
            self.staging.release(push.repository, row)
            return False
        if row is not None:
            _check_media_type(push, row)
        if row is not None and row.state == LIVE:
            return self._retag(push, survey)
        if self._adopts(push, survey):
            return False
        missing_content(manifest, survey)
        holds = held_by(manifest, survey)
        return self._put_new(push, survey, holds) if row is None else self._finish(push, survey, row)

    def _adopts(self, push: Push, survey: Survey) -> bool:
        """Whether some of the missing blobs are there after all, so that it is worth another look."""
        if self.adopt is None:
            return False
        named = (*push.manifest.blobs, *push.manifest.unclear)
        known = survey.links.keys() | survey.manifests.keys()
        missing = {one.digest: None for one in named if one.digest not in known and not one.is_foreign}
        if len(missing) > ADOPTIONS_LIMIT:
            return False
        found = [digest for digest in missing if self.adopt(push.repository, digest)]
        return bool(found)

    def _retag(self, push: Push, survey: Survey) -> bool:
        moving = _moving(push, survey)
        if not moving:
            return self._push_again(push, survey)
        counts = count_changes(push.repository, tags={**_left(moving, survey), push.digest: len(moving)})
        told = _told(push, push.action or "tag", moving, survey, is_new=False)
        return not self.transactions.write([*self._tag_changes(push, moving, survey), *counts, told])

    def _push_again(self, push: Push, survey: Survey) -> bool:
        """What nothing names is as young as its last push: else it could expire right after it."""
        row = survey.manifest
        if row is None or row.tags or row.parents:
            return True
        return not self.transactions.write([CountManifest(push.repository, push.digest, is_push=True)])

    def _put_new(self, push: Push, survey: Survey, holds: Sequence[Held]) -> bool:
        row = self._row(push, holds)
        moving = _moving(push, survey)
        changes: list[Change] = [PutManifest(push.repository, replace(row, tags=len(moving)))]
        changes += self._around(push, moving, survey)
        changes += hold_changes(push.repository, holds, tags=_left(moving, survey))
        if len(changes) > TRANSACTION_LIMIT:
            staged = replace(row, state=STAGING, held=0)
            if self.transactions.write([PutManifest(push.repository, staged)]):
                self._forget(row)
                return False
            return self._finish(push, survey, staged)
        if self.transactions.write(changes):
            self._forget(row)
            return False
        return True

    def _finish(self, push: Push, survey: Survey, row: ManifestRow) -> bool:
        """Hold in batches what one transaction cannot, then go live with the tags in one."""
        if not self.staging.hold(push.repository, row):
            return False
        moving = _moving(push, survey)
        held = len(row.holds)
        live = MoveManifest(push.repository, push.digest, (STAGING, held), (LIVE, held), new_tags=len(moving))
        counts = count_changes(push.repository, tags=_left(moving, survey))
        return not self.transactions.write([live, *self._around(push, moving, survey), *counts])

    def _around(self, push: Push, moving: Sequence[str], survey: Survey) -> list[Change]:
        """The rows beside the manifest's own: tags, referrer, repository."""
        told = _told(push, push.action or "push", moving, survey, is_new=True)
        changes: list[Change] = [*self._tag_changes(push, moving, survey), told]
        subject = push.manifest.subject
        if subject is not None:
            descriptor = push.manifest.referrer_descriptor(push.digest)
            changes.append(PutReferrer(push.repository, subject.digest, push.digest, descriptor))
        if not survey.is_named:
            changes.append(NameRepository(push.repository))
        return changes

    def _row(self, push: Push, holds: Sequence[Held]) -> ManifestRow:
        raw, key = push.manifest.raw, None
        if len(raw) > INLINE_LIMIT:
            key = self.key_for(push.repository, push.digest)
            self.objects.put(key, raw)
        return ManifestRow(
            digest=push.digest,
            media_type=push.manifest.media_type,
            size=len(raw),
            state=LIVE,
            raw=None if key else raw,
            storage_key=key,
            subject=push.manifest.subject.digest if push.manifest.subject else None,
            holds=tuple(holds),
            held=len(holds),
            pushed_by=push.actor.id,
        )

    def _forget(self, row: ManifestRow) -> None:
        if row.storage_key:
            self.objects.delete(row.storage_key)

    def _try_delete(
        self,
        repository: Repository,
        row: ManifestRow,
        tags: Sequence[TagRow],
        deletion: Deletion,
        actor: Actor,
    ) -> bool:
        around: list[Change] = self._removed(repository, tags, actor, "delete")
        names = [one.tag for one in tags]
        around.append(WriteAudit(repository, actor, "delete", row.digest, _why(names, deletion.reason)))
        if row.subject is not None:
            around.append(RemoveReferrer(repository, row.subject, row.digest))
        before, count = (LIVE, row.held), len(tags)
        counts = hold_changes(repository, row.holds, step=-1)
        if self.trash is not None:
            room = TRANSACTION_LIMIT - 1 - len(around) - len(counts)
            kept = self.trash.keep(repository, row, deletion, room)
            if kept is None:
                return False
            around += kept
        if 1 + len(around) + len(counts) > TRANSACTION_LIMIT:
            after, has_trash = (RELEASING, row.held), self.trash is not None
            leaving = MoveManifest(repository, row.digest, before, after, tags=count, leaves_bytes=has_trash)
            if self.transactions.write([leaving, *around]):
                return False
            kept_row = replace(row, storage_key=None) if has_trash else row
            self.staging.release(repository, replace(kept_row, state=RELEASING, tags=0))
            return True
        if self.transactions.write([RemoveManifest(repository, row.digest, before, count), *around, *counts]):
            return False
        if self.trash is None:
            self._forget(row)
        return True

    def _untag_most(
        self, repository: Repository, digest: Digest, tags: Sequence[str], actor: Actor
    ) -> list[str]:
        """Those that went."""
        step, gone = (TRANSACTION_LIMIT - 2) // 2, list[str]()
        for first in range(0, len(tags), step):
            some = self.rows.survey(repository, None, tags[first : first + step], (), ())
            named = _naming(some, digest)
            if named and not self.transactions.write(self._untag_changes(repository, named, actor)):
                gone += [one.tag for one in named]
        return gone

    def _tag_changes(self, push: Push, moving: Iterable[str], survey: Survey) -> list[Change]:
        changes: list[Change] = []
        action = push.action or "push"
        for tag in moving:
            before = survey.tags.get(tag)
            at = self._after(before)
            row = TagRow(
                tag=tag,
                digest=push.digest,
                media_type=push.manifest.media_type,
                size=len(push.manifest.raw),
                version=before.version + 1 if before else 1,
                moved=at * 1000,
            )
            previous, since = (before.digest, before.moved or None) if before else (None, None)
            changes.append(PutTag(push.repository, row, previous, since))
            move = TagMove(tag, at, push.digest, previous, push.actor.id, action)
            changes.append(TellMove(push.repository, move))
        return changes

    def _after(self, before: TagRow | None) -> int:
        """Now (epoch milliseconds), and later than the last move: its history has them in their order."""
        now = int(self.clock() * 1000)
        return max(now, before.moved // 1000 + 1) if before else now

    def _removed(
        self, repository: Repository, tags: Sequence[TagRow], actor: Actor, action: str
    ) -> list[Change]:
        moves = (TagMove(one.tag, self._after(one), None, one.digest, actor.id, action) for one in tags)
        removed: list[Change] = [
            RemoveTag(repository, one.tag, one.digest, one.moved or None) for one in tags
        ]
        return [*removed, *(TellMove(repository, move) for move in moves)]

    def _untag_changes(self, repository: Repository, tags: Sequence[TagRow], actor: Actor) -> list[Change]:
        """Of tags that name one manifest."""
        digest, names = tags[0].digest, [one.tag for one in tags]
        removed = self._removed(repository, tags, actor, "untag")
        told = WriteAudit(repository, actor, "untag", names[0], {"tags": names, "digest": digest})
        return [*removed, CountManifest(repository, digest, tags=-len(tags)), told]


def _check_precondition(push: Push, survey: Survey) -> None:
    for tag in push.tags:
        row = survey.tags.get(tag)
        push.precondition.check(f"the tag {tag}", row.digest if row else None)
    if not push.tags:
        is_there = survey.manifest is not None and survey.manifest.state == LIVE
        push.precondition.check(f"the manifest {push.digest}", push.digest if is_there else None)


def _check_unnamed(row: ManifestRow) -> None:
    if row.parents:
        message = f"{row.parents} index(es) here name this manifest; delete those first"
        raise RegistryError(ErrorCode.DENIED, message, ({"digest": row.digest},), status=405)


def _check_media_type(push: Push, row: ManifestRow) -> None:
    """The same bytes are one manifest, and it has one type."""
    if row.media_type != push.manifest.media_type:
        message = (
            f"these bytes are here as {row.media_type}; push them as that, or delete the manifest before"
        )
        raise RegistryError(ErrorCode.MANIFEST_INVALID, message, ({"digest": push.digest},))


def _naming(survey: Survey, digest: Digest) -> list[TagRow]:
    return [row for row in survey.tags.values() if row.digest == digest]


def _moving(push: Push, survey: Survey) -> list[str]:
    """The tags that do not name the digest already."""
    named = {tag for tag, row in survey.tags.items() if row.digest == push.digest}
    return [tag for tag in push.tags if tag not in named]


def _moved(push: Push, survey: Survey) -> dict[str, Digest]:
    """What the tags name that would name something else."""
    return {tag: survey.tags[tag].digest for tag in _moving(push, survey) if tag in survey.tags}


def _left(moving: Iterable[str], survey: Survey) -> dict[Digest, int]:
    """How many tags each manifest loses."""
    counts: dict[Digest, int] = {}
    for tag in moving:
        row = survey.tags.get(tag)
        if row is not None:
            counts[row.digest] = counts.get(row.digest, 0) - 1
    return counts


def _why(tags: Sequence[str], reason: str) -> dict[str, object]:
    return {"tags": list(tags), "reason": reason} if reason else {"tags": list(tags)}


def _told(push: Push, action: str, moving: Sequence[str], survey: Survey, *, is_new: bool) -> WriteAudit:
    """What the audit trail keeps: the tags that moved, and from where."""
    manifest = push.manifest
    facts = {
        "media_type": manifest.media_type,
        "size": len(manifest.raw),
        "is_new": is_new,
        "source": push.source,
    }
    moved = {tag: survey.tags[tag].digest if tag in survey.tags else None for tag in moving}
    return WriteAudit(push.repository, push.actor, action, push.digest, {"tags": moved}, facts)


def unknown_manifest(reference: str) -> RegistryError:
    message = "this repository has no such manifest"
    return RegistryError(ErrorCode.MANIFEST_UNKNOWN, message, ({"reference": reference},))
