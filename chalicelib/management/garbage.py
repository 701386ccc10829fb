"""/collections and /holders: runs of the garbage collector, what the next one frees, and why a blob lives."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Final

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BaseModel, Field

from chalicelib.identity.audit import Record
from chalicelib.identity.refusals import Reason, RefusedError, not_found
from chalicelib.identity.roles import EVERY_PROJECT, READ, WRITE_PROJECT
from chalicelib.management.forms import DIGEST
from chalicelib.management.paging import Page, PageLimit
from chalicelib.management.services import answered, caller_of, moment, services_of
from chalicelib.registry.collection import Freed
from chalicelib.spec.digest import Digest

router = Router()  # type: ignore[no-untyped-call]
DigestPath = Annotated[str, Path(min_length=71, max_length=135, pattern=DIGEST)]
RunAfter = Annotated[str, Query(max_length=24, pattern=r"^([0-9]{15}-[0-9a-f]{8})?$")]
SECONDS: Final = 20
DAYS: Final = 31
LOOK_AT: Final = 10_000


class FreedOut(BaseModel):
    bytes: int
    blobs: int
    links: int = Field(description="of a repository to a blob that no manifest there names")
    manifests: int = Field(description="pushes and deletions that died half way")
    trash: int = Field(description="deleted manifests that could be restored until now")
    uploads: int = Field(description="sessions that expired")
    objects: int = Field(description="deleted from S3")


class CollectionMade(FreedOut):
    complete: bool = Field(description="false: its time was up before it came to the end; run it again")


class CollectionOut(FreedOut):
    at: datetime
    actor: str


class DueOut(BaseModel):
    kind: str
    what: str
    bytes: int
    since: datetime


class NextOut(BaseModel):
    items: list[DueOut]
    more: bool


class HolderOut(BaseModel):
    repository: str
    tags: list[str]
    manifests: list[str] = Field(description="from the one that is tagged down to the one with the blob")
    since: datetime


class KeeperOut(BaseModel):
    repository: str
    manifest: str
    until: datetime


class WaitingOut(BaseModel):
    repository: str
    since: datetime
    until: datetime


class ExplanationOut(BaseModel):
    digest: str
    size: int
    held_by: list[HolderOut]
    kept_by: list[KeeperOut] = Field(description="deleted manifests that can be restored")
    waiting: list[WaitingOut] = Field(description="repositories that have it and no manifest for it")
    unnamed: int = Field(description="how many repositories have it that no list has yet")
    unreferenced_since: datetime | None
    goes_at: datetime | None = Field(description="if nothing changes; none while something holds it")
    complete: bool = Field(description="false: there are more holders than are shown")


@router.post("/collections", tags=["collections"], responses={201: {"description": "has run"}})
def run_collection() -> Response[CollectionMade]:
    """Free what nothing of the account needs any more, for 20 seconds at the most."""
    services, caller = services_of(router.context), caller_of(router.context)
    _require(caller.credential.may(WRITE_PROJECT), "collect garbage of this account")
    account, actor = caller.credential.account, caller.actor

    def collect() -> CollectionMade:
        report = services.collect(account, SECONDS, actor)
        return CollectionMade(**_freed(report.of(account)), complete=report.is_complete)

    # Nobody waits for their turn meanwhile.
    caller.later.append(collect)
    return answered(CollectionMade(**_freed(Freed()), complete=False), status=201)


@router.get("/collections", tags=["collections"])
def list_collections(limit: PageLimit = 50, after: RunAfter = "") -> Page[CollectionOut]:
    """Runs of the last 31 days that freed something of the account, newest first."""
    services, by = services_of(router.context), caller_of(router.context).credential
    _require(by.may(WRITE_PROJECT), "read what was collected of this account")
    now = int(time.time())
    found = services.trail.read(by.account, (now - DAYS * 24 * 3600) * 1000, (now + 1) * 1000, after)
    runs = (one for one in islice(found, LOOK_AT) if one.action == "collect")
    kept = list(islice(runs, limit + 1))
    following = kept[limit - 1].id if len(kept) > limit else ""
    return Page(items=[_collection(one) for one in kept[:limit]], next=following)


@router.get("/collections/next", tags=["collections"])
def plan_collection(limit: PageLimit = 100) -> NextOut:
    """What a run would free now, with nothing freed."""
    services, by = services_of(router.context), caller_of(router.context).credential
    _require(by.may(WRITE_PROJECT), "read what would be collected of this account")
    found, is_all = services.holders.due(by.account, limit)
    items = [DueOut(kind=one.kind, what=one.what, bytes=one.bytes, since=moment(one.since)) for one in found]
    return NextOut(items=items, more=not is_all)


@router.get("/holders/<digest>", tags=["collections"])
def explain_blob(digest: DigestPath) -> ExplanationOut:
    """Why a blob of the account lives, or when it goes."""
    services, by = services_of(router.context), caller_of(router.context).credential
    _require(by.may(READ, EVERY_PROJECT), "read everything of this account")
    told = services.holders.explain(by.account, Digest.parse(digest))
    if told is None:
        raise not_found("blob", digest)
    return ExplanationOut(
        digest=told.digest,
        size=told.size,
        held_by=[
            HolderOut(
                repository=one.repository.name,
                tags=list(one.tags),
                manifests=list(one.path),
                since=moment(one.since),
            )
            for one in told.holders
        ],
        kept_by=[
            KeeperOut(repository=one.repository.name, manifest=one.manifest, until=moment(one.due))
            for one in told.keepers
        ],
        waiting=[
            WaitingOut(repository=one.repository.name, since=moment(one.since), until=moment(one.due))
            for one in told.waiting
        ],
        unnamed=max(told.unnamed, 0) if told.is_complete else 0,
        unreferenced_since=moment(told.idle) if told.due else None,
        goes_at=moment(told.due) if told.due else None,
        complete=told.is_complete,
    )


def _freed(freed: Any) -> dict[str, int]:
    return {name: getattr(freed, name) for name in FreedOut.model_fields}


def _collection(record: Record) -> CollectionOut:
    detail: Mapping[str, Any] = record.detail
    counts = {name: int(detail.get(name, 0)) for name in FreedOut.model_fields}
    return CollectionOut(**counts, at=moment(record.at // 1000), actor=record.actor)


def _require(holds: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise RefusedError(Reason.FORBIDDEN, f"this credential may not {what}")
