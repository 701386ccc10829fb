"""Rows of the domain from and to the models of the tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from chalicelib.aws.keys import repository_key, repository_of, shard_of
from chalicelib.aws.tables import (
    BlobModel,
    HistoryModel,
    LinkModel,
    ManifestModel,
    PolicyModel,
    TagModel,
    TrashModel,
    UploadModel,
)
from chalicelib.registry.policies import Policy
from chalicelib.registry.stores import (
    GivingRow,
    Held,
    Link,
    ManifestRow,
    Part,
    TagMove,
    TagRow,
    TrashRow,
    UploadRow,
)
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(when: datetime) -> int:
    """Exact, so that it can be part of a condition."""
    return (when - _EPOCH) // timedelta(microseconds=1)


def of_microseconds(moved: int) -> datetime:
    return _EPOCH + timedelta(microseconds=moved)


def manifest_row(model: ManifestModel) -> ManifestRow:
    return ManifestRow(
        digest=Digest(model.digest),
        media_type=model.media_type,
        size=int(model.size),
        state=model.state,
        raw=model.raw,
        storage_key=model.storage_key,
        subject=Digest(model.subject) if model.subject else None,
        holds=_held(model.holds or ""),
        held=int(model.held or 0),
        tags=int(model.tags or 0),
        parents=int(model.parents or 0),
        pushed_by=model.pushed_by or "",
        pulled=int(model.pulled or 0),
    )


def held_text(holds: Iterable[Held]) -> str:
    """One line for each; a list of maps would take twice the room of a row that has 400 KB."""
    return "\n".join(f"{'m' if held.is_manifest else 'b'}{held.digest}" for held in holds)


def _held(text: str) -> tuple[Held, ...]:
    return tuple(Held(Digest(line[1:]), is_manifest=line[0] == "m") for line in text.splitlines())


def tag_row(model: TagModel) -> TagRow:
    return TagRow(
        tag=model.tag,
        digest=Digest(model.digest),
        media_type=model.media_type,
        size=int(model.size),
        version=int(model.version),
        moved=microseconds(model.moved) if model.moved else 0,
    )


def link_row(model: LinkModel) -> Link:
    digest, size, references = Digest(model.digest), int(model.size), int(model.references or 0)
    return Link(digest, size, model.storage_key, references, int(model.idle or 0))


def account_link(model: BlobModel) -> Link:
    """A blob as its account sees it."""
    links, idle, kept = int(model.links), int(model.idle or 0), int(model.kept or 0)
    return Link(Digest(model.digest), int(model.size), model.storage_key, links, idle, kept)


def trash_model(table: type[TrashModel], repository: Repository, row: TrashRow) -> TrashModel:
    blobs = (Held(digest, is_manifest=False) for digest in row.blobs)
    children = (Held(digest, is_manifest=True) for digest in row.children)
    return table(
        repository=repository_key(repository),
        digest=row.digest,
        media_type=row.media_type,
        size=row.size,
        state=row.state,
        raw=row.raw,
        storage_key=row.storage_key,
        subject=row.subject,
        holds=held_text((*blobs, *children)),
        held=row.held,
        tags=json.dumps(row.tags),
        deleted=row.deleted,
        deleted_by=row.deleted_by or None,
        reason=row.reason or None,
        shard=shard_of(row.digest),
        due=row.due,
        giving=repository.account if row.gives_way else None,
    )


def trash_row(model: TrashModel) -> TrashRow:
    held = _held(model.holds or "")
    return TrashRow(
        digest=Digest(model.digest),
        media_type=model.media_type,
        size=int(model.size),
        state=model.state,
        raw=model.raw,
        storage_key=model.storage_key,
        subject=Digest(model.subject) if model.subject else None,
        blobs=tuple(one.digest for one in held if not one.is_manifest),
        children=tuple(one.digest for one in held if one.is_manifest),
        held=int(model.held or 0),
        tags=tuple(json.loads(model.tags)),
        deleted=int(model.deleted),
        due=int(model.due),
        deleted_by=model.deleted_by or "",
        reason=model.reason or "",
        gives_way=bool(model.giving),
    )


def giving_row(model: TrashModel) -> GivingRow:
    """What it keeps: of one that is on its way out, what is left."""
    held = _held(model.holds or "")
    blobs = tuple(one.digest for one in held if not one.is_manifest)[: int(model.held or 0)]
    children = tuple(one.digest for one in held if one.is_manifest)
    return GivingRow(repository_of(model.repository), Digest(model.digest), blobs, children)


def tag_move(model: HistoryModel) -> TagMove:
    tag, _, rest = model.move.partition("#")
    return TagMove(
        tag=tag,
        at=int(rest.partition("-")[0]),
        digest=Digest(model.digest) if model.digest else None,
        previous=Digest(model.previous) if model.previous else None,
        actor=model.actor or "",
        action=model.action or "",
    )


def policy_of(model: PolicyModel) -> Policy:
    return Policy(model.scope, model.kind, json.loads(model.document), int(model.version))


def upload_row(model: UploadModel) -> UploadRow:
    return UploadRow(
        session=model.session,
        repository=Repository(model.account, model.repository),
        offset=int(model.offset),
        algorithm=model.algorithm,
        hash_state=model.hash_state,
        multipart_key=model.multipart_key,
        multipart_id=model.multipart_id,
        parts=tuple(Part(etag, size) for etag, size in json.loads(model.parts)),
        tail_key=model.tail_key,
        tail_size=int(model.tail_size),
        expires=int(model.expires),
        verified=_verified(model),
    )


def _verified(model: UploadModel) -> Link | None:
    if model.verified_digest is None or model.verified_key is None:
        return None
    return Link(Digest(model.verified_digest), int(model.offset), model.verified_key)
