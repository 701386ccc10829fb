"""Metrics in the lines: valid for CloudWatch, few, right; and alarms that watch only what is told."""

from __future__ import annotations

import json
import re
import time
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from chalicelib.events.tally import Told
from chalicelib.jobs import FOR_EVENTS, JOBS
from chalicelib.observation import catalogue, measuring
from chalicelib.observation.catalogue import METRICS, NAMESPACE
from chalicelib.observation.functions import Watch
from chalicelib.observation.seen import Seen
from chalicelib.wiring import Deployment
from infra.templates import watch as templates
from infra.templates.functions import FUNCTIONS
from tests.endpoints.driver import Driver
from tests.observation.conftest import FUNCTION, Context, Log

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((Path(__file__).parent / "emf.schema.json").read_text())


def check(line: dict[str, Any]) -> set[str]:
    """Against the specification, its target members among it; the names of the metrics."""
    jsonschema.validate(line, SCHEMA)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    for dimensions in directive["Dimensions"]:
        assert all(isinstance(line[name], str) and 0 < len(line[name]) <= 1024 for name in dimensions)
    for metric in directive["Metrics"]:
        values = line[metric["Name"]]
        assert 0 < len(values) <= 100
        assert all(isinstance(value, int | float) for value in values)
    assert directive["Namespace"] == NAMESPACE
    return {metric["Name"] for metric in directive["Metrics"]}


def test_the_metrics_of_a_request_are_valid_and_by_service_and_operation(driver: Driver, log: Log) -> None:
    digest = driver.push_blob(b"x" * 1000)
    driver.call("GET", driver.of(f"blobs/{digest}"))
    driver.call("HEAD", driver.of(f"blobs/{digest}"))
    driver.call("GET", driver.of("manifests/none"))
    told = [check(line) for line in log.lines]
    always = {"Requests", "Latency"}
    assert told == [
        always | {"UploadsOpened"},
        always | {"UploadsClosed"},
        always | {"BytesRedirected"},
        always,
        always | {"ClientErrors"},
    ]
    redirected = log.lines[2]
    assert redirected["BytesRedirected"] == [1000]
    assert redirected["Latency"] == [redirected["duration_ms"]]
    (directive,) = redirected["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["service"], ["service", "operation"]]
    assert (redirected["service"], redirected["operation"]) == (FUNCTION, "blobs.get")


def test_units_are_those_of_the_catalogue(driver: Driver, log: Log) -> None:
    driver.push_blob(b"units")
    units = {metric.name: metric.unit for metric in METRICS}
    for line in log.lines:
        for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
            assert metric["Unit"] == units[metric["Name"]]


def test_a_session_that_is_repeated_is_closed_once(driver: Driver, log: Log) -> None:
    location = driver.open_upload()
    digest = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    for _ in range(2):
        assert driver.call("PUT", location, {"digest": digest}, b"x" * (1 - _)).status == 201
    assert [line.get("UploadsClosed") for line in log.lines[1:]] == [[1], None]


def test_a_request_takes_no_call_for_its_log(driver: Driver, log: Log) -> None:
    """The budgets of tests/endpoints are of the handler alone; this is with the watch around it."""
    digest = driver.push_blob(b"no call more")
    log.take()
    driver.call("GET", "/v2/")
    driver.call("GET", driver.of(f"blobs/{digest}"))
    driver.call("GET", "/healthz")
    calls = [(line.get("dynamodb_calls", 0), line.get("s3_calls", 0)) for line in log.lines]
    assert calls == [(0, 0), (1, 0), (0, 0)]


@pytest.mark.parametrize("work", sorted(JOBS))
def test_the_metrics_of_a_run_are_valid(work: str, deployment: Deployment, watch: Watch, log: Log) -> None:
    deployment.rounds.courier.tally.add(Told(1, 2, 3))
    watch.run(Context(), partial(JOBS[work], deployment))
    line = log.lines[-1]
    assert check(line)
    assert line["work"] == work
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]]


def test_a_collection_counts_what_it_freed_and_what_is_open(driver: Driver, watch: Watch, log: Log) -> None:
    deployment = driver.deployment._deployment  # type: ignore[attr-defined]
    before = deployment.uploads_open()
    driver.open_upload()
    assert deployment.uploads_open() == before + 1
    driver.push_blob(b"z" * 500)
    log.take()
    for days in (3, 6, 9):
        late = Deployment(deployment.settings, clock=partial(_in, days))
        watch.run(Context(), partial(JOBS["collect"], late))
    total = {
        name: sum(line[name][0] for line in log.lines)
        for name in ("BytesFreed", "BlobsFreed", "ObjectsFreed", "UploadsExpired", "CollectionFailures")
    }
    assert total["BytesFreed"] >= 500
    assert min(total["BlobsFreed"], total["ObjectsFreed"], total["UploadsExpired"]) >= 1
    assert total["CollectionFailures"] == 0
    assert log.lines[-1]["UploadsOpen"] == [0]


def test_a_minute_with_nothing_to_deliver_is_told_without_metrics(
    deployment: Deployment, watch: Watch, log: Log
) -> None:
    deployment.rounds.courier.tally.take()
    watch.run(Context(), partial(JOBS["tell"], deployment))
    (line,) = log.lines
    assert line["work"] == "tell"
    assert "_aws" not in line


def test_what_is_done_for_an_event_is_told_with_its_request_id(
    driver: Driver, deployment: Deployment, watch: Watch, log: Log
) -> None:
    events: dict[str, dict[str, Any]] = {
        "adopt": {"Records": [{"s3": {"object": {"key": "staged/of%20nobody"}}}]},
        "stream": {"Records": []},
        "verifier": {"session": "none"},
    }
    assert set(events) == set(FOR_EVENTS)
    for work, event in events.items():
        watch.run(Context(), partial(FOR_EVENTS[work], deployment, event))
    assert [line["work"] for line in log.lines] == list(events)
    assert {line["request_id"] for line in log.lines} == {Context.aws_request_id}


def _in(days: int) -> float:
    return time.time() + days * 24 * 3600


def test_a_reconciliation_adds_up_accounts() -> None:
    values = measuring.of_reconciliation([(50, 100, 0), (99, 100, -3), (10, 0, 2)])
    told = {metric.name: value for metric, value in values.items()}
    assert told == {
        "QuotaUsed": 159,
        "QuotaLimit": 200,
        "QuotaHighest": 99.0,
        "QuotaDrift": 5,
        "AccountsReconciled": 3,
    }
    assert measuring.of_reconciliation([])[catalogue.QUOTA_HIGHEST] == 0


def emitted(deployment: Deployment, watch: Watch, log: Log) -> dict[str, set[str]]:
    """The metrics that each function really writes, by its name."""
    everything = Seen(
        status=500,
        bytes_redirected=1,
        bytes_sent=1,
        uploads_opened=1,
        uploads_closed=1,
        operation="blobs.get",
    )
    refused = Seen(status=404)
    of_requests = {metric.name for seen in (everything, refused) for metric in measuring.of_request(seen)}
    found = {"registry": of_requests, "management": of_requests}
    deployment.rounds.courier.tally.add(Told(1, 1, 1))
    watch.run(Context(), partial(FOR_EVENTS["stream"], deployment, {"Records": []}))
    found["stream"] = check(log.lines[-1])
    deployment.rounds.courier.tally.add(Told(1, 1, 1))
    for work, job in JOBS.items():
        watch.run(Context(), partial(job, deployment))
        found[work] = check(log.lines[-1])
    return found


def test_alarms_and_the_dashboard_watch_what_is_told(deployment: Deployment, watch: Watch, log: Log) -> None:
    told = emitted(deployment, watch, log)
    own = [alarm for alarm in templates.alarms().values() if alarm[0] == NAMESPACE]
    assert len(own) == len(templates.OWN)
    watched = [(json.dumps(alarm[2]["service"]), alarm[1]) for alarm in own]
    searches = []
    for widget in templates.dashboard()["widgets"]:
        for metric in widget["properties"]["metrics"]:
            if metric[0] == NAMESPACE:
                watched.append((metric[3], metric[1]))
            elif isinstance(metric[0], dict):
                searches.append(metric[0]["expression"])
    assert len(watched) > len(own) + 10
    for service, metric in watched:
        (function,) = [name for name in FUNCTIONS if service.rstrip('"}').endswith(f"-{name}")]
        assert metric in told[function], (function, metric)
    form = r"SEARCH\('\{CCR,service,operation\} MetricName=\"(\w+)\" service=\"\S+-registry\"', '\w+', 300\)"
    found = [re.fullmatch(form, one) for one in searches]
    assert {one[1] for one in found if one} <= told["registry"]
    assert all(found)
    assert len(found) == 2


def test_every_metric_of_the_catalogue_is_told(deployment: Deployment, watch: Watch, log: Log) -> None:
    told = set().union(*emitted(deployment, watch, log).values())
    assert told == {metric.name for metric in METRICS}


def test_the_document_has_every_metric_and_every_field() -> None:
    text = (ROOT / "docs" / "observability.md").read_text()
    for metric in METRICS:
        assert f"| `{metric.name}` | {metric.unit} | `{metric.exposed}` |" in text
    line = Seen(calls={"dynamodb": 1, "s3": 1})
    for name in ("trace_id", "edge_id", "method", "route", "account", "repository", "actor", "error"):
        setattr(line, name, "x")
    line.request_id = line.source_ip = line.agent = "x"
    line.bytes_redirected = line.bytes_sent = line.status = 1
    assert {name for name in line.line() if f"| `{name}` |" not in text} == set()
