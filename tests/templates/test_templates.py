"""The templates as they stand: written from the code, clean to linters, and holding what they must."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from chalicelib.aws.provision import EXPIRY
from chalicelib.config import VARIABLES
from infra.templates import tables, watch
from infra.templates.__main__ import documents
from infra.templates.cloudformation import PARAMETERS, template
from infra.templates.functions import FUNCTIONS
from infra.templates.lambdas import schedules
from infra.templates.names import logical
from infra.templates.roles import statements
from tests.templates.emulator import ROOT, TEMPLATE, tool, translated

TEMPLATES = sorted(TEMPLATE.parent.glob("*.json"))
PARAMETER_FILES = sorted((TEMPLATE.parent / "parameters").glob("*.json"))
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
INLINE_CHARACTERS = 10_240
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
TEMPLATE_BYTES, RESOURCES = 1_000_000, 500
# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-lambda-function-code.html
INLINE_CODE = 4_096
ISSUES_OF_EMPTY_DEFAULTS = "W1030"  # parameters that a condition leaves unused have no default that is an ARN


def test_what_is_committed_is_what_the_code_says() -> None:
    for path, document in documents().items():
        assert json.loads(path.read_text()) == document, f"{path}: make templates"


def test_the_linter_finds_nothing() -> None:
    command = [tool("cfn-lint"), "--ignore-checks", ISSUES_OF_EMPTY_DEFAULTS, "--", *map(str, TEMPLATES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    """As CloudFormation sees it after the transform."""
    return translated(template(), "code", "package.zip")


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: one["Properties"] for name, one in resources.items() if one["Type"] == kind}


def test_the_translator_makes_of_it_what_a_stack_takes(plain: dict[str, Any]) -> None:
    assert not [one for one in plain["Resources"].values() if one["Type"].startswith("AWS::Serverless")]
    assert len(plain["Resources"]) < RESOURCES
    assert len(json.dumps(plain)) < TEMPLATE_BYTES


def test_each_url_has_both_permissions_on_its_alias_and_no_function_has_another(
    plain: dict[str, Any],
) -> None:
    permissions = of_type(plain["Resources"], "AWS::Lambda::Permission").values()
    public = [one for one in permissions if one["Principal"] == "*"]
    for name, function in FUNCTIONS.items():
        alias = {"Ref": logical(name, "FunctionAliaslive")}
        found = {
            one["Action"]: one.get("FunctionUrlAuthType") or one.get("InvokedViaFunctionUrl")
            for one in public
            if one["FunctionName"] == alias
        }
        wanted = {"lambda:InvokeFunctionUrl": "NONE", "lambda:InvokeFunction": True}
        assert found == (wanted if function.has_url else {})


def test_what_clients_wait_for_starts_from_a_snapshot_and_all_is_on_arm(plain: dict[str, Any]) -> None:
    functions = of_type(plain["Resources"], "AWS::Lambda::Function")
    for name in FUNCTIONS:
        made = functions[logical(name, "Function")]
        assert (made["Architectures"], made["Runtime"]) == (["arm64"], "python3.13")
        assert (made.get("SnapStart") == {"ApplyOn": "PublishedVersions"}) == FUNCTIONS[name].has_url
        assert made["Role"] == {"Fn::GetAtt": [logical(name, "Role"), "Arn"]}


def test_every_setting_of_a_function_is_one_that_the_code_reads(plain: dict[str, Any]) -> None:
    known = {variable.name for variable in VARIABLES}
    for name in FUNCTIONS:
        made = of_type(plain["Resources"], "AWS::Lambda::Function")[logical(name, "Function")]
        assert set(made["Environment"]["Variables"]) <= known


def test_the_outbox_calls_the_alias_and_what_fails_alone_goes_to_the_queue(plain: dict[str, Any]) -> None:
    (mapping,) = of_type(plain["Resources"], "AWS::Lambda::EventSourceMapping").values()
    assert mapping["EventSourceArn"] == {"Fn::GetAtt": ["OutboxTable", "StreamArn"]}
    assert mapping["FunctionName"] == {"Ref": "StreamFunctionAliaslive"}
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["MaximumRetryAttempts"] == 2
    assert mapping["DestinationConfig"] == {"OnFailure": {"Destination": {"Fn::GetAtt": ["Failures", "Arn"]}}}
    streamed = {
        name
        for name, one in of_type(plain["Resources"], "AWS::DynamoDB::Table").items()
        if "StreamSpecification" in one
    }
    assert streamed == {"OutboxTable"}


def test_the_bus_is_the_one_that_functions_tell_and_may(plain: dict[str, Any]) -> None:
    bus = plain["Resources"]["Bus"]
    assert bus["Properties"]["Name"] == {"Fn::Sub": "${AWS::StackName}"}
    told = {"Fn::If": [bus["Condition"], bus["Properties"]["Name"], ""]}
    functions = of_type(plain["Resources"], "AWS::Lambda::Function")
    for name in FUNCTIONS:
        made = functions[logical(name, "Function")]["Environment"]["Variables"]
        assert made["CCR_EVENT_BUS"] == told
    may = {name for name in FUNCTIONS if "events:PutEvents" in json.dumps(statements(FUNCTIONS[name]))}
    assert may == {"stream", "tell"}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_role_fits_and_names_no_resource_by_a_star(name: str) -> None:
    said = json.dumps(statements(FUNCTIONS[name]), separators=(",", ":"))
    longest = said.replace("${AWS::StackName}", "x" * 30).replace("${AWS::Partition}", "aws-us-gov")
    assert len(longest) < INLINE_CHARACTERS
    for statement in statements(FUNCTIONS[name]):
        assert statement["Resource"] != "*"
        assert not [action for action in statement["Action"] if "*" in action]


def test_tables_are_kept_counted_and_expire_as_their_models_say() -> None:
    made = of_type(template()["Resources"], "AWS::DynamoDB::Table")
    schemas = dict(tables.schemas())
    assert set(made) == {logical(name, "Table") for name in schemas}
    for name, schema in schemas.items():
        table = made[logical(name, "Table")]
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["DeletionProtectionEnabled"] == {"Ref": "Protect"}
        assert {key: table[key] for key in schema} == schema
    timed = {name for name, schema in schemas.items() if "TimeToLiveSpecification" in schema}
    assert {"uploads", "audit", "attempts", "idempotency", "history", "revocations"} <= timed


def test_the_bucket_is_nobodys_but_ours() -> None:
    resources = template()["Resources"]
    bucket, policy = resources["Bucket"]["Properties"], resources["BucketPolicy"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    rules = {one["Id"]: one for one in bucket["LifecycleConfiguration"]["Rules"]}
    for rule in EXPIRY:
        assert rules[rule["ID"]].get("Prefix", "") == rule["Filter"]["Prefix"]
    assert not [one for one in rules.values() if one.get("Prefix", "").startswith("staged")]
    denied = policy["PolicyDocument"]["Statement"][0]
    assert (denied["Effect"], denied["Action"]) == ("Deny", "s3:*")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_code_of_the_edge_is_that_of_its_files_and_fits() -> None:
    text = json.dumps(template()["Resources"])
    for path in (ROOT / "infra/edge").glob("*.js"):
        assert json.dumps(path.read_text())[1:-1] in text
    inline = template()["Resources"]["OriginResponseFunction"]["Properties"]["Code"]["ZipFile"]
    assert len(inline) <= INLINE_CODE


def test_every_origin_that_the_edge_chooses_is_there() -> None:
    text = (ROOT / "infra/edge/viewer-request.js").read_text()
    config = template()["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    origins = {(one.get("Fn::If") or [0, one])[1]["Id"] for one in config["Origins"]}
    assert set(re.findall(r"'(registry|management|gateway)'", text)) == origins - {"storage"}


def test_a_schedule_that_stops_is_noticed_and_one_that_runs_is_not(plain: dict[str, Any]) -> None:
    alarms = of_type(plain["Resources"], "AWS::CloudWatch::Alarm")
    intervals = {name: watch.interval_minutes(expression) for name, expression in schedules().items()}
    assert intervals == {"collect": 15, "lifecycle": 60, "reconcile": 360, "sweep": 1440, "tell": 1}
    for name, minutes in intervals.items():
        if minutes > watch.SILENT_MINUTES:
            continue
        alarm = alarms[logical(f"{name}-silent", "Alarm")]
        assert (alarm["MetricName"], alarm["TreatMissingData"]) == ("Invocations", "breaching")
        assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
        assert alarm["Period"] >= minutes * 60
        waits = alarm["Period"] * alarm["EvaluationPeriods"]
        assert 3 * minutes * 60 <= waits <= (7 * 86400 if alarm["Period"] >= 3600 else 86400)


@pytest.mark.parametrize("path", PARAMETER_FILES, ids=lambda path: path.stem)
def test_a_file_of_parameters_takes_what_the_template_takes(path: Path) -> None:
    for name, value in json.loads(path.read_text())["Parameters"].items():
        allowed = PARAMETERS[name].get("AllowedValues")
        assert isinstance(value, str)
        assert allowed is None or value in {str(one) for one in allowed}


def test_there_is_a_file_of_parameters_for_each_stage() -> None:
    assert [path.stem for path in PARAMETER_FILES] == ["dev", "prod", "staging"]
    assert os.access(ROOT / "infra/cloudformation/open.sh", os.X_OK)
