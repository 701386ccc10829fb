"""Roles of users, and what each may do in a project."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from chalicelib.identity.grants import DELETE, PULL, PUSH

EVERY_PROJECT: Final = "*"

READ: Final = "read"
WRITE_REGISTRY: Final = "write-registry"
WRITE_ROBOT: Final = "write-robot"
WRITE_MEMBER: Final = "write-member"
WRITE_PROJECT: Final = "write-project"
READ_AUDIT: Final = "read-audit"


class Role(StrEnum):
    """Each may do all that the one before it may."""

    VIEWER = "viewer"
    DEVELOPER = "developer"
    MAINTAINER = "maintainer"
    OWNER = "owner"


_ADDED: Final[Mapping[Role, tuple[str, ...]]] = {
    Role.VIEWER: (READ, PULL),
    Role.DEVELOPER: (PUSH,),
    Role.MAINTAINER: (DELETE, WRITE_REGISTRY, WRITE_ROBOT),
    Role.OWNER: (WRITE_MEMBER, WRITE_PROJECT, READ_AUDIT),
}
_ORDER: Final = tuple(Role)


def permissions(role: Role | None) -> frozenset[str]:
    """Everything the role may do; nothing for None."""
    if role is None:
        return frozenset()
    held = _ORDER[: _ORDER.index(role) + 1]
    return frozenset(one for below in held for one in _ADDED[below])


def stronger(first: Role | None, second: Role | None) -> Role | None:
    """The one that may do more."""
    if first is None or second is None:
        return first or second
    return max(first, second, key=_ORDER.index)


def role_in(roles: Mapping[str, Role], project: str) -> Role | None:
    """The role in one project; a role in every project counts there too."""
    return stronger(roles.get(project), roles.get(EVERY_PROJECT))
