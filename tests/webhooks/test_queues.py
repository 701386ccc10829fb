"""Retries, the dead, replays, and that a webhook that fails is nobody else's loss."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from chalicelib.events import rounds
from chalicelib.events.courier import SCHEDULE
from chalicelib.events.tally import Told
from chalicelib.events.targets import Targets
from chalicelib.events.turns import in_turns
from chalicelib.events.webhook_desk import WEBHOOKS_LIMIT, Change
from chalicelib.identity.refusals import RefusedError
from chalicelib.spec.cloud_events import Event, EventType
from chalicelib.wiring import Deployment
from tests.access.ground import Clock
from tests.webhooks.conftest import ACCOUNT, Inbox, hooked


def tell(deployment: Deployment, clock: Clock, name: str = "dev/app", account: str = ACCOUNT) -> str:
    """An event of a repository; its order."""
    clock.advance(1)
    order = f"{int(clock.now * 1_000_000):017d}-{'0' * 16}"
    deployment.outbox.put(Event(EventType.TAG_DELETED, account, order, f"{name}:1.0", name, {"digest": "d"}))
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


def test_many_lanes_of_one_that_fails_keep_no_retry_of_another_waiting(
    deployment: Deployment, inbox: Inbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "DUE_LIMIT", 5)
    hooked(deployment, "http://127.0.0.1:1/", "broken")
    hooked(deployment, inbox.url, "good", repositories=("dev/last",))
    for number in range(24):
        tell(deployment, clock, f"dev/app-{number}")
    deployment.rounds.run(30)
    inbox.answers = [(500, {})]
    order = tell(deployment, clock, "dev/last")
    deployment.rounds.run(30)
    clock.advance(SCHEDULE[0] * 1.2 + 1)
    deployment.rounds.run(30)
    assert arrived(inbox) == [order, order]


def test_an_account_whose_receivers_all_hang_keeps_no_other_waiting(
    deployment: Deployment, inbox: Inbox, clock: Clock
) -> None:
    told, end = threading.Event(), threading.Event()

    def post(url: str, _headers: Mapping[str, str], _body: bytes) -> int:
        if url == inbox.url:
            told.set()
        else:
            end.wait(30)
        return 204

    target = replace(deployment.webhook_target, post=post)
    courier = replace(deployment.rounds.courier, target=Targets(target))
    own = replace(deployment.rounds, courier=courier)
    for number in range(WEBHOOKS_LIMIT):
        hooked(deployment, "https://receiver.example/", f"hook-{number}")
    tell(deployment, clock)
    try:
        own.begin(30)
        deployment.webhook_desk.create("another", "hook", Change(url=inbox.url), "somebody")
        tell(deployment, clock, account="another")
        # As the local process does it; moto fails at transactions beside others now and then.
        assert any(own.begin(30) or told.wait(2) for _ in range(10))
    finally:
        end.set()
        own.pool.shutdown()


def test_a_slow_receiver_keeps_the_stream_for_seconds_and_not_for_minutes(
    deployment: Deployment, clock: Clock
) -> None:
    """The batches of the stream come one after the other, and other accounts' events are in the next."""
    sent: list[str] = []

    def post(_url: str, headers: Mapping[str, str], _body: bytes) -> int:
        sent.append(headers["webhook-id"])
        clock.advance(9)
        return 204

    courier = replace(
        deployment.rounds.courier, target=Targets(replace(deployment.webhook_target, post=post))
    )
    deployment.rounds = replace(deployment.rounds, courier=courier)
    hooked(deployment, "https://receiver.example/")
    orders = [tell(deployment, clock) for _ in range(4)]
    keys = [{"lane": {"S": f"{ACCOUNT}/dev/app"}, "order": {"S": order}} for order in orders]
    deployment.tell({"Records": [{"eventName": "INSERT", "dynamodb": {"Keys": one}} for one in keys]}, 60)
    assert sent == orders[:2]
    deployment.tell_all(120)
    assert sent == orders


def test_each_owner_has_its_turn() -> None:
    assert in_turns(["a1", "a2", "a3", "b1", "c1", "b2"], lambda one: one[0]) == [
        "a1", "b1", "c1", "a2", "b2", "a3",
    ]  # fmt: skip


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
    (dead,) = deployment.dead_deliveries.page(webhook.key, "", 10)
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
    assert [one.event.order for one in deployment.dead_deliveries.page(webhook.key, "", 10)] == [order]
    assert deployment.dead_deliveries.replay(webhook.key, [order]) == [order]
    deployment.rounds.run(30)
    assert arrived(inbox) == [order] * 3
    assert deployment.dead_deliveries.page(webhook.key, "", 10) == []
    with pytest.raises(RefusedError):
        deployment.dead_deliveries.replay(webhook.key, [order])


def test_a_replay_waits_for_no_retry_of_its_lane(
    deploy: Callable[..., Deployment], inbox: Inbox, clock: Clock
) -> None:
    """Who asks for it has mended the receiver, whose next retry may be ten hours off."""
    deployment = deploy(webhook_retries=(1000,))
    webhook, _ = hooked(deployment, inbox.url)
    inbox.answers = [(503, {})] * 3
    first = tell(deployment, clock)
    deployment.rounds.run(30)
    clock.advance(1201)
    second = tell(deployment, clock)
    deployment.rounds.run(30)
    assert arrived(inbox) == [first, first, second]
    assert deployment.dead_deliveries.replay(webhook.key, [first, first]) == [first]
    deployment.rounds.run(30)
    assert arrived(inbox)[3:] == [first, second]


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


def test_an_event_of_a_later_release_holds_up_nobody(
    deployment: Deployment, inbox: Inbox, clock: Clock
) -> None:
    """As docs/upgrades.md has it: the release before may come back, whatever rows there are."""
    hooked(deployment, inbox.url)
    order = tell(deployment, clock)
    table = deployment._tables.outbox
    row = table.get(f"{ACCOUNT}/dev/app", order)
    row.document = json.dumps({**json.loads(row.document), "type": "ccr.tag.praised", "praise": "much"})
    row.save()
    following = tell(deployment, clock)
    deployment.rounds.run(30)
    assert arrived(inbox) == [order, following]
    assert json.loads(inbox.got[0][2])["type"] == "ccr.tag.praised"


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


def test_webhooks_that_are_made_at_once_are_no_more_either(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(WEBHOOKS_LIMIT - 1):
        hooked(deployment, "https://receiver.example/", f"hook-{number}")
    desk = deployment.webhook_desk
    before = desk.of(ACCOUNT)
    hooked(deployment, "https://receiver.example/", "another")
    looked = iter([before])
    store = deployment.webhooks
    monkeypatch.setattr(store, "of", lambda account: next(looked, None) or type(store).of(store, account))
    with pytest.raises(RefusedError, match=str(WEBHOOKS_LIMIT)):
        hooked(deployment, "https://receiver.example/", "too-late")
    assert len(desk.of(ACCOUNT)) == WEBHOOKS_LIMIT


def test_an_account_has_so_many_webhooks_and_no_more(deployment: Deployment) -> None:
    for number in range(WEBHOOKS_LIMIT):
        hooked(deployment, "https://receiver.example/", f"hook-{number}")
    with pytest.raises(RefusedError, match=str(WEBHOOKS_LIMIT)):
        hooked(deployment, "https://receiver.example/", "one-more")
