"""What a function tells of itself: one line for each request or run, and in that line its metrics.

CloudWatch takes the metrics out of the line: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from chalicelib.observation import measuring
from chalicelib.observation.catalogue import NAMESPACE
from chalicelib.observation.lines import Lines
from chalicelib.observation.measuring import Run, Values
from chalicelib.observation.seen import REQUEST_ID, Seen, seen_of, within

Handler = Callable[[Mapping[str, Any], Seen], dict[str, Any]]


class Watch:
    """Of one function, `service`."""

    def __init__(self, service: str, lines: Lines | None = None) -> None:
        self._service = service
        self._lines = lines or Lines(service)

    def answer(self, event: Mapping[str, Any], context: Any, handler: Handler) -> dict[str, Any]:
        """The answer to one function URL event, with the id of the request in it.

        What the handler raises goes on to the runtime, and counts as 500.
        """
        seen = _begin(event, str(getattr(context, "aws_request_id", "")))
        status = 500
        try:
            with within(seen.request_id):
                answer = handler(event, seen)
            status = answer["statusCode"]
        finally:
            seen.end(status)
            self._lines.request(seen, **self._metrics(measuring.of_request(seen), seen.operation))
        answer.setdefault("headers", {})[REQUEST_ID] = seen.request_id
        return answer

    def run(self, context: Any, job: Callable[[float], Run]) -> None:
        """Do one run of scheduled work, for as long as the runtime lets it, and tell of it."""
        with within(str(getattr(context, "aws_request_id", ""))):
            done = job(context.get_remaining_time_in_millis() / 1000)
            self._lines.run(done.work, **done.told, **self._metrics(done.values))

    def _metrics(self, values: Values, operation: str = "") -> dict[str, Any]:
        """By service, and by service and operation: alarms know no sum over a dimension."""
        if not values:
            return {}
        provider = AmazonCloudWatchEMFProvider(namespace=NAMESPACE, service=self._service)
        for metric, value in values.items():
            provider.add_metric(metric.name, metric.unit, value)
        provider.add_dimension("service", self._service)
        if operation:
            provider.add_dimensions(service=self._service, operation=operation)
        return dict(provider.serialize_metric_set())


def _begin(event: Mapping[str, Any], invocation: str) -> Seen:
    http = event["requestContext"]["http"]
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    return seen_of(str(http["method"]).upper(), headers, str(http.get("sourceIp", "")), invocation)
