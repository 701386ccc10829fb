"""The scheduled run: each repository that a policy is for, as far as the time goes; the next one goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from chalicelib.registry.emptying import ContentStore
from chalicelib.registry.lifecycle_run import Lifecycle, Outcome
from chalicelib.registry.policies import DEPLOYMENT, Policy, PolicyStore, repository_scope
from chalicelib.spec.reference import Repository

_LOG: Final = logging.getLogger(__name__)
# Where the last run stopped.
_KIND: Final = "lifecycle-round"
# Of a place: it comes before whatever a name can have, so that `a` with all that it has is before `a-b`.
_GAP: Final = " "


class ScopeStore(Protocol):
    def scopes(self) -> Iterator[str]:
        """Of every lifecycle policy."""
        ...


@dataclass(frozen=True, slots=True)
class Round:
    """How many repositories a run saw, what went there, and whether it came to the end."""

    repositories: int = 0
    gone: int = 0
    left: int = 0
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class LifecycleRounds:
    lifecycle: Lifecycle
    scopes: ScopeStore
    content: ContentStore
    policies: PolicyStore
    clock: Callable[[], float] = time.time

    def go(self, seconds: float = float("inf")) -> Round:
        """On from where the last one stopped. A repository that fails is left to the next round.

        So is one that a round begins with and does not come to the end of: it keeps no other from its turn.
        """
        until = self.clock() + seconds
        kept = self.policies.get(DEPLOYMENT, _KIND)
        after = str(kept.document) if kept else ""
        seen = gone = left = 0
        for repository in self._repositories():
            key = _place(repository)
            if key < after:
                continue
            if self.clock() >= until:
                self._keep(kept, key)
                return Round(seen, gone, left, is_complete=False)
            if not seen:
                # Noted before: who is killed in the midst of it notes nothing any more.
                kept = self._keep(kept, key + _GAP)
            outcome = self._run(repository, until)
            seen, gone, left = seen + 1, gone + len(outcome.gone), left + len(outcome.left)
            if not outcome.is_complete:
                self._keep(kept, key + _GAP if seen == 1 else key)
                return Round(seen, gone, left, is_complete=False)
        self._keep(kept, "")
        return Round(seen, gone, left)

    def _run(self, repository: Repository, until: float) -> Outcome:
        try:
            outcome = self.lifecycle.run(repository, int(self.clock()), until=until)
        except Exception:  # noqa: BLE001 - whatever it is, the next repository has its turn
            _LOG.exception("the lifecycle policy of %s could not be carried out", repository.name)
            return Outcome()
        if outcome.gone or outcome.left:
            _LOG.info("%s: %d expired, %d left", repository.name, len(outcome.gone), len(outcome.left))
        return outcome

    def _repositories(self) -> Iterator[Repository]:
        """In the order of their places."""
        by_registry: dict[tuple[str, str], set[str]] = {}
        for scope in self.scopes.scopes():
            account, _, name = scope.partition("/")
            registry, slash, _ = name.partition("/")
            by_registry.setdefault((account, registry), set()).add(name if slash else "")
        for (account, registry), names in sorted(by_registry.items()):
            if "" in names:
                yield from self.content.repositories(account, registry)
            else:
                yield from (Repository(account, name) for name in sorted(names))

    def _keep(self, before: Policy | None, after: str) -> Policy | None:
        """What is kept then. Of two runs at once, one place is as good as the other."""
        if after == (before.document if before else ""):
            return before
        policy = Policy(DEPLOYMENT, _KIND, after, before.version + 1 if before else 1)
        return policy if self.policies.put(policy) else self.policies.get(DEPLOYMENT, _KIND)


def _place(repository: Repository) -> str:
    """Account, registry and name, in the order in which repositories have their turn."""
    return repository_scope(repository).replace("/", _GAP, 2)
