"""What each function may do: its own log, and what its entry of `functions.py` says."""

from __future__ import annotations

from typing import Any, Final

from infra.templates.functions import FUNCTIONS, Function
from infra.templates.names import BUCKET_ARN, Resource, bus_arn, function_arn, logical, ref, sub, table_arn

Statement = dict[str, Any]
# What Lambda calls in the name of a function that a stream calls.
# https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html
FOLLOWING: Final = (
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
)


def resources() -> dict[str, Resource]:
    return {logical(name, "Role"): _role(name, function) for name, function in FUNCTIONS.items()}


def _role(name: str, function: Function) -> Resource:
    policy = {"Version": "2012-10-17", "Statement": [_log(name), *statements(function)]}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": assumed_by("lambda.amazonaws.com"),
            "Policies": [{"PolicyName": "own", "PolicyDocument": policy}],
        },
    }


def assumed_by(service: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _log(name: str) -> Statement:
    return {
        "Sid": "Log",
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": sub(f"${{{logical(name, 'Log')}.Arn}}"),
    }


def statements(function: Function) -> list[Statement]:
    """One for each set of actions, in the order of the entry."""
    found: list[Statement] = []
    for names, actions in _by_actions(function.tables):
        resources = [sub(_of_table(name)) for name in names]
        found.append({"Effect": "Allow", "Action": list(actions), "Resource": resources})
    for prefixes, actions in _by_actions(function.objects):
        found.append(
            {
                "Effect": "Allow",
                "Action": list(actions),
                "Resource": [sub(f"{BUCKET_ARN}/{prefix}*") for prefix in prefixes],
            }
        )
    if function.bucket:
        found.append({"Effect": "Allow", "Action": list(function.bucket), "Resource": sub(BUCKET_ARN)})
    if function.invokes:
        arns = [sub(f"{function_arn(name)}:live") for name in function.invokes]
        found.append({"Effect": "Allow", "Action": ["lambda:InvokeFunction"], "Resource": arns})
    secrets = [ref(secret) for secret in function.secrets]
    found.append({"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": secrets})
    if function.stream:
        found.append(
            {"Effect": "Allow", "Action": list(FOLLOWING), "Resource": sub(_stream(function.stream))}
        )
    if function.puts_events:
        found.append({"Effect": "Allow", "Action": ["events:PutEvents"], "Resource": sub(bus_arn())})
    if function.is_event or function.stream:
        queue = {"Fn::GetAtt": ["Failures", "Arn"]}
        found.append({"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": queue})
    return found


def _stream(table: str) -> str:
    return f"{table_arn(table)}/stream/*"


def _of_table(name: str) -> str:
    """`tags` or, for its indexes, `tags/index`."""
    return f"{table_arn(name)}/*" if name.endswith("/index") else table_arn(name)


def _by_actions(granted: Any) -> list[tuple[list[str], tuple[str, ...]]]:
    """What is allowed the same, together."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name, actions in granted.items():
        found.setdefault(tuple(actions), []).append(name)
    return [(names, actions) for actions, names in found.items()]
