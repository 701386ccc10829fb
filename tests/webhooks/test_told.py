"""Every kind of change is told, as its schema says, and costs no call more."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from chalicelib.events.stores import Queue
from chalicelib.events.tally import Told
from chalicelib.identity.audit import Record
from chalicelib.identity.roles import Role
from chalicelib.management import event_models
from chalicelib.registry.changes import NOBODY, Actor, AuditAccount, WriteAudit
from chalicelib.registry.eviction import ACTION as PURGED
from chalicelib.registry.lifecycle import reason_of
from chalicelib.registry.promotion import Promotion
from chalicelib.spec.cloud_events import Event, EventType, cloud_event
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import ADMINISTRATOR, Deployment
from tests.access.ground import Clock
from tests.endpoints.driver import Driver
from tests.webhooks.conftest import ACCOUNT, Inbox, hooked

VALIDATOR = jsonschema.Draft202012Validator(event_models.schema())
APP = Repository(ACCOUNT, "dev/app")


def told(deployment: Deployment) -> list[Event]:
    """What is in the outbox, lane by lane; each as its schema says."""
    outbox = deployment.outbox
    events = [event for lane, until in outbox.lanes() for event in outbox.read(lane, until, 100)]
    for event in events:
        VALIDATOR.validate(cloud_event(event, "ccr"))
    return events


def cleared(deployment: Deployment) -> None:
    for event in told(deployment):
        assert deployment.outbox.move(event, [], 0)


def test_a_push_is_one_event_of_its_tag(driver: Driver) -> None:
    digest = driver.push_image("1.0")
    (event,) = told(driver.deployment)
    assert (event.type, event.subject) == (EventType.MANIFEST_PUSHED, f"dev/app@{digest}")
    assert event.data["tags"] == [{"tag": "1.0", "previous": None}]
    assert (event.data["actor"], event.data["action"]) == ("admin", "push")


def test_a_tag_that_moves_says_what_it_named(driver: Driver) -> None:
    first, second = driver.push_image("1.0", seed="a"), driver.push_image("2.0", seed="b")
    cleared(driver.deployment)
    raw = json.dumps(driver.image(seed="b")).encode()
    assert driver.put_raw("1.0", raw).status == 201
    (event,) = told(driver.deployment)
    assert (event.type, event.data["digest"]) == (EventType.TAG_MOVED, second)
    assert event.data["tags"] == [{"tag": "1.0", "previous": first}]


def test_what_changes_nothing_is_not_told(driver: Driver) -> None:
    driver.push_image("1.0")
    cleared(driver.deployment)
    driver.push_image("1.0")
    assert driver.call("DELETE", driver.of("manifests/unknown")).status == 404
    assert told(driver.deployment) == []


def test_deletions_are_told(driver: Driver, clock: Clock) -> None:
    digest = driver.push_image("1.0")
    spare = driver.push_blob(b"spare")
    cleared(driver.deployment)
    assert driver.call("DELETE", driver.of(f"blobs/{spare}")).status == 202
    clock.advance(1)
    assert driver.call("DELETE", driver.of("manifests/1.0")).status == 202
    clock.advance(1)
    assert driver.call("DELETE", driver.of(f"manifests/{digest}")).status == 202
    assert [(one.type, one.data["digest"]) for one in told(driver.deployment)] == [
        (EventType.BLOB_DELETED, spare),
        (EventType.TAG_DELETED, digest),
        (EventType.MANIFEST_DELETED, digest),
    ]


def test_what_a_lifecycle_policy_takes_away_has_expired(driver: Driver) -> None:
    digest = driver.push_image("1.0")
    cleared(driver.deployment)
    manifests = driver.deployment.services.manifests
    manifests.delete(APP, digest, Actor("lifecycle"), reason=reason_of("old"))
    (event,) = told(driver.deployment)
    assert (event.type, event.data["tags"]) == (EventType.MANIFEST_EXPIRED, ["1.0"])
    assert event.data["reason"] == reason_of("old")


def test_a_promotion_says_from_where(driver: Driver) -> None:
    digest = driver.push_image("1.0")
    cleared(driver.deployment)
    services = driver.deployment.services
    promotion = Promotion(services.manifests, services.blobs, services.manifests.rows)
    target = Repository(ACCOUNT, "prod/app")
    promotion.promote(APP, "1.0", target, tags=("1.0",), actor=Actor("admin"))
    events = told(driver.deployment)
    assert {one.type for one in events} == {EventType.MANIFEST_PROMOTED}
    assert {(one.repository, one.data["source"], one.data["digest"]) for one in events} == {
        ("prod/app", "dev/app", digest)
    }
    assert [one["tag"] for event in events for one in event.data["tags"]] == ["1.0"]


def test_thresholds_are_told_of_the_account(deployment: Deployment, clock: Clock) -> None:
    transactions = deployment.services.blobs.transactions
    reached = {"threshold": 80, "used": 8, "limit": 10}
    transactions.write([AuditAccount(ACCOUNT, "quota-threshold", ACCOUNT, reached)])
    clock.advance(1)
    transactions.write([AuditAccount(ACCOUNT, "soft-limit", "registry dev", {"used": 2, "limit": 1})])
    transactions.write([AuditAccount(ACCOUNT, "quota-repair", ACCOUNT, {})])
    events = told(deployment)
    assert [one.type for one in events] == [EventType.QUOTA_REACHED, EventType.SOFT_LIMIT_EXCEEDED]
    assert {one.lane for one in events} == {ACCOUNT}


def test_credentials_are_told_without_what_they_may(deployment: Deployment) -> None:
    desk, by = deployment.desk, deployment.credentials.get(ADMINISTRATOR)
    assert by is not None
    made, secret = desk.create_user(by, "somebody", {"*": Role.VIEWER})
    changed = desk.change(by, made, title="T")
    rotated, again = desk.rotate(by, changed, 60)
    desk.delete(by, rotated)
    events = told(deployment)
    assert [one.type.rpartition(".")[2] for one in events] == ["created", "changed", "rotated", "deleted"]
    assert {one.data["credential"] for one in events} == {"somebody"}
    assert not any(word in event.to_text() for word in (secret, again, "viewer") for event in events)


def test_a_refused_change_of_a_credential_is_not_told(deployment: Deployment) -> None:
    desk, by = deployment.desk, deployment.credentials.get(ADMINISTRATOR)
    assert by is not None
    made, _ = desk.create_user(by, "somebody", {"*": Role.VIEWER})
    desk.change(by, made, title="T")
    cleared(deployment)
    with pytest.raises(Exception, match="has changed"):
        desk.change(by, made, title="U")
    assert told(deployment) == []


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (1.0, 2)])
def test_pulls_are_told_where_a_deployment_wants_them(
    deploy: Callable[..., Deployment], clock: Clock, share: float, expected: int
) -> None:
    driver = Driver(deploy(pull_events=share))
    driver.log_in()
    digest = driver.push_image("1.0")
    cleared(driver.deployment)
    for reference in ("1.0", str(digest)):
        assert driver.call("GET", driver.of(f"manifests/{reference}")).status == 200
        assert driver.call("HEAD", driver.of(f"manifests/{reference}")).status == 200
        clock.advance(1)
    events = told(driver.deployment)
    assert [one.type for one in events] == [EventType.MANIFEST_PULLED] * expected
    assert [one.data["tags"] for one in events] == [["1.0"], []][:expected]


def test_a_pull_whose_event_cannot_be_written_is_answered(
    deploy: Callable[..., Deployment], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver(deploy(pull_events=1.0))
    driver.log_in()
    driver.push_image("1.0")

    def broken(_self: object, _event: Event) -> None:
        raise ConnectionError

    monkeypatch.setattr(type(driver.deployment.outbox), "put", broken)
    driver.deployment.services.manifests.get(APP, "1.0")
    assert driver.call("GET", driver.of("manifests/1.0")).status == 200


def test_the_trail_says_what_it_said_before(driver: Driver) -> None:
    """What only the event says is not in it."""
    digest = driver.push_image("1.0")
    now = int(driver.deployment.clock() * 1000)
    records: list[Record] = list(driver.deployment.trail.read(ACCOUNT, now - 60_000, now + 60_000, ""))
    (push,) = [one for one in records if one.action == "push"]
    assert (push.target, push.detail) == (f"dev/app@{digest}", {"tags": {"1.0": None}})


def test_the_stream_leads_from_a_push_to_the_receiver(driver: Driver, inbox: Inbox) -> None:
    deployment = driver.deployment
    webhook, _ = hooked(deployment, f"{inbox.url}/ccr?a=b")
    digest = driver.push_image("1.0")
    (event,) = told(deployment)
    keys = {"lane": {"S": event.lane}, "order": {"S": event.order}}
    stream = {"Records": [{"eventName": "INSERT", "dynamodb": {"Keys": keys}}]}
    assert deployment.tell(stream, 60) == Told(delivered=1)
    ((path, headers, body),) = inbox.got
    assert path == "/ccr?a=b"
    document: dict[str, Any] = json.loads(body)
    VALIDATOR.validate(document)
    assert document["data"]["digest"] == digest
    assert headers["webhook-id"] == document["id"] == event.order
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert told(deployment) == []
    (done,) = deployment.queues.delivered(webhook.key, "", 10)
    assert (done.event, done.status, done.attempts) == (event, 204, 1)
    removal = {"Records": [{"eventName": "REMOVE", "dynamodb": {"Keys": keys}}]}
    assert deployment.tell(removal, 60) == Told()
    assert deployment.queues.take(Queue(webhook.key, event.lane), "w", 2**40, 2**40) is None


def test_digest_in_events_is_plain_text(driver: Driver) -> None:
    digest = driver.push_image("1.0")
    (event,) = told(driver.deployment)
    assert Digest.parse(str(event.data["digest"])) == digest


def test_what_gave_way_is_told(deployment: Deployment) -> None:
    digest = f"sha256:{'1' * 64}"
    why = {"reason": "a push needed its room", "tags": ["1.0"], "deleted": 1}
    purged = WriteAudit(APP, NOBODY, PURGED, digest, why)
    deployment.services.blobs.transactions.write([purged])
    (event,) = told(deployment)
    assert (event.type, event.subject) == (EventType.MANIFEST_PURGED, f"dev/app@{digest}")
    assert (event.data["tags"], event.data["reason"]) == (["1.0"], "a push needed its room")
