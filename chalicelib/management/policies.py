"""/policies/<scope>: immutable tags of a registry or repository, and how long it keeps what is deleted."""

from __future__ import annotations

from typing import Annotated, TypeVar
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path

from chalicelib.identity.refusals import Reason, RefusedError
from chalicelib.identity.roles import WRITE_REGISTRY
from chalicelib.management.forms import REPOSITORY_NAME
from chalicelib.management.services import answered, caller_of, services_of
from chalicelib.management.tenancy import require, seen_registry
from chalicelib.management.undo_models import (
    ImmutableTagsDocument,
    ImmutableTagsOut,
    RetentionDocument,
    RetentionOut,
)
from chalicelib.management.versioned_policies import VersionedPolicy
from chalicelib.registry.policies import (
    IMMUTABLE_TAGS,
    RETENTION,
    Policy,
    registry_scope,
    repository_scope,
)
from chalicelib.registry.retention import DAY
from chalicelib.spec.reference import Repository, check_name

router = Router()  # type: ignore[no-untyped-call]
Out = TypeVar("Out", ImmutableTagsOut, RetentionOut)
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
def describe_immutable_tags(scope: ScopePath) -> Response[ImmutableTagsOut]:
    """The one in force: of this very registry or repository, with its ETag, or of its registry."""
    own = _seen(scope, IMMUTABLE_TAGS)
    found = own.in_force()
    if found is None:
        raise RefusedError(Reason.NOT_FOUND, f"no tags of {own.name} are immutable: there is no such policy")
    return _in_force(ImmutableTagsOut, own, found)


@router.put("/policies/<scope>/immutable-tags", tags=["policies"])
def set_immutable_tags(scope: ScopePath, policy: ImmutableTagsDocument) -> Response[ImmutableTagsDocument]:
    """Pushes that have looked already may move a tag once more; none that looks after the answer."""
    document = policy.model_dump(by_alias=True)
    return answered(policy, version=_changeable(scope, IMMUTABLE_TAGS).put(document))


@router.delete(
    "/policies/<scope>/immutable-tags", tags=["policies"], responses={204: {"description": "taken away"}}
)
def remove_immutable_tags(scope: ScopePath) -> Response[None]:
    _changeable(scope, IMMUTABLE_TAGS).remove()
    return Response(204)


@router.get("/policies/<scope>/retention", tags=["policies"])
def describe_retention(scope: ScopePath) -> Response[RetentionOut]:
    """The one in force: of this very registry or repository, with its ETag, its registry's, the setting."""
    own = _seen(scope, RETENTION)
    found = own.in_force()
    if found is not None:
        return _in_force(RetentionOut, own, found)
    account = caller_of(router.context).credential.account
    terms = services_of(router.context).undo.trash.terms(Repository(account, own.name))
    return answered(
        RetentionOut(days=terms.seconds // DAY, counted=terms.is_counted, scope="", inherited=True)
    )


@router.put("/policies/<scope>/retention", tags=["policies"])
def set_retention(scope: ScopePath, policy: RetentionDocument) -> Response[RetentionDocument]:
    """For what is deleted from now on: what is kept already stays as long as was said then."""
    return answered(policy, version=_changeable(scope, RETENTION).put(policy.model_dump()))


@router.delete(
    "/policies/<scope>/retention", tags=["policies"], responses={204: {"description": "taken away"}}
)
def remove_retention(scope: ScopePath) -> Response[None]:
    _changeable(scope, RETENTION).remove()
    return Response(204)


def _seen(encoded: str, kind: str) -> VersionedPolicy:
    """Raises RefusedError (NOT_FOUND) for a registry that the caller may not see."""
    scope, name, _ = _scope(encoded)
    return VersionedPolicy(router.context, scope, kind, name)


def _in_force(model: type[Out], own: VersionedPolicy, found: Policy) -> Response[Out]:
    """With its ETag where it is of `own` very scope."""
    if found.scope == own.scope:
        return answered(model(**found.document, scope=own.name, inherited=False), version=found.version)
    registry = own.name.partition("/")[0]
    return answered(model(**found.document, scope=registry, inherited=True))


def _changeable(encoded: str, kind: str) -> VersionedPolicy:
    """Raises RefusedError (NOT_FOUND, FORBIDDEN)."""
    scope, name, project = _scope(encoded)
    require(
        caller_of(router.context).credential.may(WRITE_REGISTRY, project), "change policies of this registry"
    )
    return VersionedPolicy(router.context, scope, kind, name)


def _scope(encoded: str) -> tuple[str, str, str]:
    """As policies write it, its name, and the project of its registry. Raises RefusedError (NOT_FOUND)."""
    name = check_name(unquote(encoded))
    registry = seen_registry(name.partition("/")[0])
    if "/" in name:
        return repository_scope(Repository(registry.account, name)), name, registry.project
    return registry_scope(registry.account, name), name, registry.project
