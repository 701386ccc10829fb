"""The outbox and the queues in memory, with the same conditions as on DynamoDB, and those who are told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from chalicelib.events.courier import Outcome
from chalicelib.events.stores import Delivery, Queue
from chalicelib.spec.cloud_events import Event


@dataclass
class QueueRow:
    pending: int = 0
    failures: int = 0
    due: int = 0
    writer: str = ""
    lease: int = 0


@dataclass
class MemoryEvents:
    """`Outbox` and `Queues` at once."""

    outbox: dict[tuple[str, str], Event] = field(default_factory=dict)
    rows: dict[Queue, QueueRow] = field(default_factory=dict)
    waits: dict[Queue, dict[str, Delivery]] = field(default_factory=dict)
    done: dict[str, dict[str, Delivery]] = field(default_factory=dict)
    buried: dict[str, dict[str, Delivery]] = field(default_factory=dict)

    def put(self, event: Event) -> None:
        self.outbox[event.lane, event.order] = event

    def lanes(self) -> Iterable[tuple[str, str]]:
        newest: dict[str, str] = {}
        for lane, order in self.outbox:
            newest[lane] = max(newest.get(lane, ""), order)
        return list(newest.items())

    def read(self, lane: str | Queue, until: str | int, limit: int = 0) -> list[Event] | list[Delivery]:
        """Of both: `read(lane, until, limit)` of the outbox, `read(queue, limit)` of a queue."""
        if isinstance(lane, Queue):
            found = self.waits.get(lane, {})
            return [found[order] for order in sorted(found)][: int(until)]
        orders = sorted(order for where, order in self.outbox if where == lane and order <= str(until))
        return [self.outbox[lane, order] for order in orders][:limit]

    def move(self, event: Event, targets: Iterable[str], now: int) -> bool:
        if self.outbox.pop((event.lane, event.order), None) is None:
            return False
        for target in targets:
            self._fill(Queue(target, event.lane), Delivery(event), now)
        return True

    def _fill(self, queue: Queue, delivery: Delivery, now: int) -> None:
        row = self.rows.setdefault(queue, QueueRow(due=now))
        row.pending += 1
        self.waits.setdefault(queue, {})[delivery.event.order] = delivery

    def due(self, now: int, limit: int) -> list[Queue]:
        return [queue for queue, row in self.rows.items() if row.due <= now][:limit]

    def take(self, queue: Queue, writer: str, now: int, until: int) -> int | None:
        row = self.rows.get(queue)
        if row is None or row.due > now or (row.writer and row.lease >= now):
            return None
        row.writer, row.lease = writer, until
        return row.failures

    def deliver(self, queue: Queue, delivery: Delivery, writer: str) -> bool:
        if not self._settle(queue, delivery, writer):
            return False
        self.rows[queue].failures = 0
        self.done.setdefault(queue.target, {})[delivery.event.order] = delivery
        return True

    def give_up(self, queue: Queue, delivery: Delivery, writer: str) -> bool:
        if not self._settle(queue, delivery, writer):
            return False
        self.buried.setdefault(queue.target, {})[delivery.event.order] = delivery
        return True

    def drop(self, queue: Queue, delivery: Delivery, writer: str) -> bool:
        return self._settle(queue, delivery, writer)

    def _settle(self, queue: Queue, delivery: Delivery, writer: str) -> bool:
        if not self._owns(queue, writer) or delivery.event.order not in self.waits[queue]:
            return False
        del self.waits[queue][delivery.event.order]
        self.rows[queue].pending -= 1
        return True

    def retry(self, queue: Queue, delivery: Delivery, writer: str, due: int) -> bool:
        if not self._owns(queue, writer) or delivery.event.order not in self.waits[queue]:
            return False
        self.waits[queue][delivery.event.order] = delivery
        row = self.rows[queue]
        self.rows[queue] = replace(row, failures=row.failures + 1, due=due, writer="", lease=0)
        return True

    def leave(self, queue: Queue, writer: str, due: int) -> bool:
        if not self._owns(queue, writer):
            return False
        self.rows[queue] = replace(self.rows[queue], due=due, writer="", lease=0)
        return True

    def end(self, queue: Queue, writer: str) -> bool:
        if not self._owns(queue, writer) or self.rows[queue].pending:
            return False
        del self.rows[queue]
        return True

    def _owns(self, queue: Queue, writer: str) -> bool:
        row = self.rows.get(queue)
        return row is not None and row.writer == writer


@dataclass
class Audience:
    """`Target`: what each was told, in the order in which it came; who is `down` answers 503."""

    heard: list[tuple[str, Event]] = field(default_factory=list)
    down: set[str] = field(default_factory=set)

    def send(self, target: str, event: Event) -> Outcome:
        if target in self.down:
            return Outcome(503, "the receiver answers 503")
        self.heard.append((target, event))
        return Outcome(204)

    def first(self, target: str, lane: str) -> list[str]:
        """Without what came again."""
        orders = [event.order for told, event in self.heard if (told, event.lane) == (target, lane)]
        return list(dict.fromkeys(orders))
