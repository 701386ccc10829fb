"""The outbox and the queues: `events.stores.Outbox` and `Queues` on DynamoDB."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from pynamodb.exceptions import UpdateError

from chalicelib.aws.conditions import check_lost
from chalicelib.aws.event_rows import delivery_model, delivery_of, outbox_model, waiting_key
from chalicelib.aws.keys import SHARDS
from chalicelib.aws.tables import Tables
from chalicelib.aws.transactions import Delete, DynamoTransactions, Item, Put, Update
from chalicelib.events.stores import DEAD_SECONDS, DONE_SECONDS, Delivery, Queue
from chalicelib.events.turns import in_turns
from chalicelib.spec.cloud_events import Event, event_from

_DONE: Final = "done"
_DEAD: Final = "dead"
# Of the index of queues: each is a query of every look, and there are few queues.
_SHARDS: Final = SHARDS[:4]
# Rows of a shard, of keys alone: as far as it is seen whose turn it is.
_LOOKED_AT: Final = 10_000


class DynamoOutbox:
    """A row is there from the commit of what it tells of until it is in every queue."""

    def __init__(self, tables: Tables, transactions: DynamoTransactions) -> None:
        self._tables, self._transactions = tables, transactions

    def put(self, event: Event) -> None:
        outbox_model(self._tables, event).save()

    def lanes(self) -> Iterable[tuple[str, str]]:
        """A scan: what is here has not been looked at yet, and is little."""
        newest: dict[str, str] = {}
        for model in self._tables.outbox.scan(consistent_read=True, attributes_to_get=["lane", "order"]):
            newest[model.lane] = max(newest.get(model.lane, ""), model.order)
        return newest.items()

    def read(self, lane: str, until: str, limit: int) -> list[Event]:
        table = self._tables.outbox
        found = table.query(lane, table.order <= until, consistent_read=True, limit=limit)
        return [event_from(model.document) for model in found]

    def move(self, event: Event, targets: Iterable[str], now: int) -> bool:
        table = self._tables.outbox
        pairs: list[tuple[bool, Item]] = [
            (True, Delete(table(event.lane, event.order), table.order.exists())),
        ]
        for target in targets:
            queue = Queue(target, event.lane)
            row = delivery_model(self._tables, waiting_key(queue), Delivery(event))
            pairs += [(False, Put(row)), (False, _filled(self._tables, queue, now))]
        return not self._transactions.write_items(pairs)


class DynamoQueues:
    """Reads are consistent, but for `due`: an index."""

    def __init__(self, tables: Tables, transactions: DynamoTransactions) -> None:
        self._tables, self._transactions = tables, transactions

    def due(self, now: int, limit: int) -> list[Queue]:
        table = self._tables.queues
        is_due = table.due <= now
        found = [one for shard in _SHARDS for one in table.by_due.query(shard, is_due, limit=_LOOKED_AT)]
        found.sort(key=lambda one: int(one.due))
        return [Queue(one.target, one.lane) for one in in_turns(found, lambda one: one.target)[:limit]]

    def take(self, queue: Queue, writer: str, now: int, until: int) -> int | None:
        table, model = self._tables.queues, self._tables.queues(queue.target, queue.lane)
        is_free = (table.due <= now) & (table.lease.does_not_exist() | (table.lease < now))
        try:
            model.update([table.writer.set(writer), table.lease.set(until)], condition=is_free)
        except UpdateError as error:
            check_lost(error)
            return None
        return int(model.failures or 0)

    def read(self, queue: Queue, limit: int) -> list[Delivery]:
        """Twice: a query sees some of its rows later than others, but none later than the second query."""
        table, key = self._tables.deliveries, waiting_key(queue)
        seen = list(table.query(key, consistent_read=True, limit=limit, attributes_to_get=["queue", "order"]))
        if not seen:
            return []
        found = table.query(key, table.order <= seen[-1].order, consistent_read=True, limit=limit)
        return [delivery_of(model) for model in found]

    def deliver(self, queue: Queue, delivery: Delivery, writer: str) -> bool:
        kept = self._kept(_DONE, queue.target, delivery, DONE_SECONDS)
        reset = self._tables.queues.failures.set(0)
        return self._settle(queue, delivery, writer, [Put(kept)], [reset])

    def give_up(self, queue: Queue, delivery: Delivery, writer: str) -> bool:
        kept = self._kept(_DEAD, queue.target, delivery, DEAD_SECONDS)
        return self._settle(queue, delivery, writer, [Put(kept)], [])

    def drop(self, queue: Queue, delivery: Delivery, writer: str) -> bool:
        return self._settle(queue, delivery, writer, [], [])

    def retry(self, queue: Queue, delivery: Delivery, writer: str, due: int) -> bool:
        table, deliveries = self._tables.queues, self._tables.deliveries
        row = delivery_model(self._tables, waiting_key(queue), delivery)
        left = [table.failures.add(1), table.due.set(due), table.writer.remove(), table.lease.remove()]
        return self._write(Put(row, deliveries.order.exists()), self._owned(queue, writer, left))

    def leave(self, queue: Queue, writer: str, due: int) -> bool:
        table = self._tables.queues
        actions = [table.due.set(due), table.writer.remove(), table.lease.remove()]
        return self._write(self._owned(queue, writer, actions))

    def end(self, queue: Queue, writer: str) -> bool:
        table = self._tables.queues
        is_empty = (table.pending == 0) & (table.writer == writer)
        return self._write(Delete(table(queue.target, queue.lane), is_empty))

    def delivered(self, target: str, before: str, limit: int) -> list[Delivery]:
        return self._page(_DONE, target, before, limit)

    def dead(self, target: str, before: str, limit: int) -> list[Delivery]:
        return self._page(_DEAD, target, before, limit)

    def dead_one(self, target: str, order: str) -> Delivery | None:
        table = self._tables.deliveries
        found = list(table.query(f"{_DEAD}#{target}", table.order == order, consistent_read=True))
        return delivery_of(found[0]) if found else None

    def revive(self, queue: Queue, delivery: Delivery, now: int) -> bool:
        table = self._tables.deliveries
        dead = Delete(table(f"{_DEAD}#{queue.target}", delivery.event.order), table.order.exists())
        row = delivery_model(self._tables, waiting_key(queue), Delivery(delivery.event))
        return self._write(dead, Put(row), _filled(self._tables, queue, now, is_due=True))

    def waiting(self, target: str, limit: int) -> list[tuple[str, int, int, int]]:
        found = self._tables.queues.query(target, consistent_read=True, limit=limit)
        return [(one.lane, int(one.pending or 0), int(one.failures or 0), int(one.due)) for one in found]

    def _settle(
        self, queue: Queue, delivery: Delivery, writer: str, puts: list[Put], actions: list[Any]
    ) -> bool:
        """One less waits."""
        table = self._tables.deliveries
        gone = Delete(table(waiting_key(queue), delivery.event.order), table.order.exists())
        counted = [self._tables.queues.pending.add(-1), *actions]
        return self._write(gone, *puts, self._owned(queue, writer, counted))

    def _owned(self, queue: Queue, writer: str, actions: list[Any]) -> Update:
        table = self._tables.queues
        return Update(table(queue.target, queue.lane), actions, table.writer == writer)

    def _write(self, *items: Item) -> bool:
        return not self._transactions.write_items([(item, item) for item in items])

    def _kept(self, kind: str, target: str, delivery: Delivery, seconds: int) -> Any:
        expires = datetime.fromtimestamp(delivery.at + seconds, UTC)
        return delivery_model(self._tables, f"{kind}#{target}", delivery, expires)

    def _page(self, kind: str, target: str, before: str, limit: int) -> list[Delivery]:
        table = self._tables.deliveries
        older = table.order < before if before else None
        found = table.query(
            f"{kind}#{target}", older, consistent_read=True, scan_index_forward=False, limit=limit
        )
        return [delivery_of(model) for model in found]


def _filled(tables: Tables, queue: Queue, now: int, *, is_due: bool = False) -> Update:
    """One more waits; one that is empty is due at once, and others where `is_due`."""
    table = tables.queues
    shard = _SHARDS[zlib.crc32(f"{queue.target}#{queue.lane}".encode()) % len(_SHARDS)]
    due = now if is_due else table.due | now
    actions = [table.pending.add(1), table.due.set(due), table.shard.set(shard)]
    return Update(table(queue.target, queue.lane), actions)
