"""Credentials: users with a role per project, robots with grants, and what each may do where."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from chalicelib.identity.grants import ACTIONS, CATALOG, Grant, Principal, Scope
from chalicelib.identity.roles import EVERY_PROJECT, Role, permissions, role_in
from chalicelib.identity.secret import hash_secret
from chalicelib.identity.tenancy import ACTIVE, Registry
from chalicelib.spec.reference import is_name

OVERLAP_LIMIT_SECONDS: Final = 7 * 24 * 3600
EXPIRY_LIMIT_SECONDS: Final = 366 * 24 * 3600
EXPIRES_SOON_SECONDS: Final = 14 * 24 * 3600


class Kind(StrEnum):
    USER = "user"
    ROBOT = "robot"
    TRUST = "trust"


@dataclass(frozen=True, slots=True)
class Secret:
    """Stored as a hash only; `expires` (epoch seconds) is set on one that is on its way out."""

    hash: str = field(repr=False)
    expires: int | None = None

    @property
    def id(self) -> str:
        """Tells it from others, and nothing of it."""
        return hashlib.sha256(b"secret\0" + self.hash.encode()).hexdigest()[:16]

    def lives(self, now: float) -> bool:
        return self.expires is None or self.expires > now


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose ID tokens stand in for a secret: OpenID Connect claims, where `*` is any text."""

    issuer: str
    audience: str
    subject: str
    claims: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Credential:
    """`expires` is in epoch seconds, None never does.

    `generation` goes up when a change takes something away: what was issued before counts no more.
    `project` is where a robot or a trust belongs; a user has `roles` instead of `grants`.
    """

    id: str
    account: str
    kind: Kind = Kind.USER
    secrets: tuple[Secret, ...] = ()
    roles: Mapping[str, Role] = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()
    project: str = ""
    trust: Trust | None = None
    title: str = ""
    is_operator: bool = False
    is_disabled: bool = False
    expires: int | None = None
    generation: int = 1
    version: int = 1
    created: int = 0
    created_by: str = ""
    used: int = 0
    used_from: str = ""

    @property
    def keeps_account(self) -> bool:
        """An owner of everything who lives on: an account is never without one."""
        return (
            self.kind is Kind.USER
            and self.roles.get(EVERY_PROJECT) is Role.OWNER
            and not self.is_disabled
            and self.expires is None
        )

    def lives(self, now: float) -> bool:
        return not self.is_disabled and (self.expires is None or self.expires > now)

    def has_outgoing(self, now: float) -> bool:
        """Whether a secret that was rotated away still lives."""
        return any(one.expires is not None and one.lives(now) for one in self.secrets)

    def expires_soon(self, now: float) -> bool:
        return self.expires is not None and self.expires - now < EXPIRES_SOON_SECONDS

    def role(self, project: str) -> Role | None:
        return role_in(self.roles, project)

    def may(self, permission: str, project: str = EVERY_PROJECT) -> bool:
        """By role; `EVERY_PROJECT` asks for what holds in the whole account."""
        return permission in permissions(self.role(project))

    def everywhere(self) -> frozenset[str]:
        """Actions on every repository of the account."""
        return permissions(self.roles.get(EVERY_PROJECT)) & set(ACTIONS)

    def actions_on(self, name: str, registry: Registry | None) -> frozenset[str]:
        """On the repository `name`, whose registry is `registry`: nothing where that is another's or gone."""
        if registry is None or registry.account != self.account or registry.state != ACTIVE:
            return frozenset()
        by_role = permissions(self.role(registry.project)) & set(ACTIONS)
        grants = self.grants_on(registry)
        by_grant = {action for action in ACTIONS for grant in grants if grant.allows(action, name)}
        return frozenset(by_role | by_grant)

    def grants_on(self, registry: Registry) -> tuple[Grant, ...]:
        """None on one that moved to another project, nor on one that has the name of one deleted before."""
        if (registry.account, registry.project) != (self.account, self.project):
            return ()
        return tuple(grant for grant in self.grants if _is_of(grant, registry))

    def without_grants_on(self, registry: Registry) -> tuple[Grant, ...]:
        """Those that it has elsewhere."""
        return tuple(grant for grant in self.grants if not _is_of(grant, registry))

    def principal(self, access: tuple[Scope, ...], address: str = "") -> Principal:
        return Principal(self.id, self.account, access, self.everywhere(), self.generation, address)


def granted(
    credential: Credential, scopes: list[Scope], registries: Mapping[str, Registry]
) -> tuple[Scope, ...]:
    """The part of `scopes` that the credential has: nothing on what can be no repository's name."""
    result = []
    for scope in scopes:
        if scope.is_catalog:
            result.append(Scope(scope.kind, scope.name, (CATALOG,)))
        elif scope.is_repository and is_name(scope.name):
            had = credential.actions_on(scope.name, registries.get(scope.registry))
            asked = ACTIONS if CATALOG in scope.actions else dict.fromkeys(scope.actions)
            actions = tuple(action for action in asked if action in had)
            if actions:
                result.append(Scope(scope.kind, scope.name, actions))
    return tuple(result)


def _is_of(grant: Grant, registry: Registry) -> bool:
    return (grant.registry, grant.incarnation) == (registry.name, registry.incarnation)


def first_generation(now: float) -> int:
    """Higher than any that an earlier credential of the same id had: whatever was issued to that is void."""
    return max(1, int(now * 1000))


def administrator(id_: str, account: str, secret: str, now: float = 0) -> Credential:
    """The owner of everything in its account, who may also make accounts."""
    return Credential(
        id_,
        account,
        secrets=(Secret(hash_secret(secret)),),
        roles={EVERY_PROJECT: Role.OWNER},
        is_operator=True,
        generation=first_generation(now),
    )


def rotated(credential: Credential, new_hash: str, now: int, overlap: int) -> Credential:
    """With a new secret; the one before lives for `overlap` seconds more, and none older than that.

    What was issued for a secret ends with it.
    """
    current = [secret for secret in credential.secrets if secret.expires is None]
    outgoing = tuple(replace(secret, expires=now + overlap) for secret in current if overlap > 0)
    drops = overlap <= 0 or credential.has_outgoing(now)
    generation = credential.generation + (1 if drops else 0)
    return replace(
        credential,
        secrets=(Secret(new_hash), *outgoing),
        generation=generation,
        version=credential.version + 1,
    )
