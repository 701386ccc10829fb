"""The text that Prometheus reads: by its grammar, and by its own parser where that is installed."""

from __future__ import annotations

import re
import threading

import pytest

from chalicelib.observation import catalogue as of
from chalicelib.observation.catalogue import METRICS
from chalicelib.observation.prometheus import BUCKETS, Instruments

# https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
LINE = re.compile(
    rf"# HELP {NAME} [^\n]+|# TYPE {NAME} (?:counter|gauge|histogram)"
    rf"|{NAME}(?:\{{{LABEL}(?:,{LABEL})*\}})? (?:[0-9.e+-]+|\+Inf)"
)


@pytest.fixture
def instruments() -> Instruments:
    made = Instruments()
    for milliseconds in (1, 2, 40, 400_000):
        made.take({of.REQUESTS: 1, of.LATENCY: milliseconds}, operation="blobs.get", status="3xx")
    made.take({of.REQUESTS: 1, of.LATENCY: 5}, operation='odd"\\\n', status="2xx")
    made.take({of.UPLOADS_OPEN: 7, of.BLOBS_FREED: 2, of.QUOTA_HIGHEST: 45.5})
    made.take({of.UPLOADS_OPEN: 3, of.BLOBS_FREED: 2})
    return made


def test_every_line_is_one_of_the_format(instruments: Instruments) -> None:
    text = instruments.text()
    assert text.endswith("\n")
    wrong = [line for line in text.splitlines() if not LINE.fullmatch(line)]
    assert wrong == []


def test_a_family_is_told_once_and_its_samples_follow(instruments: Instruments) -> None:
    text = instruments.text()
    families = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(families) == len(set(families))
    for family in families:
        block = text[text.index(f"# TYPE {family} ") :].split("# HELP")[0].splitlines()[1:]
        assert block
        assert all(re.match(rf"{family}(_bucket|_sum|_count)?[ {{]", line) for line in block)


def test_counters_add_up_and_gauges_are_what_they_were_last(instruments: Instruments) -> None:
    lines = instruments.text().splitlines()
    assert 'ccr_requests_total{operation="blobs.get",status="3xx"} 4.0' in lines
    assert "ccr_freed_blobs_total 4.0" in lines
    assert "ccr_uploads_open 3.0" in lines
    assert "ccr_quota_highest_ratio 0.455" in lines


def test_a_histogram_is_cumulative_and_in_seconds(instruments: Instruments) -> None:
    found = re.findall(
        r'^ccr_request_duration_seconds_bucket\{operation="blobs.get",status="3xx",le="([^"]+)"\} (\d+)$',
        instruments.text(),
        re.MULTILINE,
    )
    counts = {limit: int(count) for limit, count in found}
    assert list(counts) == [*map(str, BUCKETS), "+Inf"]
    assert list(counts.values()) == sorted(counts.values())
    assert (counts["0.002"], counts["0.025"], counts["0.05"], counts["120.0"]) == (2, 2, 3, 3)
    assert counts["+Inf"] == 4


def test_names_are_as_prometheus_wants_them() -> None:
    names = [metric.exposed for metric in METRICS]
    assert len(names) == len(set(names))
    for metric in METRICS:
        assert re.fullmatch("ccr_[a-z_]+", metric.exposed)
        assert metric.exposed.endswith("_total") == (metric.kind == "counter")


def test_many_threads_lose_nothing() -> None:
    made = Instruments()

    def count() -> None:
        for _ in range(500):
            made.take({of.REQUESTS: 1, of.LATENCY: 3}, operation="x", status="2xx")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 'ccr_requests_total{operation="x",status="2xx"} 4000.0' in made.text()
    assert 'ccr_request_duration_seconds_count{operation="x",status="2xx"} 4000' in made.text()


def test_the_parser_of_prometheus_reads_it(instruments: Instruments) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="prometheus_client is not installed")
    families = {one.name: one for one in parser.text_string_to_metric_families(instruments.text())}
    assert families["ccr_requests"].type == "counter"
    labels = [sample.labels for sample in families["ccr_requests"].samples]
    assert {"operation": 'odd"\\\n', "status": "2xx"} in labels
    histogram = families["ccr_request_duration_seconds"]
    assert histogram.type == "histogram"
    (total,) = [
        sample.value
        for sample in histogram.samples
        if sample.name.endswith("_sum") and sample.labels["status"] == "3xx"
    ]
    assert total == pytest.approx(400.043)
    assert families["ccr_uploads_open"].samples[0].value == 3
    assert families["process_start_time_seconds"].type == "gauge"
