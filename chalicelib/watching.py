"""The watch over a process that serves: its lines on standard error, its metrics where they are asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from chalicelib.config import ProcessSettings
from chalicelib.gateway.exposition import exposed
from chalicelib.observation.lines import Lines
from chalicelib.observation.processes import ProcessWatch


@contextmanager
def watching(service: str, settings: ProcessSettings) -> Iterator[tuple[ProcessWatch, str]]:
    """And the URL of the metrics; '' for none. Raises SettingsError."""
    lines = Lines(service, lambda: sys.stderr)
    watch = ProcessWatch(lines, has_requests=settings.has_access_log)
    try:
        with exposed(settings.metrics, watch.instruments.text) as url:
            yield watch, url
    finally:
        lines.close()
