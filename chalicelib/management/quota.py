"""Soft limits of registries and projects, and the reconciliation of what accounts use."""

from __future__ import annotations

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from chalicelib.identity.refusals import Reason, RefusedError
from chalicelib.identity.roles import WRITE_PROJECT, WRITE_REGISTRY
from chalicelib.management.models import ReconciliationOut, SoftLimitIn, SoftLimitOut
from chalicelib.management.services import answered, caller_of, moment, services_of
from chalicelib.management.tenancy import (
    NamePath,
    RegistryPath,
    require,
    seen_account,
    seen_project,
    seen_registry,
)
from chalicelib.registry.policies import project_scope, registry_scope
from chalicelib.registry.soft_limits import SoftLimit

router = Router()  # type: ignore[no-untyped-call]


@router.post("/accounts/<account>/reconciliation", tags=["accounts"])
def reconcile_account(account: NamePath) -> Response[ReconciliationOut]:
    """Compare what is counted with the tables and the bucket, now, and put the count right.

    A scheduled function does it every six hours; this reads all of the account's blobs.
    """
    services, by = services_of(router.context), caller_of(router.context).credential
    seen_account(account)
    require(by.is_operator or (by.account == account and by.may(WRITE_PROJECT)), "reconcile this account")
    drift = services.reconcile(account)
    return answered(
        ReconciliationOut(
            account=account,
            counted_bytes=drift.counted,
            stored_bytes=drift.stored,
            drift_bytes=drift.drift,
            limit_bytes=drift.limit,
            blobs=drift.blobs,
            repaired=drift.is_repaired,
            objects=drift.objects,
            object_bytes=drift.object_bytes,
            unnamed_objects=drift.unnamed,
            unnamed_bytes=drift.unnamed_bytes,
            missing_objects=drift.missing_count,
            missing=drift.missing,
        )
    )


@router.get("/registries/<registry>/soft-limit", tags=["registries"])
def describe_registry_limit(registry: RegistryPath) -> Response[SoftLimitOut]:
    """404 where it has none."""
    found = seen_registry(registry)
    return _described(registry_scope(found.account, found.name), f"the registry {registry!r}")


@router.put("/registries/<registry>/soft-limit", tags=["registries"])
def set_registry_limit(registry: RegistryPath, limit: SoftLimitIn) -> Response[SoftLimitOut]:
    """It refuses nothing: who pushes beyond it is warned, once a scheduled function has measured it."""
    found, by = seen_registry(registry), caller_of(router.context).credential
    require(by.may(WRITE_REGISTRY, found.project), "change this registry")
    return _set(registry_scope(found.account, found.name), limit)


@router.delete(
    "/registries/<registry>/soft-limit", tags=["registries"], responses={204: {"description": "removed"}}
)
def remove_registry_limit(registry: RegistryPath) -> Response[None]:
    found, by = seen_registry(registry), caller_of(router.context).credential
    require(by.may(WRITE_REGISTRY, found.project), "change this registry")
    return _remove(registry_scope(found.account, found.name), f"the registry {registry!r}")


@router.get("/projects/<project>/soft-limit", tags=["projects"])
def describe_project_limit(project: NamePath) -> Response[SoftLimitOut]:
    """404 where it has none."""
    found = seen_project(project)
    return _described(project_scope(found.account, found.name), f"the project {project!r}")


@router.put("/projects/<project>/soft-limit", tags=["projects"])
def set_project_limit(project: NamePath, limit: SoftLimitIn) -> Response[SoftLimitOut]:
    """Of all of its registries: a blob that several have counts once."""
    found, by = seen_project(project), caller_of(router.context).credential
    require(by.may(WRITE_PROJECT, project), "change this project")
    return _set(project_scope(found.account, found.name), limit)


@router.delete(
    "/projects/<project>/soft-limit", tags=["projects"], responses={204: {"description": "removed"}}
)
def remove_project_limit(project: NamePath) -> Response[None]:
    found, by = seen_project(project), caller_of(router.context).credential
    require(by.may(WRITE_PROJECT, project), "change this project")
    return _remove(project_scope(found.account, found.name), f"the project {project!r}")


def _described(scope: str, what: str) -> Response[SoftLimitOut]:
    found = services_of(router.context).soft_limits.get(scope)
    if found is None:
        raise _none(what)
    return _answered(found)


def _set(scope: str, limit: SoftLimitIn) -> Response[SoftLimitOut]:
    caller_of(router.context).told["soft_limit_bytes"] = limit.bytes
    return _answered(services_of(router.context).soft_limits.set(scope, limit.bytes))


def _remove(scope: str, what: str) -> Response[None]:
    if not services_of(router.context).soft_limits.remove(scope):
        raise _none(what)
    return Response(204)


def _answered(limit: SoftLimit) -> Response[SoftLimitOut]:
    out = SoftLimitOut(
        bytes=limit.bytes,
        used_bytes=limit.used,
        above=limit.is_above,
        measured=moment(limit.measured) if limit.measured else None,
    )
    return answered(out, version=limit.version)


def _none(what: str) -> RefusedError:
    return RefusedError(Reason.NOT_FOUND, f"{what} has no soft limit: set one with PUT")
