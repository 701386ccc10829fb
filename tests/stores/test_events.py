"""The outbox and the queues: each change holds once, whoever else makes it at the same moment."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chalicelib.events.drain import Drainer
from chalicelib.events.stores import Delivery, Queue, Webhook
from chalicelib.registry.changes import Actor, WriteAudit
from chalicelib.spec.cloud_events import Event, EventType
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment

AT_ONCE = 8
TARGET = "account/hook/1"


def an_event(repository: Repository, number: int = 0) -> Event:
    order = f"{1_700_000_000_000_000 + number:017d}-{os.urandom(8).hex()}"
    data = {"digest": "d", "number": number}
    return Event(EventType.TAG_DELETED, repository.account, order, "s", repository.name, data)


def at_once(work: Callable[[], Any]) -> list[Any]:
    barrier = threading.Barrier(AT_ONCE)

    def wait_and_work(_: int) -> Any:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(wait_and_work, range(AT_ONCE)))


def moved(deployment: Deployment, event: Event, target: str = TARGET) -> Queue:
    deployment.outbox.put(event)
    assert deployment.outbox.move(event, [target], 1)
    return Queue(target, event.lane)


def test_what_is_audited_is_in_the_outbox_in_the_order_of_the_writes(
    deployment: Deployment, repository: Repository
) -> None:
    transactions, lane = deployment.services.blobs.transactions, f"{repository.account}/{repository.name}"
    for number in range(3):
        detail = {"tags": [f"v{number}"], "digest": "d"}
        assert not transactions.write([WriteAudit(repository, Actor("a"), "untag", f"v{number}", detail)])
    assert lane in dict(deployment.outbox.lanes())
    events = deployment.outbox.read(lane, "~", 10)
    assert [one.data["tags"] for one in events] == [["v0"], ["v1"], ["v2"]]
    assert deployment.outbox.read(lane, events[1].order, 10) == events[:2]
    assert deployment.outbox.read(lane, "~", 2) == events[:2]


def test_an_event_is_moved_only_once(deployment: Deployment, repository: Repository) -> None:
    queue, event = Queue(TARGET, f"{repository.account}/{repository.name}"), an_event(repository)
    deployment.outbox.put(event)
    assert deployment.outbox.move(event, [TARGET], 1)
    assert not deployment.outbox.move(event, [TARGET], 1)
    assert deployment.queues.read(queue, 10) == [Delivery(event)]


def test_a_queue_with_something_in_it_does_not_end(deployment: Deployment, repository: Repository) -> None:
    queue = moved(deployment, an_event(repository))
    assert deployment.queues.take(queue, "w", 10, 70) == 0
    assert not deployment.queues.end(queue, "w")
    (delivery,) = deployment.queues.read(queue, 10)
    assert deployment.queues.deliver(queue, delivery, "w")
    assert deployment.queues.end(queue, "w")


def test_what_was_settled_is_not_settled_again(deployment: Deployment, repository: Repository) -> None:
    queues, queue = deployment.queues, moved(deployment, an_event(repository))
    assert queues.take(queue, "w", 10, 70) == 0
    (delivery,) = queues.read(queue, 10)
    assert queues.deliver(queue, delivery, "w")
    assert not queues.drop(queue, delivery, "w")
    assert not queues.retry(queue, delivery, "w", 5)
    assert queues.read(queue, 10) == []
    assert queues.end(queue, "w")


def test_the_dead_come_back_only_once(deployment: Deployment, repository: Repository) -> None:
    queues, event = deployment.queues, an_event(repository)
    queue = moved(deployment, event)
    assert queues.take(queue, "w", 10, 70) == 0
    assert queues.give_up(queue, Delivery(event, 8, 10, 503, "no"), "w")
    assert queues.end(queue, "w")
    assert queues.revive(queue, Delivery(event), 20)
    assert not queues.revive(queue, Delivery(event), 20)
    assert queues.read(queue, 10) == [Delivery(event)]


def test_an_event_is_moved_once(on_engines: Deployment, repository: Repository) -> None:
    event = an_event(repository)
    on_engines.outbox.put(event)
    results = at_once(lambda: on_engines.outbox.move(event, [TARGET], 1))
    assert sorted(results) == [False] * (AT_ONCE - 1) + [True]
    queue = Queue(TARGET, event.lane)
    assert on_engines.queues.read(queue, 10) == [Delivery(event)]


def test_drainers_at_once_fill_a_queue_once_and_in_order(
    on_engines: Deployment, repository: Repository
) -> None:
    events = [an_event(repository, number) for number in range(10)]
    for event in events:
        on_engines.outbox.put(event)
    hook = Webhook(repository.account, "hook", "https://receiver.example/", "1", ())
    drainer = Drainer(on_engines.outbox, lambda _: [hook], time.time)
    at_once(lambda: drainer.drain([(events[0].lane, events[-1].order)]))
    queue = Queue(hook.key, events[0].lane)
    assert [one.event for one in on_engines.queues.read(queue, 100)] == events
    assert on_engines.queues.waiting(hook.key, 10)[0][:2] == (events[0].lane, len(events))


def test_a_queue_is_taken_by_one(on_engines: Deployment, repository: Repository) -> None:
    queue = moved(on_engines, an_event(repository))
    results = at_once(lambda: on_engines.queues.take(queue, os.urandom(4).hex(), 10, 70))
    assert results.count(0) == 1
    assert results.count(None) == AT_ONCE - 1


def test_a_lease_ends_and_who_had_it_changes_nothing_then(
    deployment: Deployment, repository: Repository
) -> None:
    queues, queue = deployment.queues, moved(deployment, an_event(repository))
    assert queues.take(queue, "first", 10, 70) == 0
    assert queues.take(queue, "second", 70, 130) is None
    assert queues.take(queue, "second", 71, 131) == 0
    (delivery,) = queues.read(queue, 10)
    for change in (queues.deliver, queues.give_up, queues.drop):
        assert not change(queue, delivery, "first")
    assert not queues.retry(queue, delivery, "first", 5)
    assert not queues.leave(queue, "first", 5)
    assert queues.deliver(queue, delivery, "second")
    assert not queues.deliver(queue, delivery, "second")
    assert not queues.end(queue, "first")
    assert queues.end(queue, "second")
    assert queue.lane not in {lane for lane, _, _, _ in queues.waiting(TARGET, 100)}


def test_a_queue_that_fails_waits_and_remembers_how_often(
    deployment: Deployment, repository: Repository
) -> None:
    queues, event = deployment.queues, an_event(repository)
    queue = moved(deployment, event)
    assert queues.take(queue, "w", 10, 70) == 0
    assert queues.retry(queue, Delivery(event, 1, 10, 503, "no"), "w", 100)
    assert queues.take(queue, "w", 99, 160) is None
    assert queue not in queues.due(99, 1000)
    assert queue in queues.due(100, 1000)
    assert queues.take(queue, "w", 100, 160) == 1
    assert queues.read(queue, 10) == [Delivery(event, 1, 10, 503, "no")]
    assert queues.deliver(queue, Delivery(event, 2, 100, 204), "w")
    assert queues.delivered(TARGET, f"{event.order}~", 1) == [Delivery(event, 2, 100, 204)]


def test_a_queue_does_not_end_while_something_comes(on_engines: Deployment, repository: Repository) -> None:
    """Whichever is first: what came is never left in a queue that is none."""
    for number in range(10):
        first, second = an_event(repository, 2 * number), an_event(repository, 2 * number + 1)
        queues, queue = on_engines.queues, moved(on_engines, first)
        assert queues.take(queue, "w", 10, 70) is not None
        (delivery,) = queues.read(queue, 10)
        assert queues.deliver(queue, delivery, "w")
        on_engines.outbox.put(second)
        with ThreadPoolExecutor(2) as pool:
            ended = pool.submit(queues.end, queue, "w")
            assert pool.submit(on_engines.outbox.move, second, [TARGET], 1).result()
        assert queue in queues.due(10, 1000)
        if not ended.result():
            assert queues.leave(queue, "w", 1)
        assert queues.take(queue, "w", 10, 70) is not None
        assert [one.event for one in queues.read(queue, 10)] == [second]
        assert queues.deliver(queue, Delivery(second), "w")
        assert queues.end(queue, "w")


def test_the_dead_come_back_once(on_engines: Deployment, repository: Repository) -> None:
    queues, event = on_engines.queues, an_event(repository)
    queue = moved(on_engines, event)
    assert queues.take(queue, "w", 10, 70) == 0
    assert queues.give_up(queue, Delivery(event, 8, 10, 503, "no"), "w")
    assert queues.end(queue, "w")
    dead = queues.dead_one(TARGET, event.order)
    assert dead is not None
    results = at_once(lambda: queues.revive(queue, dead, 20))
    assert results.count(True) == 1
    assert queues.read(queue, 10) == [Delivery(event)]
    assert queues.dead_one(TARGET, event.order) is None


def test_a_webhook_changes_only_as_it_was_read(deployment: Deployment, repository: Repository) -> None:
    hook = Webhook(repository.account, "hook", "https://receiver.example/", "1", (), ("ccr.tag.*",))
    assert deployment.webhooks.put(hook)
    other = Webhook(repository.account, "hook", "https://other.example/", "2", ())
    assert not deployment.webhooks.put(other)
    assert deployment.webhooks.get(repository.account, "hook") == hook
    assert deployment.webhooks.of(repository.account) == [hook]
    changed = Webhook(repository.account, "hook", "https://new.example/", "1", (), version=2)
    assert deployment.webhooks.put(changed)
    assert not deployment.webhooks.put(
        Webhook(repository.account, "hook", "https://late.example/", "1", (), version=2)
    )
    assert not deployment.webhooks.remove(hook)
    assert deployment.webhooks.remove(changed)
    assert deployment.webhooks.get(repository.account, "hook") is None
