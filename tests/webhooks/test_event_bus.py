"""Events on EventBridge, by moto: what a rule matches and a target gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import jsonschema
import pytest
from botocore.exceptions import ClientError

from chalicelib.aws.event_bus import EventBus
from chalicelib.events.drain import BUS
from chalicelib.management import event_models
from chalicelib.wiring import Deployment
from tests.access.caller import Caller, basic
from tests.access.ground import Clock
from tests.endpoints.driver import PASSWORD, Driver
from tests.webhooks.conftest import ACCOUNT, Inbox, hooked
from tests.webhooks.test_queues import tell

NAME = "registry-events"


@pytest.fixture
def queue(deploy: Callable[..., Deployment]) -> tuple[Any, str]:
    """A queue that a rule fills with pushes to `dev`, on a bus of its own."""
    session = boto3.Session(region_name="us-east-1")
    sqs, events = session.client("sqs"), session.client("events")
    events.create_event_bus(Name=NAME)
    url = sqs.create_queue(QueueName="told")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {
        "source": ["ccr"],
        "detail-type": ["ccr.manifest.pushed"],
        "detail": {"data": {"registry": ["dev"]}},
    }
    events.put_rule(Name="pushes", EventBusName=NAME, EventPattern=json.dumps(pattern))
    events.put_targets(Rule="pushes", EventBusName=NAME, Targets=[{"Id": "1", "Arn": arn}])
    return sqs, url


def test_a_rule_gets_the_pushes_that_it_asks_for(
    deploy: Callable[..., Deployment], queue: tuple[Any, str]
) -> None:
    deployment = deploy(event_bus=NAME)
    driver = Driver(deployment)
    driver.log_in()
    digest = driver.push_image("1.0")
    assert driver.call("DELETE", driver.of("manifests/1.0")).status == 202
    deployment.rounds.run(30)
    sqs, url = queue
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    (event,) = [json.loads(one["Body"]) for one in messages]
    assert (event["source"], event["detail-type"]) == ("ccr", "ccr.manifest.pushed")
    assert event["resources"] == [f"{ACCOUNT}/dev/app"]
    assert event["detail"]["data"]["digest"] == digest
    jsonschema.Draft202012Validator(event_models.schema()).validate(event["detail"])
    assert len(deployment.queues.delivered(BUS, "", 10)) == 2


class Refusing:
    """An EventBridge that takes nothing, in one of its two ways."""

    def __init__(self, *, by_entry: bool) -> None:
        self.by_entry, self.asked = by_entry, 0

    def put_events(self, **_: Any) -> Any:
        self.asked += 1
        if self.by_entry:
            entry = {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}
            return {"FailedEntryCount": 1, "Entries": [entry]}
        raise ClientError({"Error": {"Code": "InternalException", "Message": "no"}}, "PutEvents")


@pytest.mark.parametrize("by_entry", [True, False])
def test_a_bus_that_takes_nothing_is_tried_again_and_keeps_no_webhook_waiting(
    deploy: Callable[..., Deployment], inbox: Inbox, clock: Clock, *, by_entry: bool
) -> None:
    deployment, refusing = deploy(event_bus=NAME), Refusing(by_entry=by_entry)
    hooked(deployment, inbox.url)
    object.__setattr__(deployment.rounds.courier.target, "put", EventBus(refusing, NAME, "ccr").put)
    order = tell(deployment, clock)
    deployment.rounds.run(30)
    assert [headers["webhook-id"] for _, headers, _ in inbox.got] == [order]
    (waiting,) = deployment.queues.waiting(BUS, 10)
    assert waiting[1:3] == (1, 1)
    clock.advance(10)
    deployment.rounds.run(30)
    assert refusing.asked == 2


def test_what_a_bus_never_took_is_shown_to_operators_and_put_on_it_again(
    deploy: Callable[..., Deployment], clock: Clock
) -> None:
    deployment, refusing = deploy(event_bus=NAME, webhook_retries=(1,)), Refusing(by_entry=True)
    operator = Caller(deployment, basic("admin", PASSWORD))
    target = deployment.rounds.courier.target
    taken: list[str] = []
    object.__setattr__(target, "put", EventBus(refusing, NAME, "ccr").put)
    orders = [tell(deployment, clock), tell(deployment, clock)]
    for _ in range(3):
        deployment.rounds.run(30)
        clock.advance(5)
    assert operator.api("GET", "/event-bus").document == {"name": NAME, "waiting": 0, "failing": 0}
    first = operator.api("GET", "/event-bus/dead", query={"limit": "1"}).document
    assert [one["id"] for one in first["items"]] == orders[1:]
    assert first["items"][0]["error"] == "EventBridge: ThrottlingException: slow down"
    second = operator.api("GET", "/event-bus/dead", query={"after": first["next"]}).document
    assert [one["id"] for one in second["items"]] == orders[:1]
    object.__setattr__(target, "put", lambda event: taken.append(event.order) or "")
    assert operator.api("POST", "/event-bus/replays", {"ids": orders[1:]}).document["ids"] == orders[1:]
    assert operator.api("GET", "/event-bus").document["waiting"] == 1
    assert operator.api("POST", "/event-bus/replays", {"ids": orders[1:]}).status == 404
    assert operator.api("POST", "/event-bus/replays", {}).document["ids"] == orders[:1]
    deployment.rounds.run(30)
    assert taken == orders
    assert operator.api("GET", "/event-bus/dead").document["items"] == []


def test_a_deployment_without_a_bus_says_so(deployment: Deployment) -> None:
    operator = Caller(deployment, basic("admin", PASSWORD))
    assert operator.api("GET", "/event-bus").document == {"name": None, "waiting": 0, "failing": 0}
