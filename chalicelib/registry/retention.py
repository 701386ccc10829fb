"""How long what is deleted can be restored: a policy of the repository or its registry, else a setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chalicelib.registry.policies import RETENTION, PolicyStore
from chalicelib.spec.reference import Repository

DAY: Final = 24 * 3600
DAYS_LIMIT: Final = 365


@dataclass(frozen=True, slots=True)
class Retention:
    """Read at deletions alone: what was kept before stays as long as was said then."""

    policies: PolicyStore
    days: int

    def seconds(self, repository: Repository) -> int:
        """0: nothing is kept."""
        policy = self.policies.of(repository, RETENTION)
        days = self.days if policy is None else int(policy.document["days"])
        return days * DAY
