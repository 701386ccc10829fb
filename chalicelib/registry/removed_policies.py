"""Policies go with the repository or registry that they are of: a new one of that name starts clean.

Those of a repository come back when it does, by the restore of an image, for as long as that is possible.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from chalicelib.registry.policies import Policy, PolicyStore, registry_scope, repository_scope
from chalicelib.registry.trash import Terms
from chalicelib.spec.reference import Repository

# In front of the kind of a policy that can come back; no kind begins so.
REMOVED: Final = "removed-"
TRIES: Final = 8


@dataclass(frozen=True, slots=True)
class RemovedPolicies:
    """`terms` are those on which a repository keeps what it deletes. Every verb may be called again."""

    store: PolicyStore
    terms: Callable[[Repository], Terms]
    clock: Callable[[], float] = time.time

    def remove(self, repository: Repository) -> None:
        """Its own: the repository of a registry's bare name has those of the registry, which stay."""
        if repository.name == repository.registry:
            return
        seconds = self.terms(repository).seconds
        self._drop(repository_scope(repository), int(self.clock()) + seconds if seconds else 0)

    def remove_all(self, account: str, registry: str) -> None:
        """Of a registry and of all of its repositories, named by a push or not; its own for good."""
        for scope in self.store.scopes(account, registry):
            self.remove(Repository(account, scope.partition("/")[2]))
        self.remove_scope(registry_scope(account, registry))

    def remove_scope(self, scope: str) -> None:
        """For good."""
        self._drop(scope, 0)

    def own(self, repository: Repository) -> list[Policy]:
        """Those that go with it: that of a registry's bare name has none, but those of the registry."""
        if repository.name == repository.registry:
            return []
        return [one for one in self.store.all(repository_scope(repository)) if not _can_come_back(one)]

    def bring_back(self, repository: Repository) -> None:
        """What went with it, where nobody has set another since."""
        for kept in self._kept(repository):
            if kept.document["due"] > self.clock():
                kind = kept.kind.removeprefix(REMOVED)
                self.store.put(Policy(kept.scope, kind, kept.document["document"]))
            self.store.remove(kept)

    def forget(self, repository: Repository) -> None:
        """What could come back."""
        for kept in self._kept(repository):
            self.store.remove(kept)

    def _kept(self, repository: Repository) -> list[Policy]:
        return [one for one in self.store.all(repository_scope(repository)) if _can_come_back(one)]

    def _drop(self, scope: str, due: int) -> None:
        """Until `due` (epoch seconds) they can come back, with 0 they cannot."""
        for _ in range(TRIES):
            every = {policy.kind: policy for policy in self.store.all(scope)}
            own = [policy for policy in every.values() if not _can_come_back(policy)]
            if not own:
                return
            for policy in own:
                if due:
                    self._keep(policy, every.get(f"{REMOVED}{policy.kind}"), due)
                # Who has changed it meanwhile is seen in the next round.
                self.store.remove(policy)
        raise TimeoutError(f"the policies of {scope} change all the time")

    def _keep(self, policy: Policy, before: Policy | None, due: int) -> None:
        document = {"document": policy.document, "due": due}
        kept = Policy(policy.scope, f"{REMOVED}{policy.kind}", document)
        self.store.put(replace(kept, version=before.version + 1) if before else kept)


def _can_come_back(policy: Policy) -> bool:
    return policy.kind.startswith(REMOVED)
