"""Carries lifecycle policies out: reads what a repository holds, plans, deletes what still is as planned."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from chalicelib.registry.changes import (
    Actor,
    Change,
    CountManifest,
    MoveManifest,
    RemoveManifest,
    RemoveTag,
    Transactions,
    Used,
    WriteAudit,
)
from chalicelib.registry.immutability import immutable_by
from chalicelib.registry.lifecycle import (
    Gone,
    LifecyclePolicy,
    ManifestState,
    Plan,
    State,
    TagState,
    Verdict,
    plan,
    reason_of,
)
from chalicelib.registry.manifests import Manifests
from chalicelib.registry.policies import IMMUTABLE_TAGS, LIFECYCLE, PolicyStore
from chalicelib.registry.stores import LIVE, TrashStore
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import RegistryError
from chalicelib.spec.reference import Repository

PAGE: Final = 100
# On whose behalf a run deletes that nobody asked for.
CARETAKER: Final = Actor("lifecycle")


class StateStore(Protocol):
    """What policies look at; consistent, a page at a time, without the bytes of manifests."""

    def tags(self, repository: Repository) -> Iterator[TagState]: ...
    def manifests(self, repository: Repository) -> Iterator[ManifestState]: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """`gone` went; `left` was to go, and had changed since; `is_complete`: there was time for all of it."""

    gone: tuple[Verdict, ...] = ()
    left: tuple[Verdict, ...] = ()
    is_complete: bool = True


class ChangedError(Exception):
    """Something is no longer as the plan saw it."""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Any number of runs may be at it at once, and die anywhere: the next one plans again."""

    states: StateStore
    trash: TrashStore
    policies: PolicyStore
    manifests: Manifests
    clock: Callable[[], float] = time.time

    def preview(
        self, repository: Repository, moment: int, policy: LifecyclePolicy | None = None
    ) -> Plan | None:
        """By `policy`, or the one that is in force there; None where none is."""
        policy = policy or self.policy(repository)
        return None if policy is None else plan(policy, self._state(repository), moment)

    def policy(self, repository: Repository) -> LifecyclePolicy | None:
        stored = self.policies.of(repository, LIFECYCLE)
        return LifecyclePolicy.of(stored.document) if stored else None

    def run(
        self,
        repository: Repository,
        moment: int,
        actor: Actor = CARETAKER,
        until: float = float("inf"),
    ) -> Outcome:
        """Deletes what `preview` shows at that moment, but nothing that changes meanwhile.

        Until `until` (epoch seconds), as near as may be.
        """
        policy = self.policy(repository)
        if policy is None:
            return Outcome()
        state = self._state(repository)
        return _Run(self, repository, actor, until).carry_out(plan(policy, state, moment), state)

    def _state(self, repository: Repository) -> State:
        """Tags first: one that is pushed meanwhile shows in the count of its manifest."""
        tags = tuple(self.states.tags(repository))
        manifests = tuple(self.states.manifests(repository))
        policy = self.policies.of(repository, IMMUTABLE_TAGS)
        return State(manifests, tags, tuple(self._gone(repository)), lambda tag: immutable_by(policy, tag))

    def _gone(self, repository: Repository) -> Iterator[Gone]:
        after = ""
        while rows := self.trash.page(repository, after, PAGE):
            after = rows[-1].digest
            yield from (Gone(one.digest, one.deleted, one.reason, one.children) for one in rows)


@dataclass
class _Run:
    lifecycle: Lifecycle
    repository: Repository
    actor: Actor
    until: float
    gone: list[Verdict] = field(default_factory=list)
    left: list[Verdict] = field(default_factory=list)
    is_complete: bool = True

    def carry_out(self, made: Plan, state: State) -> Outcome:
        seen = _seen(state)
        going = set(made.order)
        for verdict in made.tags.values():
            if verdict.goes and verdict.digest not in going:
                self._untag(verdict, seen[verdict.digest])
        spared: set[Digest] = set()
        tags = _by_digest(one for one in made.tags.values() if one.goes)
        for digest in made.order:
            verdicts = (*tags.get(digest, ()), made.manifests[digest])
            if not self._has_time():
                break
            # What is held by something that stays after all stays with it.
            if not spared.isdisjoint(made.holders[digest]):
                spared.add(digest)
                self.left += verdicts
            elif not self._delete(verdicts, seen[digest]):
                spared.add(digest)
        return Outcome(tuple(self.gone), tuple(self.left), self.is_complete)

    def _has_time(self) -> bool:
        self.is_complete = self.is_complete and self.lifecycle.clock() < self.until
        return self.is_complete

    def _untag(self, verdict: Verdict, seen: _Seen) -> None:
        if not self._has_time():
            return
        guard = self._guard(verdict, seen)
        try:
            self._with(guard).untag(self.repository, verdict.tag, self.actor)
        except (RegistryError, ChangedError):
            self.left.append(verdict)
        else:
            self.gone.append(verdict)

    def _delete(self, verdicts: Sequence[Verdict], seen: _Seen) -> bool:
        """The manifest, which comes last, and its tags: those that moved meanwhile are left."""
        verdict = verdicts[-1]
        guard = self._guard(verdict, seen)
        is_gone = True
        try:
            self._with(guard).delete(
                self.repository, verdict.digest, self.actor, reason=reason_of(verdict.rule)
            )
        except (RegistryError, ChangedError):
            is_gone = False
        for one in verdicts:
            is_done = one.tag in guard.removed if one.tag else is_gone
            (self.gone if is_done else self.left).append(one)
        return is_gone

    def _guard(self, verdict: Verdict, seen: _Seen) -> _Guard:
        return _Guard(self.lifecycle.manifests.transactions, seen, reason_of(verdict.rule))

    def _with(self, guard: _Guard) -> Manifests:
        return replace(self.lifecycle.manifests, transactions=guard)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A manifest as the plan saw it: when it was used, and when each of its tags came to name it."""

    digest: Digest
    used: Used | None
    tags: dict[str, int] = field(default_factory=dict)


def _seen(state: State) -> dict[Digest, _Seen]:
    found = {one.digest: _Seen(one.digest, Used(one.pulled, one.pushed_at)) for one in state.manifests}
    for tag in state.tags:
        found.setdefault(tag.digest, _Seen(tag.digest, None)).tags[tag.tag] = tag.moved
    return found


def _by_digest(verdicts: Iterable[Verdict]) -> dict[Digest, list[Verdict]]:
    found: dict[Digest, list[Verdict]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.digest, []).append(verdict)
    return found


@dataclass(frozen=True, slots=True)
class _Guard:
    """Transactions that hold only while a manifest and its tags are as they were seen."""

    transactions: Transactions
    seen: _Seen
    reason: str
    removed: set[str] = field(default_factory=set)

    def write(self, changes: Sequence[Change]) -> list[Change]:
        """Raises ChangedError."""
        guarded = [self._guard(change) for change in changes]
        refused = self.transactions.write(guarded)
        if any(isinstance(one, RemoveTag) or self._is_own(one) for one in refused):
            raise ChangedError
        if not refused:
            self.removed.update(one.tag for one in guarded if isinstance(one, RemoveTag))
        return refused

    def _is_own(self, change: Change) -> bool:
        return (
            isinstance(change, RemoveManifest | MoveManifest | CountManifest)
            and change.digest == self.seen.digest
        )

    def _guard(self, change: Change) -> Change:
        match change:
            case RemoveTag(_, tag, digest):
                if digest != self.seen.digest or tag not in self.seen.tags:
                    raise ChangedError
                return replace(change, moved=self.seen.tags[tag] or change.moved)
            case RemoveManifest() if self._is_own(change):
                return replace(change, used=self.seen.used)
            case MoveManifest(before=(state, _)) if self._is_own(change) and state == LIVE:
                return replace(change, used=self.seen.used)
            case CountManifest() if self._is_own(change):
                return replace(change, used=self.seen.used)
            case WriteAudit():
                return replace(change, detail={**change.detail, "reason": self.reason})
        return change
