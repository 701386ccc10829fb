"""Out of the queues to those who are told: at least once, in order, with retries, and an end to them."""

from __future__ import annotations

import math
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from chalicelib.events.stores import Delivery, Queue, Queues
from chalicelib.events.tally import Tally, Told
from chalicelib.spec.cloud_events import Event

# As the Standard Webhooks specification proposes: after 5 s, 5 min, 30 min, 2 h, 5 h, and then 10 h twice.
# https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
SCHEDULE: Final = (5, 300, 1800, 7200, 18000, 36000, 36000)
JITTER: Final = 0.2
# Longer than one attempt may take.
LEASE_SECONDS: Final = 60
PAGE: Final = 25


@dataclass(frozen=True, slots=True)
class Outcome:
    """`is_gone`: the target is no more. `is_unreachable`: no other event would arrive now either."""

    status: int = 0
    error: str = ""
    is_gone: bool = False
    is_unreachable: bool = False

    @property
    def is_delivered(self) -> bool:
        return not self.error and not self.is_gone


class Target(Protocol):
    def send(self, target: str, event: Event) -> Outcome:
        """Never raises for what the other side does."""
        ...


@dataclass(frozen=True, slots=True)
class Courier:
    """Any number may be at it, one at a time for each queue: it is leased, and a lease has an end."""

    queues: Queues
    target: Target
    clock: Callable[[], float]
    schedule: tuple[int, ...] = SCHEDULE
    jitter: Callable[[], float] = random.random
    lease: int = LEASE_SECONDS
    tally: Tally = field(default_factory=Tally)

    def deliver(self, queue: Queue, until: float = float("inf")) -> Outcome | None:
        """What is due in a queue, until one fails or `until` (epoch seconds); the last outcome.

        An event that fails holds up its own lane of its own target, and nothing else. None: nothing was sent.
        """
        writer, outcome = secrets.token_hex(8), None
        while True:
            now = int(self.clock())
            failures = self.queues.take(queue, writer, now, now + self.lease)
            if failures is None:
                return outcome
            found = self.queues.read(queue, PAGE)
            if not found and self.queues.end(queue, writer):
                return outcome
            for delivery in found:
                if self.clock() >= min(until, now + self.lease / 2):
                    break
                outcome = self.target.send(queue.target, delivery.event)
                failures = 0 if outcome.is_delivered else failures
                if not self._settle(queue, delivery, writer, outcome, failures):
                    return outcome
            # What was counted and not found is looked for again, and not at once.
            left = self.queues.leave(queue, writer, int(self.clock()) + (0 if found else 1))
            if not left or self.clock() >= until:
                return outcome

    def _settle(self, queue: Queue, delivery: Delivery, writer: str, outcome: Outcome, failures: int) -> bool:
        """Whether to go on with the next one: this one went, and the queue is still ours."""
        now = int(self.clock())
        done = replace(
            delivery, attempts=delivery.attempts + 1, at=now, status=outcome.status, error=outcome.error
        )
        if outcome.is_gone:
            return self.queues.drop(queue, done, writer)
        if outcome.is_delivered:
            self.tally.add(Told(delivered=1))
            return self.queues.deliver(queue, done, writer)
        self.tally.add(Told(failed=1))
        if failures >= len(self.schedule) and now - _since(delivery) >= sum(self.schedule):
            is_ours = self.queues.give_up(queue, done, writer)
            self.tally.add(Told(given_up=int(is_ours)))
            return is_ours
        wait = self.schedule[min(failures, len(self.schedule) - 1)]
        due = math.ceil(self.clock() + wait * (1 + JITTER * self.jitter()))
        self.queues.retry(queue, done, writer, due)
        return False


def _since(delivery: Delivery) -> int:
    """The second of its event: one behind others that were given up is not tried for another day."""
    return delivery.event.at // 1_000_000
