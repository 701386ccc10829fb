"""Retries, the dead, replays, and that a webhook that fails is nobody else's loss."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chalicelib.events.courier import SCHEDULE
from chalicelib.events.tally import Told
from chalicelib.events.webhook_desk import WEBHOOKS_LIMIT, Change
from chalicelib.identity.refusals import RefusedError
from chalicelib.spec.cloud_events import Event, EventType
from chalicelib.wiring import Deployment
from tests.access.ground import Clock
from tests.webhooks.conftest import ACCOUNT, Inbox, hooked


def tell(deployment: Deployment, clock: Clock, name: str = "dev/app") -> str:
    """An event of a repository; its order."""
    clock.advance(1)
    order = f"{int(clock.now * 1_000_000):017d}-{'0' * 16}"
    deployment.outbox.put(Event(EventType.TAG_DELETED, ACCOUNT, order, f"{name}:1.0", name, {"digest": "d"}))
    return order


def arrived(inbox: Inbox) -> list[str]:
    return [headers["webhook-id"] for _, headers, _ in inbox.got]


def test_a_failure_holds_up_its_own_lane_and_no_other(
    deployment: Deployment, inbox: Inbox, clock: Clock
) -> None:
    hooked(deployment, inbox.url)
    inbox.answers = [(500, {})]
    first = tell(deployment, clock)
    deployment.rounds.run(30)
    second, other = tell(deployment, clock), tell(deployment, clock, "dev/other")
    deployment.rounds.run(30)
    assert arrived(inbox) == [first, other]
    clock.advance(SCHEDULE[0] * 1.2 + 1)
    deployment.rounds.run(30)
    assert arrived(inbox) == [first, other, first, second]


def test_a_webhook_that_fails_keeps_no_other_waiting(
    deployment: Deployment, inbox: Inbox, clock: Clock
) -> None:
    hooked(deployment, "http://127.0.0.1:1/", "broken")
    hooked(deployment, inbox.url, "good")
    orders = [tell(deployment, clock) for _ in range(3)]
    deployment.rounds.run(30)
    assert arrived(inbox) == orders
    (waiting,) = deployment.queues.waiting(deployment.webhooks.of(ACCOUNT)[0].key, 10)
    assert waiting[:3] == (f"{ACCOUNT}/dev/app", 3, 1)


def test_retries_wait_longer_each_time_and_end_among_the_dead(
    deployment: Deployment, inbox: Inbox, clock: Clock
) -> None:
    webhook, _ = hooked(deployment, inbox.url)
    inbox.answers = [(503, {})] * 100
    order = tell(deployment, clock)
    deployment.rounds.run(30)
    for wait in SCHEDULE:
        before = len(inbox.got)
        clock.advance(wait * 0.9)
        deployment.rounds.run(30)
        assert len(inbox.got) == before, "it came too early"
        clock.advance(wait * 0.3 + 2)
        deployment.rounds.run(30)
        assert len(inbox.got) == before + 1
    assert arrived(inbox) == [order] * (len(SCHEDULE) + 1)
    (dead,) = deployment.webhook_desk.dead(webhook, "", 10)
    assert (dead.event.order, dead.attempts, dead.status) == (order, len(SCHEDULE) + 1, 503)
    assert deployment.tell_all(30) == Told(failed=len(SCHEDULE) + 1, given_up=1)
    assert deployment.tell_all(30) == Told()
    assert deployment.queues.waiting(webhook.key, 10) == []


def test_the_dead_are_delivered_again_with_their_ids(
    deploy: Callable[..., Deployment], inbox: Inbox, clock: Clock
) -> None:
    deployment = deploy(webhook_retries=(1,))
    webhook, _ = hooked(deployment, inbox.url)
    inbox.answers = [(503, {})] * 2
    order = tell(deployment, clock)
    for _ in range(2):
        deployment.rounds.run(30)
        clock.advance(5)
    assert [one.event.order for one in deployment.webhook_desk.dead(webhook, "", 10)] == [order]
    assert deployment.webhook_desk.replay(webhook, [order]) == [order]
    deployment.rounds.run(30)
    assert arrived(inbox) == [order] * 3
    assert deployment.webhook_desk.dead(webhook, "", 10) == []
    with pytest.raises(RefusedError):
        deployment.webhook_desk.replay(webhook, [order])


def test_one_of_the_same_name_is_told_nothing_that_was_for_the_one_before(
    deployment: Deployment, inbox: Inbox, clock: Clock
) -> None:
    webhook, _ = hooked(deployment, "http://127.0.0.1:1/")
    tell(deployment, clock)
    deployment.rounds.run(30)
    deployment.webhook_desk.remove(webhook)
    hooked(deployment, inbox.url)
    clock.advance(3600)
    deployment.rounds.run(30)
    assert arrived(inbox) == []
    assert deployment.queues.waiting(webhook.key, 10) == []
    order = tell(deployment, clock)
    deployment.rounds.run(30)
    assert arrived(inbox) == [order]


def test_a_webhook_is_told_of_what_its_patterns_say(
    deployment: Deployment, inbox: Inbox, clock: Clock
) -> None:
    hooked(deployment, inbox.url, repositories=("prod/*",), events=("ccr.tag.*",))
    hooked(deployment, inbox.url, "other", events=("ccr.manifest.*",))
    tell(deployment, clock)
    wanted = tell(deployment, clock, "prod/app")
    deployment.rounds.run(30)
    assert arrived(inbox) == [wanted]


def test_another_account_is_told_nothing(deployment: Deployment, inbox: Inbox, clock: Clock) -> None:
    deployment.webhook_desk.create("another", "hook", Change(url=inbox.url), "somebody")
    tell(deployment, clock)
    deployment.rounds.run(30)
    assert arrived(inbox) == []


def test_a_disabled_webhook_gets_no_event(deployment: Deployment, inbox: Inbox, clock: Clock) -> None:
    webhook, _ = hooked(deployment, inbox.url, is_disabled=True)
    tell(deployment, clock)
    deployment.rounds.run(30)
    deployment.webhook_desk.change(webhook, Change(is_disabled=False))
    order = tell(deployment, clock)
    deployment.rounds.run(30)
    assert arrived(inbox) == [order]


def test_a_webhook_leads_nowhere_inside_unless_told(
    deploy: Callable[..., Deployment], inbox: Inbox, clock: Clock
) -> None:
    hooked(deploy(), inbox.url)
    strict = deploy(webhook_inside=frozenset())
    tell(strict, clock)
    strict.rounds.run(30)
    assert inbox.got == []
    assert "not a public address" in strict.webhook_desk.try_out(strict.webhooks.of(ACCOUNT)[0], "")[1].error
    with pytest.raises(RefusedError, match="https"):
        hooked(deploy(webhook_http=False), inbox.url, "plain")


def test_an_account_has_so_many_webhooks_and_no_more(deployment: Deployment) -> None:
    for number in range(WEBHOOKS_LIMIT):
        hooked(deployment, "https://receiver.example/", f"hook-{number}")
    with pytest.raises(RefusedError, match=str(WEBHOOKS_LIMIT)):
        hooked(deployment, "https://receiver.example/", "one-more")
