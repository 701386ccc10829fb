"""The recipes of docs/recipes, as far as they run here: what they match, make, and have checked."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable
from typing import Any

import boto3
import pytest
import yaml

from chalicelib.spec.digest import Digest
from chalicelib.wiring import Deployment
from tests.endpoints.driver import Driver
from tests.support.process import ROOT
from tests.webhooks.conftest import Inbox, hooked

RECIPES = ROOT / "docs" / "recipes"
BUS = "bus-of-recipes"
REPOSITORY = "dev/app"


class Template(yaml.SafeLoader):
    """CloudFormation's short functions are what they name: `!Ref Repository` is the parameter's value."""


def _function(loader: yaml.Loader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return REPOSITORY if node.value == "Repository" else node.value
    return loader.construct_sequence(node) if isinstance(node, yaml.SequenceNode) else None


Template.add_multi_constructor("!", _function)


def rule_of(recipe: str) -> dict[str, Any]:
    document = yaml.load((RECIPES / recipe).read_text(), Template)
    properties: dict[str, Any] = document["Resources"]["Rule"]["Properties"]
    return properties


def matched(deploy: Callable[..., Deployment], rule: dict[str, Any]) -> tuple[Digest, list[dict[str, Any]]]:
    """A push to the repository and one to another; the events that the rule lets through, on moto."""
    session = boto3.Session(region_name="us-east-1")
    sqs, events = session.client("sqs"), session.client("events")
    deployment = deploy(event_bus=BUS)
    if BUS not in {bus["Name"] for bus in events.list_event_buses()["EventBuses"]}:
        events.create_event_bus(Name=BUS)
    url = sqs.create_queue(QueueName=f"recipes-{os.urandom(4).hex()}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="recipe", EventBusName=BUS, EventPattern=json.dumps(rule["EventPattern"]))
    events.put_targets(Rule="recipe", EventBusName=BUS, Targets=[{"Id": "1", "Arn": arn}])
    other = Driver(deployment, "dev/other")
    other.log_in()
    other.push_image("1.0", seed="other")
    driver = Driver(deployment, REPOSITORY)
    driver.log_in()
    digest = driver.push_image("1.0")
    deployment.rounds.run(30)
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return digest, [json.loads(one["Body"]) for one in messages]


def transformed(event: dict[str, Any], transformer: dict[str, Any]) -> Any:
    """What EventBridge makes of it, emulated: moto has no input transformers.

    A text stands in for `<name>` within quotes, and anything else as JSON.
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
    """
    text = transformer["InputTemplate"]
    for name, place in transformer["InputPathsMap"].items():
        value: Any = event
        for step in place.removeprefix("$.").split("."):
            value = value[step]
        text = text.replace(f"<{name}>", value if isinstance(value, str) else json.dumps(value))
    assert "<" not in text
    return json.loads(text)


def test_codebuild_is_started_with_the_digest(deploy: Callable[..., Deployment]) -> None:
    rule = rule_of("codebuild.yaml")
    digest, (event,) = matched(deploy, rule)
    made = transformed(event, rule["Targets"][0]["InputTransformer"])
    variables = {one["name"]: one["value"] for one in made["environmentVariablesOverride"]}
    assert variables == {
        "IMAGE_REPOSITORY": REPOSITORY,
        "IMAGE_DIGEST": digest,
        "EVENT_ID": event["detail"]["id"],
    }
    # https://docs.aws.amazon.com/codebuild/latest/APIReference/API_EnvironmentVariable.html
    assert {one["type"] for one in made["environmentVariablesOverride"]} == {"PLAINTEXT"}


def test_github_is_sent_a_repository_dispatch(deploy: Callable[..., Deployment]) -> None:
    """As https://docs.github.com/en/rest/repos/repos#create-a-repository-dispatch-event takes it."""
    rule = rule_of("github-dispatch.yaml")
    digest, (event,) = matched(deploy, rule)
    made = transformed(event, rule["Targets"][0]["InputTransformer"])
    assert set(made) == {"event_type", "client_payload"}
    assert len(made["event_type"]) <= 100
    assert len(made["client_payload"]) <= 10
    assert made["client_payload"]["digest"] == digest
    assert made["client_payload"]["tags"] == [{"tag": "1.0", "previous": None}]


def asked(page: str) -> dict[str, Any]:
    """The options of the page's `ccr webhooks create`."""
    text = (RECIPES / page).read_text().replace("\\\n", " ")
    line = re.search(r"^ccr webhooks create (.*)$", text, re.MULTILINE)
    assert line
    _, url, *options = shlex.split(line[1])
    pairs = list(zip(options[::2], options[1::2], strict=True))
    return {
        "url": url,
        "events": tuple(value for name, value in pairs if name == "--event"),
        "repositories": tuple(value for name, value in pairs if name == "--repository") or ("*",),
        "format": dict(pairs).get("--format", "cloudevents"),
    }


def pushed(deployment: Deployment, repository: str) -> Digest:
    driver = Driver(deployment, repository)
    driver.log_in()
    digest = driver.push_image("1.0")
    assert driver.call("DELETE", driver.of("manifests/1.0")).status == 202
    deployment.rounds.run(30)
    return digest


@pytest.mark.parametrize("page", ["argocd.md", "flux.md"])
def test_what_knows_harbor_takes_it(deploy: Callable[..., Deployment], inbox: Inbox, page: str) -> None:
    """By the checks of Image Updater and of Flux: method, type of the body, header, and its fields."""
    deployment = deploy(public_url="https://registry.example.id")
    said = asked(page)
    path = said["url"].partition("/")[2].partition("/")[2].partition("/")[2]
    webhook, _ = hooked(deployment, **{**said, "url": f"{inbox.url}/{path}"})
    digest = pushed(deployment, REPOSITORY)
    got, headers, body = inbox.got[0]
    assert got == f"/{path}"
    assert "application/json" in headers["content-type"]
    assert headers["authorization"] == deployment.webhook_desk.token(webhook)
    document = json.loads(body)
    assert document["type"] == "PUSH_ARTIFACT"
    resource = document["event_data"]["resources"][0]
    assert (resource["tag"], resource["digest"]) == ("1.0", digest)
    assert resource["resource_url"].partition("/")[0] == "registry.example.id"
    assert document["event_data"]["repository"]["repo_full_name"] == REPOSITORY


def test_gitlab_is_given_what_its_job_reads(deploy: Callable[..., Deployment], inbox: Inbox) -> None:
    said = asked("gitlab.md")
    path = said["url"].removeprefix("https://gitlab.example.com")
    deployment = deploy()
    hooked(deployment, **{**said, "url": f"{inbox.url}{path}"})
    pushed(deployment, REPOSITORY)
    digest = pushed(deployment, "prod/app")
    ((got, _, body),) = inbox.got
    assert got == path
    document = json.loads(body)
    page = (RECIPES / "gitlab.md").read_text()
    assert ".data.repository" in page
    assert ".data.digest" in page
    assert document["data"]["repository"] == "prod/app"
    assert document["data"]["digest"] == digest
    job = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0])
    assert job["deploy"]["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "trigger"'}]


def test_the_receiver_of_flux_is_a_document() -> None:
    text = (RECIPES / "flux.md").read_text()
    found = re.search(r"<<END\n(.*?)\nEND", text, re.DOTALL)
    assert found
    receiver = yaml.safe_load(found[1])
    assert (receiver["kind"], receiver["spec"]["type"]) == ("Receiver", "harbor")


def test_every_recipe_is_on_the_page_of_events() -> None:
    page = (ROOT / "docs" / "events.md").read_text()
    for path in RECIPES.iterdir():
        assert f"(recipes/{path.name})" in page
