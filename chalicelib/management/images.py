"""/repositories, /promotions and /audit."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Final
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from chalicelib.identity.audit import Record
from chalicelib.identity.credentials import Credential
from chalicelib.identity.grants import DELETE, PULL, PUSH
from chalicelib.identity.refusals import Reason, RefusedError, not_found
from chalicelib.identity.roles import EVERY_PROJECT, READ_AUDIT, WRITE_REGISTRY
from chalicelib.management.forms import REPOSITORY_NAME
from chalicelib.management.models import AuditOut, Moment, PromotionIn, PromotionOut, RepositoryOut, TagOut
from chalicelib.management.paging import Page, PageLimit
from chalicelib.management.problems import ProblemError
from chalicelib.management.services import answered, caller_of, epoch, pages, services_of
from chalicelib.management.tenancy import RegistryPath, seen_registry, told_policies
from chalicelib.registry.immutability import immutable_by
from chalicelib.registry.policies import IMMUTABLE_TAGS, repository_scope
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository, check_name, check_tag, parse_reference

router = Router()  # type: ignore[no-untyped-call]
# It comes here with its slashes encoded, three characters each; the document has its form without.
RepositoryPath = Annotated[
    str,
    Path(
        min_length=1,
        max_length=765,
        description="with its slashes encoded: prod%2Fteam%2Fapi",
        json_schema_extra={"maxLength": 255, "pattern": REPOSITORY_NAME},
    ),
]
After = Annotated[str, Query(max_length=255)]
LOOK_AT: Final = 10_000
REFUSED: Final = "refused"
LOOK_BACK: Final = 31
DAY: Final = 24 * 3600


@router.get("/registries/<registry>/repositories", tags=["repositories"])
def list_repositories(
    registry: RegistryPath, limit: PageLimit = 50, after: After = ""
) -> Page[RepositoryOut]:
    """Those that the caller may pull from."""
    services, by = services_of(router.context), caller_of(router.context).credential
    found = seen_registry(registry)
    seen: list[str] = []
    while len(seen) <= limit:
        names = services.repositories.in_registry(found.account, registry, after, 100)
        seen += [name for name in names if PULL in by.actions_on(name, found)]
        if len(names) < 100:
            break
        after = names[-1]
    kept, following = seen[:limit], seen[limit - 1] if len(seen) > limit else ""
    return Page(items=[RepositoryOut(name=name, registry=registry) for name in kept], next=following)


@router.get("/repositories/<repository>", tags=["repositories"])
def describe_repository(repository: RepositoryPath) -> RepositoryOut:
    found = _seen(repository, PULL)
    return RepositoryOut(name=found.name, registry=found.registry)


@router.get("/repositories/<repository>/tags", tags=["repositories"])
def list_tags(repository: RepositoryPath, limit: PageLimit = 50, after: After = "") -> Page[TagOut]:
    services = services_of(router.context)
    found = _seen(repository, PULL)
    names = services.discovery.tag_list(found, after, limit)
    rows = [services.manifests.tags.get(found, name) for name in names.entries]
    items = [
        TagOut(tag=row.tag, digest=row.digest, media_type=row.media_type, size=row.size)
        for row in rows
        if row
    ]
    return Page(items=items, next=names.last)


@router.delete(
    "/repositories/<repository>", tags=["repositories"], responses={204: {"description": "deleted"}}
)
def delete_repository(
    repository: RepositoryPath,
    force: Annotated[bool, Query()] = False,  # noqa: FBT002
    purge: Annotated[bool, Query()] = False,  # noqa: FBT002
) -> Response[None]:
    """Refused (409) while it holds images, unless forced; those can be restored, unless it is purged.

    Its policies go with it, which takes the right to change them, and come back with the first image that
    is restored.
    """
    services, caller = services_of(router.context), caller_of(router.context)
    found = _seen(repository, PULL)
    if DELETE not in actions_on(caller.credential, found):
        raise RefusedError(Reason.FORBIDDEN, "this credential may not delete this repository")
    if not force and not services.emptying.is_empty(found):
        raise RefusedError(
            Reason.CONFLICT, f"the repository {found.name!r} holds images: force, or delete those"
        )
    may_change = _may_change_policies(found)
    if not may_change:
        _check_policies(found)
        _check_immutable(found)
    if found.name != found.registry:
        caller.told["policies"] = told_policies(repository_scope(found))
    services.emptying.empty(found, caller.actor, force=may_change)
    if purge:
        services.undo.purge_all(found)
        services.emptying.policies.forget(found)
    return Response(204)


def _may_change_policies(repository: Repository) -> bool:
    services, by = services_of(router.context), caller_of(router.context).credential
    registry = services.tenancy.store.registry(repository.registry)
    return registry is not None and by.may(WRITE_REGISTRY, registry.project)


def _check_policies(repository: Repository) -> None:
    """They go with it, so it takes what taking them away takes. Raises RefusedError (FORBIDDEN)."""
    own = sorted(one.kind for one in services_of(router.context).emptying.policies.own(repository))
    if own:
        message = f"it has policies of its own ({', '.join(own)}), which this credential may not take away"
        raise RefusedError(Reason.FORBIDDEN, f"{message}: delete its images and leave it")


def _check_immutable(repository: Repository) -> None:
    """Raises RefusedError (FORBIDDEN) where it has immutable tags."""
    services = services_of(router.context)
    policy = services.policies.of(repository, IMMUTABLE_TAGS)
    if policy is None:
        return
    kept = next(
        (one.tag for one in services.deletion.listing.tags(repository) if immutable_by(policy, one.tag)), ""
    )
    if kept:
        message = f"its tag {kept} is immutable: to delete it takes the right to change that policy"
        raise RefusedError(Reason.FORBIDDEN, message)


@router.post("/promotions", tags=["promotions"], responses={201: {"description": "promoted"}})
def promote(promotion: PromotionIn) -> Response[PromotionOut]:
    """A tag's image, by digest, to another repository of the account; no byte moves."""
    services, caller = services_of(router.context), caller_of(router.context)
    source, reference = _reference(promotion.source)
    target_name, _, tag = promotion.target.partition(":")
    target = Repository(caller.credential.account, check_name(target_name))
    tag = tag or ("" if isinstance(reference, Digest) else reference)
    if PULL not in actions_on(caller.credential, source):
        raise not_found("repository", source.name)
    _check_may_push(caller.credential, target)
    tags = (check_tag(tag),) if tag else ()
    try:
        promoted = services.promotion.promote(source, reference, target, tags=tags, actor=caller.actor)
    except RegistryError as error:
        if error.code is not ErrorCode.MANIFEST_UNKNOWN:
            raise
        raise not_found("image", f"{source.name}{'@' if ':' in reference else ':'}{reference}") from error
    digest = promoted.digest
    _audit_promotion(promotion, digest)
    shown = f"{target.name}:{tag}" if tag else f"{target.name}@{digest}"
    out = PromotionOut(source=promotion.source, target=shown, digest=digest, manifests=promoted.manifests)
    return answered(out, status=201)


@router.get("/audit", tags=["audit"])
def read_audit(  # noqa: PLR0917 - each is a parameter of the query
    since: Annotated[Moment | None, Query()] = None,
    until: Annotated[Moment | None, Query()] = None,
    actor: After = "",
    action: After = "",
    repository: After = "",
    result: After = "",
    reads: Annotated[bool, Query()] = True,  # noqa: FBT002
    limit: PageLimit = 50,
    after: After = "",
) -> Page[AuditOut]:
    """Newest first; the last day unless told otherwise.

    `result` is ok, refused (all that is not ok), or a status; `reads=false` leaves reads of this API that
    were answered out. One page looks at 10,000 entries and 31 days at the most: it may be empty, and still
    have a next.
    """
    services, by = services_of(router.context), caller_of(router.context).credential
    if not by.may(READ_AUDIT, EVERY_PROJECT):
        raise RefusedError(Reason.FORBIDDEN, "this credential may not read the audit trail")
    end = epoch(until) or int(time.time()) + 1
    begin = epoch(since) or end - DAY
    if not 0 <= begin <= end or end - begin > 400 * DAY:
        raise ProblemError(422, "since comes before until, 400 days at the most")
    after = _cursor(after, begin * 1000)
    last = min(end * 1000, int(after[:15])) if after else end * 1000
    first = max(begin * 1000, last - LOOK_BACK * DAY * 1000)
    looked = list(islice(services.trail.read(by.account, first, end * 1000, after), LOOK_AT))
    found = [
        one
        for one in looked
        if _fits(one, actor, action, repository)
        and _ended(one, result)
        and (reads or not _is_answered_read(one))
    ]
    kept, following = pages(found, "id", limit)
    if not following and len(looked) == LOOK_AT:
        following = looked[-1].id
    elif not following and first > begin * 1000:
        following = f"{first:015d}-{'0' * 8}"
    return Page(items=[_record(one) for one in kept], next=following)


def _fits(record: Record, actor: str, action: str, repository: str) -> bool:
    """A repository is also named by its tags and digests."""
    target = record.target
    names = not repository or target == repository or target.startswith((f"{repository}:", f"{repository}@"))
    return names and actor in {"", record.actor} and action in {"", record.action}


def _ended(record: Record, result: str) -> bool:
    return result in {"", record.result} or (result == REFUSED and record.result != "ok")


def _is_answered_read(record: Record) -> bool:
    return (record.action, record.result) == ("api GET", "ok")


def _cursor(after: str, begin: int) -> str:
    """Raises ProblemError (422)."""
    if not after:
        return after
    if not (len(after) == 24 and after.isascii() and after[:15].isdigit() and after[15] == "-"):
        raise ProblemError(422, "`after` is the `next` of the page before")
    if int(after[:15]) < begin:
        raise ProblemError(422, "`after` is from before `since`")
    return after


def _seen(encoded: str, action: str) -> Repository:
    """Raises RefusedError (NOT_FOUND) for what is not there and for what the caller may not see."""
    services, by = services_of(router.context), caller_of(router.context).credential
    repository = repository_named(encoded)
    if action not in actions_on(by, repository) or not services.repositories.exists(repository):
        raise not_found("repository", repository.name)
    return repository


def repository_named(encoded: str) -> Repository:
    """Of the caller's account."""
    by = caller_of(router.context).credential
    return Repository(by.account, check_name(unquote(encoded)))


def actions_on(by: Credential, repository: Repository) -> frozenset[str]:
    services = services_of(router.context)
    return by.actions_on(repository.name, services.tenancy.store.registry(repository.registry))


def _check_may_push(by: Credential, target: Repository) -> None:
    """Whoever may pull from there is told so; nobody else learns that it is there."""
    actions = actions_on(by, target)
    if PULL in actions and PUSH not in actions:
        raise RefusedError(Reason.FORBIDDEN, "this credential may not push to the target")
    if PUSH not in actions:
        raise not_found("repository", target.name)


def _reference(text: str) -> tuple[Repository, Digest | str]:
    by = caller_of(router.context).credential
    name, at, digest = text.partition("@")
    if at:
        return Repository(by.account, check_name(name)), Digest.parse(digest)
    name, _, tag = text.partition(":")
    return Repository(by.account, check_name(name)), parse_reference(tag or "latest")


def _audit_promotion(promotion: PromotionIn, digest: Digest) -> None:
    services, caller = services_of(router.context), caller_of(router.context)
    credential = caller.credential
    services.trail.write(
        Record(
            account=credential.account,
            at=int(time.time() * 1000),
            actor=credential.id,
            action="promote",
            target=promotion.target,
            address=caller.address,
            detail={"source": promotion.source, "digest": digest},
        )
    )


def _record(record: Record) -> AuditOut:
    at = datetime.fromtimestamp(record.at / 1000, UTC)
    return AuditOut(
        id=record.id,
        at=at,
        actor=record.actor,
        action=record.action,
        target=record.target,
        address=record.address,
        result=record.result,
        detail=record.detail,
    )
