"""What tells of trouble: the queue of failures, alarms on it, on functions and tables, and a dashboard."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from chalicelib.observation import catalogue
from chalicelib.observation.catalogue import NAMESPACE, Metric
from infra.templates.functions import FUNCTIONS
from infra.templates.lambdas import schedules
from infra.templates.names import STACK, Resource, att, function_name, logical, ref, sub

MINUTES: Final = 5
# A schedule is silent when it has not run for so many of its intervals.
SILENT_INTERVALS: Final = 3
# From its making to the first run such an alarm is one: for rarer schedules that is too long.
SILENT_MINUTES: Final = 60
_UNITS: Final = {"minute": 1, "hour": 60, "day": 24 * 60}
KEPT_SECONDS: Final = 14 * 24 * 3600
FREED: Final = (catalogue.BLOBS_FREED, catalogue.BYTES_FREED)
# Tables on the way of every request.
HOT: Final = ("manifests", "tags", "links", "blobs", "uploads", "usage", "credentials", "outbox")


# What the functions tell of themselves, by the name of the alarm: function, metric, statistic, threshold.
OWN: Final[dict[str, tuple[str, Metric, str, float, str]]] = {
    "server-errors": (
        "registry",
        catalogue.SERVER_ERRORS,
        "Sum",
        5,
        "the registry answers with 5xx: its log has the request ids",
    ),
    "objects-missing": (
        "sweep",
        catalogue.OBJECTS_MISSING,
        "Maximum",
        0,
        "S3 has not what a row names; the line of the sweep has the keys, and `ccr fsck` says who needs them",
    ),
    "collection-failures": (
        "collect",
        catalogue.COLLECTION_FAILURES,
        "Sum",
        10,
        "a collection fails at more than it should",
    ),
    "quota-drift": (
        "reconcile",
        catalogue.QUOTA_DRIFT,
        "Maximum",
        0,
        "what an account was charged was not what it stores; it has been put right",
    ),
    "events-given-up": (
        "tell",
        catalogue.EVENTS_GIVEN_UP,
        "Sum",
        0,
        "an event was not taken after all attempts: `ccr webhooks dead`, and `replay` when it is mended",
    ),
    "quota-highest": (
        "reconcile",
        catalogue.QUOTA_HIGHEST,
        "Maximum",
        90,
        "an account has used more than 90 % of what it may store",
    ),
}


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


class Alarm(NamedTuple):
    """Above `threshold` for one period of `minutes`; of silence: that nothing came for `periods` of them.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    """

    namespace: str
    metric: str
    dimensions: dict[str, Any]
    statistic: str
    threshold: float
    said: str
    minutes: int = MINUTES
    periods: int = 1
    is_silence: bool = False

    @property
    def comparison(self) -> str:
        return "LessThanThreshold" if self.is_silence else "GreaterThanThreshold"

    @property
    def missing(self) -> str:
        return "breaching" if self.is_silence else "notBreaching"


def alarms() -> dict[str, Alarm]:
    found: dict[str, Alarm] = {
        "failures": Alarm(
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
        found[f"{name}-errors"] = Alarm("AWS/Lambda", "Errors", dimensions, "Sum", 0, said)
        throttled = f"{name} has more to do at once than the account lets it"
        found[f"{name}-throttles"] = Alarm("AWS/Lambda", "Throttles", dimensions, "Sum", 0, throttled)
        if function.has_url:
            answers = f"{name} answers with 5xx"
            found[f"{name}-5xx"] = Alarm("AWS/Lambda", "Url5xxCount", dimensions, "Sum", 5, answers)
            slow = f"{name} takes more than 5 s for one in a hundred"
            found[f"{name}-slow"] = Alarm("AWS/Lambda", "Duration", dimensions, "p99", 5000, slow)
    for name, (service, told, statistic, threshold, said) in OWN.items():
        dimensions = {"service": sub(function_name(service))}
        found[name] = Alarm(NAMESPACE, told.name, dimensions, statistic, threshold, said)
    for name, expression in schedules().items():
        if (interval := interval_minutes(expression)) <= SILENT_MINUTES:
            found[f"{name}-silent"] = _silence(name, interval)
    for name in HOT:
        dimensions = {"TableName": ref(logical(name, "Table"))}
        said = f"the table {name} throttles"
        for kind in ("Read", "Write"):
            metric = f"{kind}ThrottleEvents"
            found[f"{name}-{kind}"] = Alarm("AWS/DynamoDB", metric, dimensions, "Sum", 0, said)
    return found


def _silence(name: str, interval: int) -> Alarm:
    return Alarm(
        "AWS/Lambda",
        "Invocations",
        {"FunctionName": sub(function_name(name))},
        "Sum",
        1,
        f"{name} does not run any more: its schedule is off, or gone",
        max(interval, MINUTES),
        SILENT_INTERVALS,
        is_silence=True,
    )


def interval_minutes(expression: str) -> int:
    """Of `rate(15 minutes)` and its like."""
    number, unit = expression.removeprefix("rate(").removesuffix(")").split()
    return int(number) * _UNITS[unit.removesuffix("s")]


def _alarm(alarm: Alarm) -> Resource:
    kind = "ExtendedStatistic" if alarm.statistic.startswith("p") else "Statistic"
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": alarm.said,
            "Namespace": alarm.namespace,
            "MetricName": alarm.metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in alarm.dimensions.items()],
            kind: alarm.statistic,
            "Period": alarm.minutes * 60,
            "EvaluationPeriods": alarm.periods,
            "ComparisonOperator": alarm.comparison,
            "Threshold": alarm.threshold,
            "TreatMissingData": alarm.missing,
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
        _widget("freed", [_own("collect", one, "Sum") for one in FREED]),
        _widget("requests by what they are", [_searched(catalogue.REQUESTS, "Sum")]),
        _widget("p99 in ms by what they are", [_searched(catalogue.LATENCY, "p99")]),
        _widget(
            "answers that are errors",
            [
                _own(name, one, "Sum")
                for name in urls
                for one in (catalogue.CLIENT_ERRORS, catalogue.SERVER_ERRORS)
            ],
        ),
        _widget("bytes redirected to S3", [_own("registry", catalogue.BYTES_REDIRECTED, "Sum")]),
        _widget(
            "uploads",
            [
                _own("registry", catalogue.UPLOADS_OPENED, "Sum"),
                _own("registry", catalogue.UPLOADS_CLOSED, "Sum"),
                _own("collect", catalogue.UPLOADS_OPEN, "Maximum"),
            ],
        ),
        _widget(
            "events",
            [
                _own(name, one, "Sum")
                for name in ("stream", "tell")
                for one in (catalogue.DELIVERED, catalogue.DELIVERIES_FAILED, catalogue.EVENTS_GIVEN_UP)
            ],
        ),
        _widget(
            "quota",
            [
                _own("reconcile", one, "Maximum")
                for one in (catalogue.QUOTA_USED, catalogue.QUOTA_LIMIT, catalogue.QUOTA_DRIFT)
            ],
        ),
    ]
    for number, widget in enumerate(widgets):
        widget |= {"x": 12 * (number % 2), "y": 6 * (number // 2), "width": 12, "height": 6}
    return {"widgets": widgets}


def _lambda(name: str, metric: str, statistic: str) -> list[Any]:
    return ["AWS/Lambda", metric, "FunctionName", function_name(name), {"stat": statistic, "label": name}]


def _own(service: str, metric: Metric, statistic: str) -> list[Any]:
    return [
        NAMESPACE,
        metric.name,
        "service",
        function_name(service),
        {"stat": statistic, "label": metric.name},
    ]


def _searched(metric: Metric, statistic: str) -> list[Any]:
    """Every operation of the registry that there was.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html
    """
    searched = (
        f'{{{NAMESPACE},service,operation}} MetricName="{metric.name}" service="{function_name("registry")}"'
    )
    return [{"expression": f"SEARCH('{searched}', '{statistic}', {MINUTES * 60})", "id": metric.name.lower()}]


def _widget(title: str, metrics: list[list[Any]]) -> dict[str, Any]:
    properties = {"title": title, "region": "${AWS::Region}", "period": MINUTES * 60, "metrics": metrics}
    return {"type": "metric", "properties": properties}
