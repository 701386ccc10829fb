"""Soft limits of registries and projects: they refuse nothing; who pushes beyond one is warned."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from chalicelib.registry.changes import AuditAccount, Transactions
from chalicelib.registry.policies import (
    SOFT_LIMIT,
    SOFT_LIMIT_WARNING,
    Policy,
    PolicyStore,
    project_scope,
    registry_scope,
)
from chalicelib.spec.reference import Repository

REMEMBER_SECONDS: Final = 60
ATTEMPTS: Final = 8


class LinkedContent(Protocol):
    def repositories(self, account: str, registry: str) -> Iterator[Repository]: ...
    def linked(self, repository: Repository) -> Iterator[tuple[str, int]]:
        """Its blobs: digests and sizes."""
        ...


@dataclass(frozen=True, slots=True)
class SoftLimit:
    """`used` as it was measured at `measured` (epoch seconds); None: not yet."""

    bytes: int
    used: int | None = None
    measured: int = 0
    version: int = 1

    @property
    def is_above(self) -> bool:
        return self.used is not None and self.used > self.bytes


@dataclass(slots=True)
class SoftLimits:
    """A blob counts once in a registry and once in a project, however many repositories link it."""

    policies: PolicyStore
    content: LinkedContent
    transactions: Transactions
    clock: Callable[[], float] = time.time
    _seen: dict[str, tuple[float, str]] = field(default_factory=dict)

    def get(self, scope: str) -> SoftLimit | None:
        policy = self.policies.get(scope, SOFT_LIMIT)
        return None if policy is None else _limit(policy)

    def set(self, scope: str, size: int) -> SoftLimit:
        """It is measured by the next run."""
        for _ in range(ATTEMPTS):
            before = self.policies.get(scope, SOFT_LIMIT)
            version = 1 if before is None else before.version + 1
            document = {**(before.document if before else {}), "bytes": size}
            policy = Policy(scope, SOFT_LIMIT, document, version)
            if self.policies.put(policy):
                return _limit(policy)
        raise TimeoutError(f"the soft limit of {scope} changes all the time")

    def remove(self, scope: str) -> bool:
        """False: there is none."""
        for _ in range(ATTEMPTS):
            before = self.policies.get(scope, SOFT_LIMIT)
            if before is None:
                return False
            if self.policies.remove(before):
                return True
        raise TimeoutError(f"the soft limit of {scope} changes all the time")

    def warning(self, repository: Repository) -> str:
        """For who pushes there, as it was measured last; '' for none. One read in `REMEMBER_SECONDS`."""
        scope, now = registry_scope(repository.account, repository.registry), self.clock()
        at, text = self._seen.get(scope, (-float(REMEMBER_SECONDS), ""))
        if not 0 <= now - at < REMEMBER_SECONDS:
            policy = self.policies.get(scope, SOFT_LIMIT_WARNING)
            text = "" if policy is None else str(policy.document)
            self._seen[scope] = now, text
        return text

    def measure(self, account: str, projects: Mapping[str, Iterable[str]]) -> list[str]:
        """Of every registry and project with a soft limit; what is above it. `projects`: their registries."""
        above = []
        for project, names in projects.items():
            registries = list(names)
            outer = self._measured(account, project_scope(account, project), f"project {project}", registries)
            above += [outer] if outer else []
            for registry in registries:
                scope = registry_scope(account, registry)
                own = self._measured(account, scope, f"registry {registry}", [registry])
                above += [own] if own else []
                self._warn(scope, "; ".join(filter(None, (own, outer))))
        return above

    def _measured(self, account: str, scope: str, what: str, registries: list[str]) -> str:
        """What to say of it where it is above its limit."""
        policy = self.policies.get(scope, SOFT_LIMIT)
        if policy is None:
            return ""
        before = _limit(policy)
        after = replace(before, used=self._sum(account, registries), measured=int(self.clock()))
        document = {"bytes": after.bytes, "used": after.used, "measured": after.measured}
        document["told"] = after.is_above
        is_kept = self.policies.put(replace(policy, document=document, version=policy.version + 1))
        if is_kept and after.is_above and not policy.document.get("told"):
            detail = {"used": after.used, "limit": after.bytes}
            self.transactions.write([AuditAccount(account, "soft-limit", what, detail)])
        return (
            f"the {what} uses {after.used} bytes, its soft limit is {after.bytes}" if after.is_above else ""
        )

    def _sum(self, account: str, registries: list[str]) -> int:
        sizes: dict[str, int] = {}
        for registry in registries:
            for repository in self.content.repositories(account, registry):
                sizes.update(self.content.linked(repository))
        return sum(sizes.values())

    def _warn(self, scope: str, text: str) -> None:
        """Whoever measures beside this one says the same; the next run has the last word."""
        before = self.policies.get(scope, SOFT_LIMIT_WARNING)
        if before is None and text:
            self.policies.put(Policy(scope, SOFT_LIMIT_WARNING, text))
        elif before is not None and not text:
            self.policies.remove(before)
        elif before is not None and before.document != text:
            self.policies.put(replace(before, document=text, version=before.version + 1))
        self._seen.pop(scope, None)


def _limit(policy: Policy) -> SoftLimit:
    document: dict[str, Any] = policy.document
    return SoftLimit(
        document["bytes"], document.get("used"), document.get("measured", 0), version=policy.version
    )
