"""What events are kept in: the outbox, a queue for each target and lane, and the webhooks themselves.

Everything that changes is one conditional write or one transaction: whoever dies, dies between two of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from chalicelib.spec.cloud_events import Event

# How long what was delivered, or given up, is shown.
DONE_SECONDS: Final = 7 * 24 * 3600
DEAD_SECONDS: Final = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Queue:
    """What one target is still to be told of one lane, in order. `target`: `Webhook.key`, or the bus."""

    target: str
    lane: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """Of one event to one target. Times are epoch seconds; `status` is that of HTTP, or 0."""

    event: Event
    attempts: int = 0
    at: int = 0
    status: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """It is derived, and stored nowhere: `nonce` says from what, `key_id` by which key.

    `expires` (epoch seconds) where another has taken its place.
    """

    nonce: str
    key_id: str
    expires: int | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """`incarnation` tells it from an earlier one of its name. Patterns: `*` is any text."""

    account: str
    name: str
    url: str
    incarnation: str
    secrets: tuple[WebhookSecret, ...] = field(repr=False)
    events: tuple[str, ...] = ("*",)
    repositories: tuple[str, ...] = ("*",)
    format: str = "cloudevents"
    is_disabled: bool = False
    created: int = 0
    created_by: str = ""
    version: int = 1

    @property
    def key(self) -> str:
        """No account and no name has a slash."""
        return f"{self.account}/{self.name}/{self.incarnation}"


class Outbox(Protocol):
    """Rows written in the transaction of what they tell of. Reads are consistent."""

    def put(self, event: Event) -> None: ...
    def lanes(self) -> Iterable[tuple[str, str]]:
        """Lanes with something in them, and the newest order seen in each."""
        ...

    def read(self, lane: str, until: str, limit: int) -> list[Event]:
        """In order, up to the order `until`: whatever was committed before that one began is among them."""
        ...

    def move(self, event: Event, targets: Iterable[str], now: int) -> bool:
        """Out of the outbox, into the queue of each target. False where somebody has moved it before."""
        ...


class Queues(Protocol):
    """`writer` names who has a queue for now: what another has taken meanwhile is refused (False)."""

    def due(self, now: int, limit: int) -> list[Queue]:
        """Those whose time has come, each target in its turn; about a second behind on AWS.

        However many of one target are due, those of others are among them.
        """
        ...

    def take(self, queue: Queue, writer: str, now: int, until: int) -> int | None:
        """How often it has failed in a row; None where it is not due, or another has it."""
        ...

    def read(self, queue: Queue, limit: int) -> list[Delivery]:
        """The first ones, in order."""
        ...

    def deliver(self, queue: Queue, delivery: Delivery, writer: str) -> bool:
        """It was delivered, as `delivery` says."""
        ...

    def give_up(self, queue: Queue, delivery: Delivery, writer: str) -> bool: ...
    def drop(self, queue: Queue, delivery: Delivery, writer: str) -> bool:
        """Nobody wants it any more."""
        ...

    def retry(self, queue: Queue, delivery: Delivery, writer: str, due: int) -> bool:
        """It failed; the queue waits until `due`, and is left."""
        ...

    def leave(self, queue: Queue, writer: str, due: int) -> bool:
        """For somebody else, from `due` on."""
        ...

    def end(self, queue: Queue, writer: str) -> bool:
        """False too where something has come meanwhile."""
        ...

    def delivered(self, target: str, before: str, limit: int) -> list[Delivery]:
        """Newest first, older than the order `before`."""
        ...

    def dead(self, target: str, before: str, limit: int) -> list[Delivery]: ...
    def dead_one(self, target: str, order: str) -> Delivery | None: ...
    def revive(self, queue: Queue, delivery: Delivery, now: int) -> bool:
        """From among the dead back into its queue, which is due at once."""
        ...

    def waiting(self, target: str, limit: int) -> list[tuple[str, int, int, int]]:
        """Of each lane: its name, how many wait, how often it has failed, and when it is due."""
        ...


class Webhooks(Protocol):
    """Reads are consistent."""

    def get(self, account: str, name: str) -> Webhook | None: ...
    def of(self, account: str) -> list[Webhook]:
        """Sorted by name."""
        ...

    def put(self, webhook: Webhook) -> bool:
        """Holds if the row has the version before (`version` 1: if none is there)."""
        ...

    def remove(self, webhook: Webhook) -> bool: ...
