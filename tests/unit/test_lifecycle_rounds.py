"""Rounds of the schedule: every repository has its turn, whatever another takes, and whoever is killed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from chalicelib.registry.lifecycle_rounds import LifecycleRounds, Round
from chalicelib.registry.lifecycle_run import Outcome
from chalicelib.registry.policies import Policy
from chalicelib.spec.reference import Repository

SECONDS = 10


class KilledError(BaseException):
    """As a function whose time or memory is up."""


@dataclass
class Kept:
    """The one policy that rounds write."""

    policy: Policy | None = None

    def get(self, _scope: str, _kind: str) -> Policy | None:
        return self.policy

    def put(self, policy: Policy) -> bool:
        is_next = policy.version == (self.policy.version + 1 if self.policy else 1)
        if is_next:
            self.policy = policy
        return is_next


@dataclass
class Every:
    """Repositories, and how long the policy of each takes; more than a round has is never complete."""

    takes: dict[str, float]
    killing: str = ""
    now: float = 0
    had_turn: list[str] = field(default_factory=list)

    def scopes(self) -> Iterator[str]:
        return iter({"/".join(one.split("/")[:2]) for one in self.takes})

    def repositories(self, account: str, registry: str) -> Iterator[Repository]:
        mine = (one.partition("/")[2] for one in sorted(self.takes) if one.startswith(f"{account}/"))
        return (Repository(account, name) for name in mine if name.partition("/")[0] == registry)

    def run(self, repository: Repository, _moment: int, *, until: float) -> Outcome:
        scope = f"{repository.account}/{repository.name}"
        self.had_turn.append(scope)
        if scope == self.killing:
            raise KilledError
        is_complete = self.now + self.takes[scope] < until
        self.now = min(self.now + self.takes[scope], until)
        return Outcome(is_complete=is_complete)


def rounds(every: Every, kept: Kept) -> LifecycleRounds:
    one = cast("Any", every)
    return LifecycleRounds(one, one, one, cast("Any", kept), clock=lambda: every.now)


def go(every: Every, kept: Kept, times: int) -> list[Round]:
    return [rounds(every, kept).go(SECONDS) for _ in range(times)]


def test_a_repository_without_an_end_keeps_no_other_from_its_turn() -> None:
    every = Every({"a/r/endless": 99, "a/r/next": 1, "b/r/last": 1})
    go(every, Kept(), 3)
    assert set(every.had_turn) == set(every.takes)


def test_one_that_began_late_has_a_round_of_its_own_first() -> None:
    every = Every({"a/r/first": 6, "a/r/second": 6, "a/r/third": 6})
    go(every, Kept(), 3)
    assert every.had_turn == ["a/r/first", "a/r/second", "a/r/second", "a/r/third", "a/r/third"]


def test_one_whose_run_is_killed_keeps_no_other_from_its_turn() -> None:
    every, kept = Every({"a/r/heavy": 1, "a/r/next": 1}, killing="a/r/heavy"), Kept()
    with pytest.raises(KilledError):
        go(every, kept, 1)
    go(every, kept, 1)
    assert every.had_turn == ["a/r/heavy", "a/r/next"]


def test_names_that_begin_alike_have_their_turn_each_once() -> None:
    scopes = ["a/r", "a/r/app", "a/r/app-x", "a/r/app/x", "a/r-x/app", "a/r.x/app", "a-b/r/app"]
    every = Every(dict.fromkeys(scopes, 9.5))
    kept = Kept()
    made: list[Round] = []
    while not (made and made[-1].is_complete) and len(made) < 20:
        made += go(every, kept, 1)
    assert set(every.had_turn) == set(scopes)
    assert made[-1].is_complete
