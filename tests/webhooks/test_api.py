"""/webhooks as their owners use them, and what nobody else learns."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.events.stores import Delivery, Queue
from chalicelib.spec.cloud_events import Event, EventType
from chalicelib.wiring import Deployment
from tests.access import ground
from tests.access.caller import Caller
from tests.access.estate import Estate, build
from tests.webhooks.conftest import Inbox

SECRET = "whsec_"


@pytest.fixture(scope="module")
def built(_aws: None) -> Estate:
    ground.clear()
    return build(ground.lay(webhook_http=True, webhook_inside=frozenset({"loopback"})))


@pytest.fixture
def estate(built: Estate) -> Iterator[Estate]:
    yield built
    for name in ("acme", "rival"):
        for webhook in built.ground.deployment.webhooks.of(name):
            built.ground.deployment.webhooks.remove(webhook)


@pytest.fixture
def owner(estate: Estate) -> Caller:
    return estate.caller("acme-owner")


def made(owner: Caller, url: str, **more: Any) -> Any:
    reply = owner.api("POST", "/webhooks", {"name": "ci", "url": url, **more})
    assert reply.status == 201, reply
    return reply.document


def test_a_webhook_is_made_shown_changed_and_deleted(owner: Caller, inbox: Inbox) -> None:
    document = made(owner, inbox.url, repositories=["dev/*"])
    assert document["secret"].startswith(SECRET)
    shown = owner.api("GET", "/webhooks/ci")
    assert shown.document["repositories"] == ["dev/*"]
    assert not {"secret", "authorization"} & shown.document.keys()
    (listed,) = owner.api("GET", "/webhooks").document["items"]
    assert listed == shown.document
    changed = owner.api("PATCH", "/webhooks/ci", {"format": "harbor"}, if_match=shown.headers["etag"])
    assert (changed.status, changed.document["format"]) == (200, "harbor")
    stale = owner.api("PATCH", "/webhooks/ci", {"format": "harbor"}, if_match=shown.headers["etag"])
    assert stale.status == 412
    assert owner.api("DELETE", "/webhooks/ci").status == 204
    assert owner.api("GET", "/webhooks/ci").status == 404


def test_a_name_is_taken_once(owner: Caller, inbox: Inbox) -> None:
    made(owner, inbox.url)
    assert owner.api("POST", "/webhooks", {"name": "ci", "url": inbox.url}).status == 409


@pytest.mark.parametrize(
    "document",
    [
        {"url": "https://user@receiver.example/"},
        {"url": "ftp://receiver.example/"},
        {"url": "https://receiver.example/", "format": "slack"},
        {"url": "https://receiver.example/", "events": []},
        {"url": "https://receiver.example/", "events": ["["]},
        {"url": "https://receiver.example/", "secret": "mine"},
    ],
)
def test_what_is_no_webhook_is_refused(owner: Caller, document: dict[str, Any]) -> None:
    assert owner.api("POST", "/webhooks", {"name": "ci", **document}).status == 422


def test_a_secret_is_not_to_be_had_again(owner: Caller, inbox: Inbox) -> None:
    first = owner.api("POST", "/webhooks", {"name": "ci", "url": inbox.url}, idempotency_key="k")
    again = owner.api("POST", "/webhooks", {"name": "ci", "url": inbox.url}, idempotency_key="k")
    assert first.document["secret"].startswith(SECRET)
    assert (again.status, again.document["secret"], again.document["authorization"]) == (201, None, None)


def test_a_rotation_shows_another_secret_and_when_the_one_before_ends(owner: Caller, inbox: Inbox) -> None:
    before = made(owner, inbox.url)
    reply = owner.api("POST", "/webhooks/ci/rotation", {"overlap_seconds": 60})
    assert reply.status == 201
    assert reply.document["secret"] != before["secret"]
    assert [bool(one) for one in reply.document["secrets"]] == [False, True]


def test_a_test_says_what_became_of_it(owner: Caller, inbox: Inbox) -> None:
    made(owner, inbox.url)
    inbox.answers = [(204, {}), (500, {})]
    good, bad = (owner.api("POST", "/webhooks/ci/test").document for _ in range(2))
    assert (good["delivered"], good["status"], good["error"]) == (True, 204, "")
    assert (bad["delivered"], bad["status"]) == (False, 500)
    assert [headers["webhook-id"] for _, headers, _ in inbox.got] == [good["id"], bad["id"]]


def test_another_account_neither_sees_nor_changes_it(estate: Estate, owner: Caller, inbox: Inbox) -> None:
    made(owner, inbox.url)
    rival = estate.caller("rival-owner")
    assert rival.api("GET", "/webhooks").document["items"] == []
    for method, path, document in (
        ("GET", "/webhooks/ci", None),
        ("PATCH", "/webhooks/ci", {"disabled": True}),
        ("POST", "/webhooks/ci/rotation", {}),
        ("POST", "/webhooks/ci/test", None),
        ("GET", "/webhooks/ci/deliveries", None),
        ("GET", "/webhooks/ci/dead", None),
        ("POST", "/webhooks/ci/replays", {}),
        ("DELETE", "/webhooks/ci", None),
    ):
        there = rival.api(method, path, document)
        absent = rival.api(method, path.replace("ci", "nothing"), document)
        assert there.status == absent.status == 404
        assert json.dumps(there.document).replace("ci", "nothing") == json.dumps(absent.document)
    assert inbox.got == []


def test_the_trail_has_every_change_and_no_secret(estate: Estate, owner: Caller, inbox: Inbox) -> None:
    document = made(owner, f"{inbox.url}/?secret=hidden", events=["ccr.tag.*"])
    assert owner.api("DELETE", "/webhooks/ci").status == 204
    trail = owner.api("GET", "/audit", query={"repository": "", "limit": "10"}).document["items"]
    told = [(one["action"], one["target"]) for one in trail]
    assert ("api POST", "/api/v1/webhooks") in told
    assert ("api DELETE", "/api/v1/webhooks/ci") in told
    assert document["secret"] not in json.dumps(trail)
    assert "hidden" not in json.dumps(trail)


def test_pages_of_the_dead_and_their_replay(estate: Estate, owner: Caller, inbox: Inbox) -> None:
    made(owner, inbox.url)
    deployment = estate.ground.deployment
    (webhook,) = deployment.webhooks.of("acme")
    orders = [_buried(deployment, webhook.key, number) for number in range(3)]
    first = owner.api("GET", "/webhooks/ci/dead", query={"limit": "2"}).document
    assert [one["id"] for one in first["items"]] == orders[:0:-1]
    second = owner.api("GET", "/webhooks/ci/dead", query={"limit": "2", "after": first["next"]}).document
    assert ([one["id"] for one in second["items"]], second["next"]) == (orders[:1], "")
    assert owner.api("POST", "/webhooks/ci/replays", {"ids": [orders[0]]}).document["ids"] == orders[:1]
    assert owner.api("GET", "/webhooks/ci").document["waiting"] == 1
    assert owner.api("POST", "/webhooks/ci/replays", {"ids": [orders[0]]}).status == 404
    assert owner.api("POST", "/webhooks/ci/replays", {}).document["ids"] == orders[1:]
    assert owner.api("GET", "/webhooks/ci/dead").document["items"] == []


def _buried(deployment: Deployment, target: str, number: int) -> str:
    """A delivery that was given up."""
    now, order = int(deployment.clock()), f"{number:017d}-{'0' * 16}"
    event = Event(EventType.TAG_DELETED, "acme", order, "dev/app:1.0", "dev/app", {"digest": "d"})
    queue, delivery = Queue(target, event.lane), Delivery(event, at=now)
    deployment.outbox.put(event)
    assert deployment.outbox.move(event, [target], now)
    assert deployment.queues.take(queue, "w", now, now + 60) is not None
    assert deployment.queues.give_up(queue, delivery, "w")
    assert deployment.queues.end(queue, "w")
    return order


def test_a_pattern_that_no_event_has_is_refused_with_the_types_that_there_are(
    owner: Caller, inbox: Inbox
) -> None:
    asked = {"name": "ci", "url": inbox.url, "events": ["ccr.tag.*", "ccr.manifest.push"]}
    refused = owner.api("POST", "/webhooks", asked)
    assert refused.status == 422
    assert "'ccr.manifest.push'" in refused.document["detail"]
    assert "ccr.manifest.pushed, " in refused.document["detail"]
    made(owner, inbox.url)
    assert owner.api("PATCH", "/webhooks/ci", {"events": ["ccr.webhook.*"]}).status == 422
    assert owner.api("PATCH", "/webhooks/ci", {"events": ["*.expired"]}).status == 200


def test_a_receiver_that_takes_no_connection_is_told_in_words(owner: Caller, inbox: Inbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    made(owner, f"http://127.0.0.1:{port}/")
    tried = owner.api("POST", "/webhooks/ci/test").document
    assert (tried["delivered"], tried["error"]) == (False, "Connection refused")
