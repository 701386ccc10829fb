"""How long what is deleted can be restored, and whether it gives way to pushes: a policy, else settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chalicelib.registry.policies import RETENTION, PolicyStore
from chalicelib.registry.trash import Terms
from chalicelib.spec.reference import Repository

DAY: Final = 24 * 3600
DAYS_LIMIT: Final = 365


@dataclass(frozen=True, slots=True)
class Retention:
    """Read at deletions alone: what was kept before stays as long as was said then."""

    policies: PolicyStore
    days: int
    is_counted: bool = True

    def terms(self, repository: Repository) -> Terms:
        """A policy that does not say whether it is counted leaves that to the setting."""
        policy = self.policies.of(repository, RETENTION)
        if policy is None:
            return Terms(self.days * DAY, self.is_counted)
        counted = policy.document.get("counted")
        is_counted = self.is_counted if counted is None else bool(counted)
        return Terms(int(policy.document["days"]) * DAY, is_counted)
