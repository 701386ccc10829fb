"""The Terraform module beside the template: inputs, outputs, resources; valid, and planned on an emulator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest

from infra.packaging.archive import write_zip
from infra.templates.cloudformation import CONDITIONS, PARAMETERS, template
from tests.templates.emulator import ROOT, moto_server, translated
from tests.templates.names import snake

TERRAFORM = ROOT / "infra" / "terraform"
MIRRORS = (Path("/opt/tf-plugins"), Path.home() / ".terraform.d" / "plugins")
# The module makes this itself, by its second provider.
NOT_AN_INPUT = {"OriginResponseArn"}
BESIDES = {"name", "package"}
# What each type of the template is in Terraform. '': a part of another resource there.
SAME = {
    "AWS::CloudFront::Distribution": "aws_cloudfront_distribution",
    "AWS::CloudFront::Function": "aws_cloudfront_function",
    "AWS::CloudFront::KeyValueStore": "aws_cloudfront_key_value_store",
    "AWS::CloudFront::OriginAccessControl": "aws_cloudfront_origin_access_control",
    "AWS::CloudWatch::Alarm": "aws_cloudwatch_metric_alarm",
    "AWS::CloudWatch::Dashboard": "aws_cloudwatch_dashboard",
    "AWS::DynamoDB::Table": "aws_dynamodb_table",
    "AWS::EC2::SecurityGroup": "aws_security_group",
    "AWS::ECS::Cluster": "aws_ecs_cluster",
    "AWS::ECS::Service": "aws_ecs_service",
    "AWS::ECS::TaskDefinition": "aws_ecs_task_definition",
    "AWS::ElasticLoadBalancingV2::Listener": "aws_lb_listener",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "aws_lb",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "aws_lb_target_group",
    "AWS::Events::EventBus": "aws_cloudwatch_event_bus",
    "AWS::Events::Rule": "aws_cloudwatch_event_rule",
    "AWS::IAM::Role": "aws_iam_role",
    "AWS::Lambda::Alias": "aws_lambda_alias",
    "AWS::Lambda::EventInvokeConfig": "aws_lambda_function_event_invoke_config",
    "AWS::Lambda::EventSourceMapping": "aws_lambda_event_source_mapping",
    "AWS::Lambda::Function": "aws_lambda_function",
    "AWS::Lambda::Permission": "aws_lambda_permission",
    "AWS::Lambda::Url": "aws_lambda_function_url",
    "AWS::Lambda::Version": "",
    "AWS::Logs::LogGroup": "aws_cloudwatch_log_group",
    "AWS::Route53::RecordSet": "aws_route53_record",
    "AWS::S3::Bucket": "aws_s3_bucket",
    "AWS::S3::BucketPolicy": "aws_s3_bucket_policy",
    "AWS::SNS::Subscription": "aws_sns_topic_subscription",
    "AWS::SNS::Topic": "aws_sns_topic",
    "AWS::SQS::Queue": "aws_sqs_queue",
    "AWS::SecretsManager::Secret": "aws_secretsmanager_secret",
}
# Parts of a resource of the template that are resources in Terraform.
PARTS = {
    "aws_cloudformation_stack",  # in place of a permission
    "aws_cloudwatch_event_target",
    "aws_iam_role_policy",
    "aws_iam_role_policy_attachment",
    "aws_s3_bucket_lifecycle_configuration",
    "aws_s3_bucket_notification",
    "aws_s3_bucket_ownership_controls",
    "aws_s3_bucket_public_access_block",
    "aws_s3_bucket_server_side_encryption_configuration",
    "aws_s3_bucket_versioning",
    "aws_secretsmanager_secret_version",
}


def blocks(kind: str) -> list[str]:
    """The first label of every block of this kind in the module."""
    found = []
    for path in sorted((TERRAFORM / "module").glob("*.tf")):
        with path.open() as file:
            parsed = hcl2.load(file)
        for block in parsed.get(kind, ()):
            found += [label.strip('"') for label in block if label != "__is_block__"]
    return found


def test_the_inputs_are_the_parameters() -> None:
    assert set(blocks("variable")) == {snake(name) for name in set(PARAMETERS) - NOT_AN_INPUT} | BESIDES


def test_the_outputs_are_the_outputs() -> None:
    assert set(blocks("output")) == {snake(name) for name in template()["Outputs"]}


def test_the_resources_are_the_resources() -> None:
    plain = translated(template(), "code", "package.zip")
    wanted = {SAME[one["Type"]] for one in plain["Resources"].values()} - {""}
    assert set(blocks("resource")) == wanted | PARTS


def terraform(folder: Path, *arguments: str, **environ: str) -> str:
    """What it printed. Skips where Terraform, or the provider, is not on this machine."""
    binary = shutil.which("terraform")
    if binary is None:
        pytest.skip("terraform is not here, and in no package registry that tests may ask")
    mirror = next((path for path in MIRRORS if (path / "registry.terraform.io/hashicorp/aws").is_dir()), None)
    if mirror is None:
        pytest.skip(f"the provider hashicorp/aws is not here, in none of {', '.join(map(str, MIRRORS))}")
    config = folder / "terraformrc"
    config.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
    done = subprocess.run(
        [binary, *arguments],
        cwd=folder / "infra/terraform/example",
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TF_CLI_CONFIG_FILE": str(config),
            "CHECKPOINT_DISABLE": "1",
            **environ,
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with its module, initialized, and a package that is one in name."""
    folder = tmp_path_factory.mktemp("terraform")
    for name in ("terraform", "edge"):
        shutil.copytree(ROOT / "infra" / name, folder / "infra" / name)
    (folder / "build/package/contents").mkdir(parents=True)
    (folder / "build/package/contents/app.py").write_text("")
    for name in ("package", "origin-response"):
        write_zip(folder / "build/package/contents", folder / f"build/package/{name}.zip")
    terraform(folder, "init", "-input=false", "-no-color")
    return folder


def test_it_is_formatted_and_valid(root: Path) -> None:
    terraform(root, "fmt", "-check", "-recursive", "..")
    assert json.loads(terraform(root, "validate", "-json"))["diagnostics"] == []


@pytest.fixture(scope="module")
def planned(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    with moto_server(tmp_path_factory.mktemp("moto") / "log") as endpoint:
        environ = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "TF_VAR_certificate_arn": "arn:aws:acm:us-east-1:123456789012:certificate/" + "1" * 8,
            "TF_VAR_hosted_zone_id": "Z0123456789ABCDEFGHIJ",
        }
        terraform(root, "plan", "-input=false", "-no-color", "-out=plan", **environ)
        plan = json.loads(terraform(root, "show", "-json", "plan", **environ))
        yield [one for one in plan["resource_changes"] if one["mode"] == "managed"]


def test_a_plan_makes_as_many_of_each_as_the_template(planned: list[dict[str, Any]]) -> None:
    """With a zone and a host name, without mail and gateway, as the example is."""
    plain = translated(template(), "code", "package.zip")
    off = {"HasMail", "HasGateway"}
    assert off < set(CONDITIONS)
    wanted = Counter(
        SAME[one["Type"]] for one in plain["Resources"].values() if one.get("Condition") not in off
    )
    # The second permission of each function URL is in a stack.
    wanted["aws_lambda_permission"] -= 2
    made = Counter(one["type"] for one in planned)
    assert {kind: count for kind, count in made.items() if kind not in PARTS} == {
        kind: count for kind, count in wanted.items() if kind
    }


def test_a_plan_makes_the_tables_of_the_template(planned: list[dict[str, Any]]) -> None:
    after = {
        one["change"]["after"]["name"]: one["change"]["after"]
        for one in planned
        if one["type"] == "aws_dynamodb_table"
    }
    for resource in template()["Resources"].values():
        if resource["Type"] != "AWS::DynamoDB::Table":
            continue
        wanted = resource["Properties"]
        made = after.pop(wanted["TableName"]["Fn::Sub"].replace("${AWS::StackName}", "ccr-prod"))
        keys = [key for key in (made["hash_key"], made["range_key"]) if key]
        assert keys == [key["AttributeName"] for key in wanted["KeySchema"]]
        indexes = {one["name"] for one in made["global_secondary_index"] + made["local_secondary_index"]}
        kinds = ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
        assert indexes == {one["IndexName"] for kind in kinds for one in wanted.get(kind, ())}
        assert made["deletion_protection_enabled"] is True
        assert made["point_in_time_recovery"][0]["enabled"] is True
        assert bool(made.get("ttl")) == ("TimeToLiveSpecification" in wanted)
    assert after == {}
