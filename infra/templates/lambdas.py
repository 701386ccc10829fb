"""The functions of `app.py`, as SAM has them."""

from __future__ import annotations

import importlib
import json
from typing import Any, Final

from infra.templates.functions import FUNCTIONS, Function
from infra.templates.names import STACK, Resource, att, function_arn, function_name, logical, ref, sub

RUNTIME: Final = "python3.13"
ALIAS: Final = "live"
PACKAGE: Final = "../../build/package/package.zip"
# Rows go from the outbox as they are told: that calls nobody.
NEW_ROWS: Final = {"eventName": ["INSERT", "MODIFY"]}
KEY_CHARACTERS: Final = "ghijklmnopqrstuvwxyz"


def _application() -> Any:
    """Chalice's registry of what `app.py` declares."""
    return importlib.import_module("app").app


def schedules() -> dict[str, str]:
    """The functions that have one, and its expression."""
    return {source.name: str(source.schedule_expression) for source in _application().event_sources}


def handlers() -> dict[str, str]:
    """Every function and its handler."""
    application = _application()
    plain = {one.name: str(one.handler_string) for one in application.pure_lambda_functions}
    return plain | {source.name: str(source.handler_string) for source in application.event_sources}


def resources() -> dict[str, Resource]:
    found: dict[str, Resource] = {"TokenKey": _key(64), "OriginSecret": _key(32)}
    expressions = schedules()
    for name, handler in handlers().items():
        function = FUNCTIONS[name]
        found[logical(name, "Log")] = {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {
                "LogGroupName": sub(f"/aws/lambda/{function_name(name)}"),
                "RetentionInDays": ref("LogDays"),
            },
        }
        found[logical(name, "Function")] = _function(name, function, handler, expressions.get(name, ""))
    return found


def _key(digits: int) -> Resource:
    """Of hexadecimal digits."""
    return {
        "Type": "AWS::SecretsManager::Secret",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "GenerateSecretString": {
                "PasswordLength": digits,
                "ExcludeUppercase": True,
                "ExcludePunctuation": True,
                "RequireEachIncludedType": False,
                "ExcludeCharacters": KEY_CHARACTERS,
            }
        },
    }


def _function(name: str, function: Function, handler: str, schedule: str) -> Resource:
    properties: dict[str, Any] = {
        "FunctionName": sub(function_name(name)),
        "Handler": handler,
        "Runtime": RUNTIME,
        "Architectures": ["arm64"],
        "CodeUri": PACKAGE,
        "MemorySize": function.memory,
        "Timeout": function.timeout,
        "Role": att(logical(name, "Role"), "Arn"),
        "AutoPublishAlias": ALIAS,
        "AutoPublishAliasAllProperties": True,
        "LoggingConfig": {"LogGroup": ref(logical(name, "Log"))},
        "Environment": {"Variables": environment()},
    }
    if function.has_url:
        # The edge's secret is what lets anybody in: origin access control would overwrite `Authorization`.
        properties["FunctionUrlConfig"] = {"AuthType": "NONE", "InvokeMode": "BUFFERED"}
        # Somebody waits for these alone, and a snapshot is paid for as long as it is kept.
        properties["SnapStart"] = {"ApplyOn": "PublishedVersions"}
    if function.is_event:
        failure = {"Type": "SQS", "Destination": att("Failures", "Arn")}
        properties["EventInvokeConfig"] = {
            "MaximumRetryAttempts": 2,
            "DestinationConfig": {"OnFailure": failure},
        }
    if schedule:
        properties["Events"] = {"Schedule": {"Type": "Schedule", "Properties": {"Schedule": schedule}}}
    if function.stream:
        properties["Events"] = {"Stream": {"Type": "DynamoDB", "Properties": _stream(function.stream)}}
    return {"Type": "AWS::Serverless::Function", "Properties": properties}


def _stream(table: str) -> dict[str, Any]:
    """A batch that fails is halved until the one record that fails it is alone, and goes to the queue.

    https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html
    """
    return {
        "Stream": att(logical(table, "Table"), "StreamArn"),
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 100,
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": 2,
        "DestinationConfig": {"OnFailure": {"Type": "SQS", "Destination": att("Failures", "Arn")}},
        "FilterCriteria": {"Filters": [{"Pattern": json.dumps(NEW_ROWS)}]},
    }


def environment() -> dict[str, Any]:
    return {
        "CCR_TABLE_PREFIX": sub(f"{STACK}-"),
        "CCR_BUCKET": sub(f"{STACK}-${{AWS::AccountId}}-${{AWS::Region}}"),
        "CCR_TOKEN_KEY_SECRET": ref("TokenKey"),
        "CCR_ORIGIN_SECRET_SECRET": ref("OriginSecret"),
        "CCR_PUBLIC_URL": {"Fn::If": ["HasHost", sub("https://${HostName}"), ""]},
        "CCR_UPLOADS": {"Fn::If": ["HasGateway", "function,edge,gateway", "function,edge"]},
        "CCR_VERIFIER_FUNCTION": sub(f"{function_arn('verifier')}:{ALIAS}"),
        "CCR_GRACE_SECONDS": ref("GraceSeconds"),
        "CCR_RETENTION_DAYS": ref("RetentionDays"),
        "CCR_RETENTION_COUNTED": {"Fn::If": ["CountsRetention", "on", "off"]},
        "CCR_EVENT_BUS": {"Fn::If": ["HasBus", sub(STACK), ""]},
        "CCR_PULL_EVENTS": ref("PullEvents"),
        "CCR_WEBHOOK_RETRIES": ref("WebhookRetries"),
        "CCR_CREATE_ON_PUSH": {"Fn::If": ["CreatesOnPush", "on", "off"]},
    }
