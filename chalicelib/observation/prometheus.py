"""Metrics of one process in Prometheus's text format, 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Final

from chalicelib.observation.catalogue import COUNTER, HISTOGRAM, METRICS, Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# Seconds: from a manifest out of a warm process to a layer that streams through it.
BUCKETS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
Labels = tuple[tuple[str, str], ...]


class Instruments:
    """Counters, gauges and histograms by their labels; any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[Metric, dict[Labels, float]] = {}
        self._buckets: dict[Metric, dict[Labels, list[int]]] = {}
        self._started = time.time()

    def take(self, values: Mapping[Metric, float], **labels: str) -> None:
        """Counters go up by the value, gauges become it, histograms observe it."""
        named = tuple(labels.items())
        with self._lock:
            for metric, value in values.items():
                self._take(metric, value * metric.scale, named)

    def _take(self, metric: Metric, value: float, labels: Labels) -> None:
        held = self._values.setdefault(metric, {})
        if metric.kind in {COUNTER, HISTOGRAM}:
            held[labels] = held.get(labels, 0.0) + value
        else:
            held[labels] = value
        if metric.kind == HISTOGRAM:
            counts = self._buckets.setdefault(metric, {}).setdefault(labels, [0] * (len(BUCKETS) + 1))
            counts[bisect_left(BUCKETS, value)] += 1

    def text(self) -> str:
        """Ends in a line feed, as the format wants it."""
        with self._lock:
            lines = [line for metric in METRICS if metric in self._values for line in self._lines(metric)]
        return "\n".join([*lines, *self._of_process()]) + "\n"

    def _lines(self, metric: Metric) -> Iterator[str]:
        yield from _head(metric.exposed, metric.kind, metric.meaning)
        for labels, value in self._values[metric].items():
            if metric.kind != HISTOGRAM:
                yield _sample(metric.exposed, labels, value)
                continue
            total = 0
            counts = self._buckets[metric][labels]
            for limit, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
                total += count
                yield _sample(f"{metric.exposed}_bucket", (*labels, ("le", limit)), total)
            yield _sample(f"{metric.exposed}_sum", labels, value)
            yield _sample(f"{metric.exposed}_count", labels, total)

    def _of_process(self) -> Iterator[str]:
        yield from _head("process_start_time_seconds", "gauge", "when the process began, in epoch seconds")
        yield _sample("process_start_time_seconds", (), self._started)
        yield from _head("process_cpu_seconds_total", COUNTER, "CPU that the process used")
        yield _sample("process_cpu_seconds_total", (), time.process_time())


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"


def _sample(name: str, labels: Labels, value: float) -> str:
    text = ",".join(f'{key}="{_escaped(said)}"' for key, said in labels)
    return f"{name}{{{text}}} {value!r}" if text else f"{name} {value!r}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
