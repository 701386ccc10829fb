"""Grants and scopes: actions on repositories by pattern, and the part of a scope that is granted."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from chalicelib.identity.names import check_registry_name
from chalicelib.identity.refusals import Reason, RefusedError

PULL: Final = "pull"
PUSH: Final = "push"
DELETE: Final = "delete"
ACTIONS: Final = (PULL, PUSH, DELETE)
CATALOG: Final = "*"
PATTERN_LIMIT: Final = 255
SCOPES_LIMIT: Final = 50
SCOPE_LIMIT: Final = 512
_REPOSITORY: Final = re.compile(r"repository(?:\([a-z0-9]+\))?")
_REST: Final = re.compile(r"[a-z0-9._*-]+(?:/[a-z0-9._*-]+)*")


@dataclass(frozen=True)
class Grant:
    """`actions` on every repository that `pattern` matches.

    A pattern begins with the whole name of a registry; after it `*` stands for any characters, `/` too.
    A registry's name alone is the repository of that name and nothing below it. `incarnation` is that
    registry's: another that gets the name later is not meant.
    """

    pattern: str
    actions: frozenset[str]
    incarnation: int = 0

    @classmethod
    def parse(cls, pattern: str, actions: Iterable[str]) -> Grant:
        """Raises RefusedError (INVALID)."""
        chosen = frozenset(actions)
        if not chosen or not chosen <= set(ACTIONS):
            raise _invalid(f"a grant names one or more of {', '.join(ACTIONS)}")
        registry, slash, rest = pattern.partition("/")
        check_registry_name(registry)
        if len(pattern) > PATTERN_LIMIT or (slash and not _REST.fullmatch(rest)):
            raise _invalid(
                "a pattern is a registry's name and, after a slash, a repository in which * is any text"
            )
        return cls(pattern, chosen)

    @property
    def registry(self) -> str:
        return self.pattern.partition("/")[0]

    def allows(self, action: str, name: str) -> bool:
        return action in self.actions and self._compiled.fullmatch(name) is not None

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        # The grammar lets no other special character of fnmatch through, and it never backtracks.
        return re.compile(fnmatch.translate(self.pattern))


@dataclass(frozen=True, slots=True)
class Scope:
    """One resource of a Docker token scope: `repository:<name>:<action>,<action>`."""

    kind: str
    name: str
    actions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}:{','.join(self.actions)}"

    @property
    def is_catalog(self) -> bool:
        return self.kind == "registry" and self.name == "catalog" and CATALOG in self.actions

    @property
    def is_repository(self) -> bool:
        """Also `repository(plugin)`, as the specification has it."""
        return _REPOSITORY.fullmatch(self.kind) is not None

    @property
    def registry(self) -> str:
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who has proved who they are, and what this proof is good for: repositories by exact name.

    `everywhere` is what they may do in every registry of the account; `generation` that of their credential;
    `issued` (epoch milliseconds) is when that was looked at, `expires` (epoch seconds) when the credential
    ends, or the secret that proved it.
    """

    id: str
    account: str
    access: tuple[Scope, ...] = ()
    everywhere: frozenset[str] = frozenset()
    generation: int = 0
    address: str = ""
    issued: int = field(default=0, compare=False)
    expires: int | None = None

    @property
    def may_list(self) -> bool:
        return any(scope.is_catalog for scope in self.access)

    def allows(self, action: str, name: str) -> bool:
        return any(
            scope.is_repository and scope.name == name and action in scope.actions for scope in self.access
        )


def parse_scopes(texts: Iterable[str]) -> list[Scope]:
    """Scopes come in several parameters, or in one with spaces; what is none is left out.

    Raises RefusedError (INVALID) for more, or longer ones, than any client has.
    """
    scopes = []
    pieces = " ".join(texts).split()
    if len(pieces) > SCOPES_LIMIT:
        raise _invalid(f"at most {SCOPES_LIMIT} scopes in one request")
    if any(len(piece) > SCOPE_LIMIT for piece in pieces):
        raise _invalid(f"a scope has at most {SCOPE_LIMIT} characters")
    for text in pieces:
        kind, colon, rest = text.partition(":")
        name, separator, actions = rest.rpartition(":")
        if colon and separator and name:
            scopes.append(Scope(kind, name, tuple(actions.split(","))))
    return scopes


def _invalid(message: str) -> RefusedError:
    return RefusedError(Reason.INVALID, message)
