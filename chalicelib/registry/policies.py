"""Policies: documents that say how a registry, or one of its repositories, is to be kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from chalicelib.spec.reference import Repository

IMMUTABLE_TAGS: Final = "immutable-tags"
LIFECYCLE: Final = "lifecycle"
RETENTION: Final = "retention"
SOFT_LIMIT: Final = "soft-limit"
# What the last measurement has to say to those who push to a registry.
SOFT_LIMIT_WARNING: Final = "soft-limit-warning"
# The scope of what the deployment keeps for itself; no account has this name.
DEPLOYMENT: Final = "#"


@dataclass(frozen=True, slots=True)
class Policy:
    """`scope` is what it is for, as `registry_scope`, `project_scope` and `repository_scope` write it."""

    scope: str
    kind: str
    document: Any
    version: int = 1


class PolicyStore(Protocol):
    def get(self, scope: str, kind: str) -> Policy | None: ...
    def of(self, repository: Repository, kind: str) -> Policy | None:
        """The repository's own, or that of its registry; one read."""
        ...

    def all(self, scope: str) -> list[Policy]:
        """Of every kind; one query."""
        ...

    def scopes(self, account: str, registry: str) -> list[str]:
        """Of the repositories of a registry that have a policy; it reads every policy that there is."""
        ...

    def put(self, policy: Policy) -> bool:
        """False: its version is not one more than that of the one there (1: there is one)."""
        ...

    def remove(self, policy: Policy) -> bool:
        """False: it is another by now, or gone."""
        ...


def repository_scope(repository: Repository) -> str:
    return f"{repository.account}/{repository.name}"


def registry_scope(account: str, registry: str) -> str:
    """A repository has a name of its own below, so that no two scopes are the same."""
    return f"{account}/{registry}"


def project_scope(account: str, project: str) -> str:
    return f"{account}#{project}"


def scopes(repository: Repository) -> list[str]:
    """Where a policy of a repository may be: its own is nearer than that of its registry.

    The repository of a registry's bare name has that of the registry.
    """
    own, outer = repository_scope(repository), registry_scope(repository.account, repository.registry)
    return list(dict.fromkeys([own, outer]))


def nearest(policies: Iterable[Policy]) -> Policy | None:
    """Of those that are there for a repository."""
    return max(policies, key=lambda policy: policy.scope.count("/"), default=None)
