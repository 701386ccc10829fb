"""/policies/<scope>: immutable tags of a registry or repository, and how long it keeps what is deleted."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path

from chalicelib.identity.refusals import Reason, RefusedError, not_found, stale
from chalicelib.identity.roles import WRITE_REGISTRY
from chalicelib.management.forms import REPOSITORY_NAME
from chalicelib.management.services import answered, caller_of, services_of
from chalicelib.management.tenancy import seen_registry
from chalicelib.management.undo_models import ImmutableTagsDocument, RetentionDocument
from chalicelib.registry.policies import (
    IMMUTABLE_TAGS,
    RETENTION,
    Policy,
    registry_scope,
    repository_scope,
)
from chalicelib.spec.reference import Repository, check_name

router = Router()  # type: ignore[no-untyped-call]
ScopePath = Annotated[
    str,
    Path(
        min_length=1,
        max_length=765,
        description="a registry, or a repository with its slashes encoded: prod, prod%2Fapi",
        json_schema_extra={"maxLength": 255, "pattern": REPOSITORY_NAME},
    ),
]


@router.get("/policies/<scope>/immutable-tags", tags=["policies"])
def describe_immutable_tags(scope: ScopePath) -> Response[ImmutableTagsDocument]:
    """Of this very registry or repository; one without its own has that of its registry."""
    found = _described(scope, IMMUTABLE_TAGS)
    return answered(ImmutableTagsDocument.model_validate(found.document), version=found.version)


@router.put("/policies/<scope>/immutable-tags", tags=["policies"])
def set_immutable_tags(scope: ScopePath, policy: ImmutableTagsDocument) -> Response[ImmutableTagsDocument]:
    """Pushes that have looked already may move a tag once more; none that looks after the answer."""
    document = policy.model_dump(by_alias=True)
    return answered(policy, version=_set(scope, IMMUTABLE_TAGS, document))


@router.delete(
    "/policies/<scope>/immutable-tags", tags=["policies"], responses={204: {"description": "taken away"}}
)
def remove_immutable_tags(scope: ScopePath) -> Response[None]:
    return _removed(scope, IMMUTABLE_TAGS)


@router.get("/policies/<scope>/retention", tags=["policies"])
def describe_retention(scope: ScopePath) -> Response[RetentionDocument]:
    """Of this very registry or repository; one without its own has that of its registry, or the setting."""
    found = _described(scope, RETENTION)
    return answered(RetentionDocument.model_validate(found.document), version=found.version)


@router.put("/policies/<scope>/retention", tags=["policies"])
def set_retention(scope: ScopePath, policy: RetentionDocument) -> Response[RetentionDocument]:
    """For what is deleted from now on: what is kept already stays as long as was said then."""
    return answered(policy, version=_set(scope, RETENTION, policy.model_dump()))


@router.delete(
    "/policies/<scope>/retention", tags=["policies"], responses={204: {"description": "taken away"}}
)
def remove_retention(scope: ScopePath) -> Response[None]:
    return _removed(scope, RETENTION)


def _described(encoded: str, kind: str) -> Policy:
    """Raises RefusedError (NOT_FOUND)."""
    scope, name, _ = _scope(encoded)
    found = services_of(router.context).policies.get(scope, kind)
    if found is None:
        raise not_found("policy", f"{kind} of {name}")
    return found


def _set(encoded: str, kind: str, document: Any) -> int:
    """The new version. Raises RefusedError (FORBIDDEN, STALE)."""
    services, caller = services_of(router.context), caller_of(router.context)
    scope, name = _changeable(encoded)
    before = services.policies.get(scope, kind)
    version = before.version if before else 0
    caller.check_version("policy", name, version)
    caller.told.update(policy=kind, of=name, document=document, before=before.document if before else None)
    if not services.policies.put(Policy(scope, kind, document, version + 1)):
        raise stale("policy", name)
    return version + 1


def _removed(encoded: str, kind: str) -> Response[None]:
    """Raises RefusedError (NOT_FOUND, FORBIDDEN, STALE)."""
    services, caller = services_of(router.context), caller_of(router.context)
    scope, name = _changeable(encoded)
    before = services.policies.get(scope, kind)
    if before is None:
        raise not_found("policy", f"{kind} of {name}")
    caller.check_version("policy", name, before.version)
    caller.told.update(policy=kind, of=name, before=before.document)
    if not services.policies.remove(before):
        raise stale("policy", name)
    return Response(204)


def _changeable(encoded: str) -> tuple[str, str]:
    scope, name, project = _scope(encoded)
    if not caller_of(router.context).credential.may(WRITE_REGISTRY, project):
        raise RefusedError(Reason.FORBIDDEN, "this credential may not change the policies of this registry")
    return scope, name


def _scope(encoded: str) -> tuple[str, str, str]:
    """As policies write it, its name, and the project of its registry. Raises RefusedError (NOT_FOUND)."""
    name = check_name(unquote(encoded))
    registry = seen_registry(name.partition("/")[0])
    if "/" in name:
        return repository_scope(Repository(registry.account, name)), name, registry.project
    return registry_scope(registry.account, name), name, registry.project
