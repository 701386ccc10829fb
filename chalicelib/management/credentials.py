"""/credentials and /whoami: users, robots and trusts."""

from __future__ import annotations

import time
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query
from pydantic import BaseModel, Field

from chalicelib.identity.credentials import Credential, Trust
from chalicelib.identity.grants import Grant
from chalicelib.identity.roles import Role
from chalicelib.management.forms import CREDENTIAL_ID
from chalicelib.management.models import (
    CallerOut,
    CredentialChange,
    CredentialMade,
    CredentialOut,
    GrantModel,
    RobotIn,
    RotationIn,
    SecretOut,
    TrustIn,
    TrustModel,
    UserIn,
)
from chalicelib.management.paging import Page, PageLimit
from chalicelib.management.services import answered, caller_of, epoch, moment, services_of

router = Router()  # type: ignore[no-untyped-call]
IdPath = Annotated[str, Path(min_length=1, max_length=128, pattern=CREDENTIAL_ID)]
CredentialIn = Annotated[UserIn | RobotIn | TrustIn, Body(), Field(discriminator="kind")]


@router.get("/whoami", tags=["credentials"])
def whoami() -> CallerOut:
    credential = caller_of(router.context).credential
    return CallerOut(
        id=credential.id,
        account=credential.account,
        kind=credential.kind,
        operator=credential.is_operator,
        roles=dict(credential.roles),
        grants=_grants(credential),
    )


@router.get("/credentials", tags=["credentials"])
def list_credentials(
    limit: PageLimit = 50, after: Annotated[str, Query(max_length=128)] = ""
) -> Page[CredentialOut]:
    """Those that the caller may change, and its own."""
    services, by = services_of(router.context), caller_of(router.context).credential
    kept, following = services.desk.page(by, after, limit)
    return Page(items=[_credential(one) for one in kept], next=following)


@router.post("/credentials", tags=["credentials"], responses={201: {"description": "made"}})
def create_credential(credential: CredentialIn) -> Response[CredentialMade]:
    """A user, a robot, or a trust: nobody gives more than they have."""
    _tell(credential)
    made, secret = _make(credential)
    out = CredentialMade(**_credential(made).model_dump(), secret=secret)
    return answered(out, status=201, version=made.version)


@router.get("/credentials/<id>", tags=["credentials"])
def describe_credential(id: IdPath) -> Response[CredentialOut]:  # noqa: A002 - the name in the path
    services, by = services_of(router.context), caller_of(router.context).credential
    found = services.desk.get(by, id)
    return answered(_credential(found), version=found.version)


@router.patch("/credentials/<id>", tags=["credentials"])
def change_credential(id: IdPath, change: CredentialChange) -> Response[CredentialOut]:  # noqa: A002
    """What takes something away counts within a minute, for tokens made before too."""
    services, caller = services_of(router.context), caller_of(router.context)
    _tell(change)
    before = services.desk.get(caller.credential, id)
    caller.check_version("credential", id, before.version)
    after = services.desk.change(
        caller.credential,
        before,
        title=change.title,
        is_disabled=change.disabled,
        grants=None if change.grants is None else _parsed(change.grants),
        expires=epoch(change.expires),
    )
    return answered(_credential(after), version=after.version)


@router.post("/credentials/<id>/rotation", tags=["credentials"], responses={201: {"description": "rotated"}})
def rotate_credential(id: IdPath, rotation: RotationIn) -> Response[CredentialMade]:  # noqa: A002
    """A new secret; the one before lives on for the overlap. Everybody may rotate their own."""
    services, caller = services_of(router.context), caller_of(router.context)
    before = services.desk.get(caller.credential, id)
    caller.check_version("credential", id, before.version)
    after, secret = services.desk.rotate(
        caller.credential,
        before,
        rotation.overlap_seconds,
        proof=caller.secret,
        is_versioned=caller.if_match not in {"", "*"},
    )
    out = CredentialMade(**_credential(after).model_dump(), secret=secret)
    return answered(out, status=201, version=after.version)


@router.delete("/credentials/<id>", tags=["credentials"], responses={204: {"description": "revoked"}})
def delete_credential(id: IdPath) -> Response[None]:  # noqa: A002
    """It stops at once, its tokens within a minute."""
    services, caller = services_of(router.context), caller_of(router.context)
    before = services.desk.get(caller.credential, id)
    caller.check_version("credential", id, before.version)
    services.desk.delete(caller.credential, before)
    return Response(204)


def _tell(asked: BaseModel) -> None:
    """In the audit trail, whether it is then refused or not: no secret is ever sent."""
    caller_of(router.context).told.update(asked.model_dump(mode="json", exclude_unset=True))


def _make(asked: UserIn | RobotIn | TrustIn) -> tuple[Credential, str | None]:
    services, by = services_of(router.context), caller_of(router.context).credential
    if isinstance(asked, UserIn):
        roles = {project: Role(role) for project, role in asked.roles.items()}
        return services.desk.create_user(by, asked.id, roles, asked.title)
    grants, expires = _parsed(asked.grants), epoch(asked.expires)
    if isinstance(asked, RobotIn):
        return services.desk.create_robot(
            by, asked.id, asked.project, grants, title=asked.title, expires=expires
        )
    trust = Trust(**asked.trust.model_dump())
    made = services.desk.create_trust(
        by, asked.id, asked.project, grants, trust, title=asked.title, expires=expires
    )
    return made, None


def _parsed(grants: list[GrantModel]) -> list[Grant]:
    return [Grant.parse(grant.pattern, grant.actions) for grant in grants]


def _grants(credential: Credential) -> list[GrantModel]:
    return [GrantModel(pattern=one.pattern, actions=sorted(one.actions)) for one in credential.grants]  # type: ignore[arg-type]


def _credential(credential: Credential) -> CredentialOut:
    trust = credential.trust
    return CredentialOut(
        id=credential.id,
        kind=credential.kind,
        title=credential.title,
        project=credential.project,
        roles=dict(credential.roles),
        grants=_grants(credential),
        trust=TrustModel(
            issuer=trust.issuer, audience=trust.audience, subject=trust.subject, claims=dict(trust.claims)
        )
        if trust
        else None,
        disabled=credential.is_disabled,
        expires=None if credential.expires is None else moment(credential.expires),
        expires_soon=credential.expires_soon(time.time()),
        secrets=[
            SecretOut(expires=moment(one.expires) if one.expires else None) for one in credential.secrets
        ],
        created=moment(credential.created),
        created_by=credential.created_by,
        used=moment(credential.used) if credential.used else None,
        used_from=credential.used_from,
    )
