"""/repositories/<repository>: trash, restorations, deletions, and the history of tags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from chalicelib.identity.grants import DELETE, PULL, PUSH
from chalicelib.identity.refusals import Reason, RefusedError, not_found
from chalicelib.identity.roles import WRITE_REGISTRY
from chalicelib.management.forms import DIGEST, MOVE_CURSOR, TAG
from chalicelib.management.images import After, RepositoryPath, actions_on, repository_named
from chalicelib.management.models import Moment
from chalicelib.management.paging import Page, PageLimit
from chalicelib.management.problems import ProblemError
from chalicelib.management.services import answered, caller_of, epoch, moment, services_of
from chalicelib.management.undo_models import (
    DeletedOut,
    DeletionIn,
    DeletionOut,
    MoveOut,
    NamedOut,
    RestorationIn,
    RestoredOut,
    RollbackIn,
    TrashOut,
)
from chalicelib.registry.deletion import ITEMS_LIMIT, Choice, Item
from chalicelib.registry.stores import KEPT, TagMove, TrashRow
from chalicelib.registry.undo import Restored
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository, check_tag

router = Router()  # type: ignore[no-untyped-call]
TagPath = Annotated[
    str, Path(min_length=1, max_length=128, description="a tag", json_schema_extra={"pattern": TAG})
]
DigestPath = Annotated[
    str, Path(min_length=1, max_length=140, json_schema_extra={"pattern": DIGEST, "maxLength": 135})
]


AfterMove = Annotated[str, Query(max_length=31, pattern=MOVE_CURSOR)]


@router.get("/repositories/<repository>/trash", tags=["undo"])
def list_trash(repository: RepositoryPath, limit: PageLimit = 50, after: After = "") -> Page[TrashOut]:
    """What was deleted and can be restored, by digest; of a repository that was deleted too."""
    found = _seen(repository)
    rows = services_of(router.context).undo.trash.rows.page(found, after, limit + 1)
    following = rows[limit - 1].digest if len(rows) > limit else ""
    return Page(items=[_trash(row) for row in rows[:limit] if row.state == KEPT], next=following)


@router.delete(
    "/repositories/<repository>/trash/<digest>", tags=["undo"], responses={204: {"description": "gone"}}
)
def purge_trash(repository: RepositoryPath, digest: DigestPath) -> Response[None]:
    """For good, and now: what should never have been pushed. The bytes go with the next collection."""
    services, caller = services_of(router.context), caller_of(router.context)
    found = _allowed(repository, "purge its trash", DELETE)
    row = services.undo.purge(found, Digest.parse(digest))
    caller.told.update(purged=row.digest, tags=list(row.tags))
    return Response(204)


@router.post(
    "/repositories/<repository>/restorations", tags=["undo"], responses={201: {"description": "restored"}}
)
def restore(repository: RepositoryPath, restoration: RestorationIn) -> Response[RestoredOut]:
    """A deleted image with its tags and, of an index, what it names. May be asked again."""
    services, caller = services_of(router.context), caller_of(router.context)
    found = _allowed(repository, "restore in this repository, which takes push and delete", PUSH, DELETE)
    with _coming_back(found):
        restored = services.undo.restore(
            found,
            Digest.parse(restoration.digest),
            tags=restoration.tags,
            actor=caller.actor,
            force=restoration.force,
            referrers=restoration.referrers,
        )
    out = _restored(restored)
    caller.told.update(digest=out.digest, tags=out.tags, left=out.left)
    return answered(out, status=201)


@router.get("/repositories/<repository>/tags/<tag>/history", tags=["undo"])
def tag_history(
    repository: RepositoryPath, tag: TagPath, limit: PageLimit = 50, after: AfterMove = ""
) -> Page[MoveOut]:
    """Every move of the tag, newest first: when, by whom, from what to what."""
    found = _seen(repository)
    at, skipped = _position(after)
    moves = services_of(router.context).undo.moves(found, check_tag(tag), (at, skipped))
    page = list(islice(moves, limit + 1))
    following = ""
    if len(page) > limit:
        last = page[limit - 1].at
        seen = sum(one.at == last for one in page[:limit]) + (skipped if last == at else 0)
        following = f"{last}-{seen}"
    return Page(items=[_move(one) for one in page[:limit]], next=following)


@router.get("/repositories/<repository>/tags/<tag>", tags=["undo"])
def describe_tag(
    repository: RepositoryPath, tag: TagPath, at: Annotated[Moment | None, Query()] = None
) -> NamedOut:
    """What the tag names, or named at a time, and whether that can be pulled or restored."""
    services = services_of(router.context)
    found, now = _seen(repository), int(services.undo.clock())
    second = epoch(at)
    # All of that second has passed.
    named = services.undo.at(found, check_tag(tag), (now if second is None else second) * 1000 + 999)
    if second is None and not named.digest:
        raise not_found("tag", f"{found.name}:{tag}")
    return NamedOut(
        tag=tag,
        at=moment(now if second is None else second),
        digest=named.digest,
        since=_time(named.since) if named.since else None,
        actor=named.actor,
        action=named.action,
        state=named.state,
        until=moment(named.due) if named.due else None,
        gives_way=named.gives_way,
    )


@router.post("/repositories/<repository>/tags/<tag>/rollback", tags=["undo"])
def roll_back(repository: RepositoryPath, tag: TagPath, rollback: RollbackIn) -> RestoredOut:
    """Let the tag name what it named before; what was deleted since comes back."""
    services, caller = services_of(router.context), caller_of(router.context)
    found = _allowed(repository, "move tags of this repository", PUSH)
    if sum(one is not None for one in (rollback.back, rollback.digest, rollback.at)) > 1:
        raise ProblemError(422, "a rollback goes by `back`, by `digest` or by `at`: one of them")
    second = epoch(rollback.at)
    with _coming_back(found):
        restored = services.undo.rollback(
            found,
            check_tag(tag),
            back=rollback.back or 1,
            digest=Digest.parse(rollback.digest) if rollback.digest else None,
            at=None if second is None else second * 1000 + 999,
            actor=caller.actor,
            may_restore=DELETE in actions_on(caller.credential, found),
        )
    caller.told.update(digest=restored.digest, tags=list(restored.tags))
    return _restored(restored)


@router.post("/repositories/<repository>/deletions", tags=["undo"])
def delete_many(repository: RepositoryPath, deletion: DeletionIn) -> DeletionOut:
    """Tags and images, named or chosen. With `dry_run` it says exactly what would go, and nothing does."""
    services, caller = services_of(router.context), caller_of(router.context)
    found = _allowed(repository, "delete in this repository", DELETE)
    if deletion.force:
        check_may_force(found)
    if not (deletion.references or deletion.pattern or deletion.untagged):
        raise ProblemError(422, "say what is to go: references, a pattern of tags, or the untagged")
    before = None if deletion.older_than is None else int(services.undo.clock()) - deletion.older_than
    choice = Choice(
        deletion.references, deletion.pattern or "", deletion.untagged, before, images=deletion.images
    )
    planned = services.deletion.plan(found, choice, force=deletion.force)
    items = planned[:ITEMS_LIMIT]
    if not deletion.dry_run:
        items = services.deletion.run(found, items, caller.actor, force=deletion.force)
    out = [_deleted(one) for one in items]
    return DeletionOut(dry_run=deletion.dry_run, items=out, more=len(planned) - len(items))


@contextmanager
def _coming_back(repository: Repository) -> Iterator[None]:
    """With a repository that was deleted its policies come back."""
    services = services_of(router.context)
    is_there = services.repositories.exists(repository)
    yield
    if not is_there:
        services.emptying.policies.bring_back(repository)


def check_may_force(repository: Repository) -> None:
    """Immutable tags go by the hand of who may change what makes them so. Raises RefusedError."""
    services, by = services_of(router.context), caller_of(router.context).credential
    registry = services.tenancy.store.registry(repository.registry)
    if registry is None or not by.may(WRITE_REGISTRY, registry.project):
        message = "to force takes the right to change the policies of this registry"
        raise RefusedError(Reason.FORBIDDEN, message)


def _seen(encoded: str) -> Repository:
    """Also one that was deleted, while something of it is kept. Raises RefusedError (NOT_FOUND)."""
    services, by = services_of(router.context), caller_of(router.context).credential
    found = repository_named(encoded)
    if PULL not in actions_on(by, found):
        raise not_found("repository", found.name)
    if not services.repositories.exists(found) and not services.undo.trash.rows.page(found, "", 1):
        raise not_found("repository", found.name)
    return found


def _allowed(encoded: str, what: str, *needed: str) -> Repository:
    """Who may pull is told what is missing. Raises RefusedError (NOT_FOUND, FORBIDDEN)."""
    found = _seen(encoded)
    if not actions_on(caller_of(router.context).credential, found).issuperset(needed):
        raise RefusedError(Reason.FORBIDDEN, f"this credential may not {what}")
    return found


def _position(after: str) -> tuple[int, int]:
    """The time of a move (epoch milliseconds), and how many moves of that time were told."""
    at, _, seen = after.partition("-")
    return int(at or 0), int(seen or 0)


def _trash(row: TrashRow) -> TrashOut:
    return TrashOut(
        digest=row.digest,
        media_type=row.media_type,
        size=row.size,
        tags=list(row.tags),
        subject=row.subject,
        children=list(row.children),
        deleted=moment(row.deleted),
        deleted_by=row.deleted_by,
        reason=row.reason,
        until=moment(row.due),
        gives_way=row.gives_way,
    )


def _restored(restored: Restored) -> RestoredOut:
    return RestoredOut(
        digest=restored.digest,
        manifests=list(restored.manifests),
        tags=list(restored.tags),
        left=dict(restored.left),
    )


def _move(move: TagMove) -> MoveOut:
    return MoveOut(
        at=_time(move.at),
        digest=move.digest,
        previous=move.previous,
        actor=move.actor,
        action=move.action,
    )


def _deleted(item: Item) -> DeletedOut:
    return DeletedOut(
        reference=item.reference,
        digest=item.digest,
        tags=list(item.tags),
        image=item.is_image,
        why=item.why,
        refused=item.refused,
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
