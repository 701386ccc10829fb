"""What tells of trouble: the queue of failures, alarms on it, on functions and tables, and a dashboard."""

from __future__ import annotations

import json
from typing import Any, Final

from infra.templates.functions import FUNCTIONS
from infra.templates.names import STACK, Resource, att, function_name, logical, ref, sub

MINUTES: Final = 5
KEPT_SECONDS: Final = 14 * 24 * 3600
# Tables on the way of every request.
HOT: Final = ("manifests", "tags", "links", "blobs", "uploads", "usage", "credentials", "outbox")


def resources() -> dict[str, Resource]:
    return {
        "Failures": {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "QueueName": sub(f"{STACK}-failures"),
                "MessageRetentionPeriod": KEPT_SECONDS,
                "SqsManagedSseEnabled": True,
            },
        },
        "Alarms": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": sub(f"{STACK}-alarms")}},
        "AlarmsByMail": {
            "Type": "AWS::SNS::Subscription",
            "Condition": "HasMail",
            "Properties": {"TopicArn": ref("Alarms"), "Protocol": "email", "Endpoint": ref("AlarmMail")},
        },
        **{logical(name, "Alarm"): _alarm(alarm) for name, alarm in alarms().items()},
        "Dashboard": {
            "Type": "AWS::CloudWatch::Dashboard",
            "Properties": {"DashboardName": sub(STACK), "DashboardBody": sub(json.dumps(dashboard()))},
        },
    }


Alarm = tuple[str, str, dict[str, Any], str, float, str]


def alarms() -> dict[str, Alarm]:
    """Namespace, metric, dimensions, statistic, threshold and description, by name."""
    found: dict[str, Alarm] = {
        "failures": (
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            {"QueueName": att("Failures", "QueueName")},
            "Maximum",
            0,
            "what a function failed at three times waits in the queue of failures",
        )
    }
    for name, function in FUNCTIONS.items():
        dimensions = {"FunctionName": sub(function_name(name))}
        said = f"{name} fails"
        found[f"{name}-errors"] = ("AWS/Lambda", "Errors", dimensions, "Sum", 0, said)
        throttled = f"{name} has more to do at once than the account lets it"
        found[f"{name}-throttles"] = ("AWS/Lambda", "Throttles", dimensions, "Sum", 0, throttled)
        if function.has_url:
            answers = f"{name} answers with 5xx"
            found[f"{name}-5xx"] = ("AWS/Lambda", "Url5xxCount", dimensions, "Sum", 5, answers)
            slow = f"{name} takes more than 5 s for one in a hundred"
            found[f"{name}-slow"] = ("AWS/Lambda", "Duration", dimensions, "p99", 5000, slow)
    for name in HOT:
        dimensions = {"TableName": ref(logical(name, "Table"))}
        said = f"the table {name} throttles"
        for kind in ("Read", "Write"):
            metric = f"{kind}ThrottleEvents"
            found[f"{name}-{kind}"] = ("AWS/DynamoDB", metric, dimensions, "Sum", 0, said)
    return found


def _alarm(alarm: Alarm) -> Resource:
    namespace, metric, dimensions, statistic, threshold, said = alarm
    kind = "ExtendedStatistic" if statistic.startswith("p") else "Statistic"
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": said,
            "Namespace": namespace,
            "MetricName": metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            kind: statistic,
            "Period": MINUTES * 60,
            "EvaluationPeriods": 1,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": threshold,
            "TreatMissingData": "notBreaching",
            "AlarmActions": [ref("Alarms")],
            "OKActions": [ref("Alarms")],
        },
    }


def dashboard() -> dict[str, Any]:
    urls = [name for name, function in FUNCTIONS.items() if function.has_url]
    every = list(FUNCTIONS)
    widgets = [
        _widget("requests", [_lambda(name, "UrlRequestCount", "Sum") for name in urls]),
        _widget("p99 in ms", [_lambda(name, "Duration", "p99") for name in urls]),
        _widget("errors", [_lambda(name, "Errors", "Sum") for name in every]),
        _widget("throttles", [_lambda(name, "Throttles", "Sum") for name in every]),
        _widget("restores in ms", [_lambda(name, "RestoreDuration", "p99") for name in urls]),
        _widget(
            "what failed three times",
            [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", f"{STACK}-failures"]],
        ),
        _widget(
            "capacity used",
            [
                [
                    "AWS/DynamoDB",
                    f"Consumed{kind}CapacityUnits",
                    "TableName",
                    f"{STACK}-{name}",
                    {"stat": "Sum"},
                ]
                for name in HOT
                for kind in ("Read", "Write")
            ],
        ),
        _widget("freed", [["CCR/Collection", name, {"stat": "Sum"}] for name in ("blobs", "bytes")]),
    ]
    for number, widget in enumerate(widgets):
        widget |= {"x": 12 * (number % 2), "y": 6 * (number // 2), "width": 12, "height": 6}
    return {"widgets": widgets}


def _lambda(name: str, metric: str, statistic: str) -> list[Any]:
    return ["AWS/Lambda", metric, "FunctionName", function_name(name), {"stat": statistic, "label": name}]


def _widget(title: str, metrics: list[list[Any]]) -> dict[str, Any]:
    properties = {"title": title, "region": "${AWS::Region}", "period": MINUTES * 60, "metrics": metrics}
    return {"type": "metric", "properties": properties}
