"""The template deployed into an emulator, and clients on what it made."""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.templates import tables
from infra.templates.functions import FUNCTIONS
from infra.templates.lambdas import schedules
from tests.clients.conftest import Drivers, new_target
from tests.clients.layout import write_image
from tests.support.process import RegistryProcess, running_registry
from tests.templates.emulator import TEMPLATE, client, moto_server, translated

STACK = "ccr-test"
# What moto 5.2 does not make of a template: left out, and a text where others refer to it.
UNMADE = {
    "AWS::CloudFront::Distribution",
    "AWS::CloudFront::Function",
    "AWS::CloudFront::KeyValueStore",
    "AWS::CloudFront::OriginAccessControl",
    "AWS::CloudWatch::Alarm",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Url",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SecretsManager::Secret",
}


@dataclass(frozen=True)
class Stack:
    endpoint: str
    template: dict[str, Any]
    outputs: dict[str, str]

    def client(self, service: str) -> Any:
        return client(service, self.endpoint)

    def made(self) -> set[str]:
        pages = self.client("cloudformation").get_paginator("list_stack_resources")
        return {
            one["LogicalResourceId"]
            for page in pages.paginate(StackName=STACK)
            for one in page["StackResourceSummaries"]
        }


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    template = translated(json.loads(TEMPLATE.read_text()), "code", "package.zip")
    with moto_server(tmp_path_factory.mktemp("moto") / "log") as endpoint:
        storage = client("s3", endpoint)
        storage.create_bucket(Bucket="code")
        storage.put_object(Bucket="code", Key="package.zip", Body=_package())
        makable = without(template, UNMADE)
        formation = client("cloudformation", endpoint)
        formation.create_stack(
            StackName=STACK, TemplateBody=json.dumps(makable), Capabilities=["CAPABILITY_IAM"]
        )
        (told,) = formation.describe_stacks(StackName=STACK)["Stacks"]
        assert told["StackStatus"] == "CREATE_COMPLETE"
        outputs = {one["OutputKey"]: one["OutputValue"] for one in told["Outputs"]}
        yield Stack(endpoint, makable, outputs)


def _package() -> bytes:
    """Moto wants a zip, and runs nothing of it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", "")
    return content.getvalue()


def without(template: Mapping[str, Any], types: set[str]) -> dict[str, Any]:
    """The template less the resources of these types, and less outputs that are of them."""
    gone = {name for name, one in template["Resources"].items() if one["Type"] in types}
    # A function goes by its own name then.
    aliases = {
        name: one["Properties"]["FunctionName"]["Ref"]
        for name, one in template["Resources"].items()
        if one["Type"] == "AWS::Lambda::Alias"
    }

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(one) for one in value]
        if not isinstance(value, dict):
            return value
        to = value.get("Ref") or (value.get("Fn::GetAtt") or [""])[0]
        if to in aliases:
            return {"Fn::GetAtt": [aliases[to], "Arn"]}
        if to in gone:
            return f"unmade-{to}"
        if isinstance(value.get("Fn::Sub"), str):
            return {"Fn::Sub": re.sub(r"\$\{(\w+)(\.\w+)?\}", _unmade(gone), value["Fn::Sub"])}
        return {key: named(one) for key, one in value.items()}

    return {
        **template,
        "Resources": {name: named(one) for name, one in template["Resources"].items() if name not in gone},
        "Outputs": {name: one for name, one in template["Outputs"].items() if named(one) == one},
    }


def _unmade(gone: set[str]) -> Any:
    return lambda found: f"unmade-{found[1]}" if found[1] in gone else found[0]


def test_everything_is_made_but_what_the_emulator_cannot_make(stack: Stack) -> None:
    conditional = {name for name, one in stack.template["Resources"].items() if "Condition" in one}
    assert set(stack.template["Resources"]) - conditional <= stack.made()


def test_the_tables_are_those_of_the_models(stack: Stack) -> None:
    dynamodb = stack.client("dynamodb")
    for name, schema in tables.schemas():
        found = dynamodb.describe_table(TableName=f"{STACK}-{name}")["Table"]
        assert found["KeySchema"] == schema["KeySchema"]
        assert found["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
            made = {one["IndexName"]: (one["KeySchema"], one["Projection"]) for one in found.get(kind, ())}
            said = {one["IndexName"]: (one["KeySchema"], one["Projection"]) for one in schema.get(kind, ())}
            assert made == said


def test_the_bucket_is_the_one_that_the_outputs_name_and_is_encrypted(stack: Stack) -> None:
    """Its lifecycle and what it blocks, moto does not take from a template: see test_templates.py."""
    found = stack.client("s3").get_bucket_encryption(Bucket=stack.outputs["Bucket"])
    (rule,) = found["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_the_functions_are_those_of_the_entry_point(stack: Stack) -> None:
    functions = {one["FunctionName"]: one for one in stack.client("lambda").list_functions()["Functions"]}
    for name, function in FUNCTIONS.items():
        made = functions[f"{STACK}-{name}"]
        found = (made["Runtime"], made["MemorySize"], made["Timeout"])
        assert found == ("python3.13", function.memory, function.timeout)
    rules = {one["ScheduleExpression"] for one in stack.client("events").list_rules()["Rules"]}
    assert rules == set(schedules().values())


@pytest.fixture(scope="module")
def clients() -> Iterator[Drivers]:
    """In a short folder, as in tests/clients."""
    with (
        tempfile.TemporaryDirectory(prefix="ccr-", ignore_cleanup_errors=True) as folder,
        ExitStack() as stack,
    ):
        yield Drivers(Path(folder), stack)


@pytest.fixture(scope="module")
def registry(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """On the tables and the bucket of the stack, by its outputs."""
    settings = {
        "CCR_S3_ENDPOINT": stack.endpoint,
        "CCR_DYNAMODB_ENDPOINT": stack.endpoint,
        "CCR_BUCKET": stack.outputs["Bucket"],
        "CCR_TABLE_PREFIX": stack.outputs["TablePrefix"],
        "AWS_REGION": stack.outputs["Region"],
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    with running_registry(tmp_path_factory.mktemp("registry"), environ=settings) as running:
        yield running


@pytest.mark.clients
@pytest.mark.parametrize("name", ["skopeo", "podman"])
def test_what_is_pulled_from_the_stack_is_what_was_pushed(
    registry: RegistryProcess, clients: Drivers, tmp_path: Path, name: str
) -> None:
    driver, target = clients.get(name), new_target(registry)
    driver.login(target.host, registry.username, registry.password)
    image = write_image(tmp_path / "image", [100, 6 * 1024 * 1024])
    driver.load(image, target.reference)
    before = driver.held(target.reference)
    driver.push(target.reference)
    driver.remove(target.reference)
    driver.pull(target.reference)
    after = driver.held(target.reference)
    assert before is not None
    assert after is not None
    assert after.identity == before.identity
    assert after.manifest == target.served_digest()
    driver.remove(target.reference)


def test_the_registry_is_on_what_the_stack_made(registry: RegistryProcess, stack: Stack) -> None:
    dynamodb = stack.client("dynamodb")
    rows = dynamodb.scan(TableName=f"{STACK}-accounts")["Items"]
    assert [one["id"]["S"] for one in rows] == ["default"]
    assert set(dynamodb.list_tables()["TableNames"]) == {f"{STACK}-{name}" for name, _ in tables.schemas()}
    buckets = {one["Name"] for one in stack.client("s3").list_buckets()["Buckets"]}
    assert buckets == {stack.outputs["Bucket"], "code"}
