"""Who may do what: actions on repositories by name or pattern."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

PULL: Final = "pull"
PUSH: Final = "push"
DELETE: Final = "delete"
ACTIONS: Final = (PULL, PUSH, DELETE)
CATALOG: Final = "*"


@dataclass(frozen=True, slots=True)
class Grant:
    """`actions` on every repository that `pattern` matches; `*` stands for any characters."""

    pattern: str
    actions: frozenset[str]

    def allows(self, action: str, name: str) -> bool:
        return action in self.actions and fnmatchcase(name, self.pattern)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who has proved who they are, and what this proof is good for."""

    id: str
    account: str
    grants: tuple[Grant, ...] = ()
    may_list: bool = False
    everywhere: frozenset[str] = frozenset()

    def allows(self, action: str, name: str) -> bool:
        return any(grant.allows(action, name) for grant in self.grants)


@dataclass(frozen=True, slots=True)
class Scope:
    """One resource of a Docker token scope: `repository:<name>:<action>,<action>`."""

    kind: str
    name: str
    actions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}:{','.join(self.actions)}"


def parse_scopes(texts: Iterable[str]) -> list[Scope]:
    """Scopes come in several parameters, or in one with spaces; what is none is left out."""
    scopes = []
    for text in " ".join(texts).split():
        kind, colon, rest = text.partition(":")
        name, separator, actions = rest.rpartition(":")
        if colon and separator and name:
            scopes.append(Scope(kind, name, tuple(actions.split(","))))
    return scopes


def granted(principal: Principal, scopes: Iterable[Scope]) -> list[Scope]:
    """The part of `scopes` that `principal` has."""
    result = []
    for scope in scopes:
        actions = tuple(_granted_actions(principal, scope))
        if actions:
            result.append(Scope(scope.kind, scope.name, actions))
    return result


def _granted_actions(principal: Principal, scope: Scope) -> Iterable[str]:
    if scope.kind == "registry" and scope.name == "catalog":
        return [CATALOG] if principal.may_list and CATALOG in scope.actions else []
    if not scope.kind.startswith("repository"):
        return []
    asked = ACTIONS if CATALOG in scope.actions else scope.actions
    return [action for action in dict.fromkeys(asked) if principal.allows(action, scope.name)]
