"""A deployment on moto whose log is caught, line by line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from moto import mock_aws

from chalicelib.config import Settings
from chalicelib.observation.functions import Watch
from chalicelib.observation.lines import Lines
from chalicelib.observation.seen import Seen
from chalicelib.wiring import Deployment
from tests.endpoints.driver import PASSWORD, Answer, Driver

FUNCTION = "ccr-test-registry"


@dataclass
class Context:
    """Of it what a handler may look at."""

    aws_request_id: str = "0f6f3c0e-6d7a-4a63-9c59-5d0f5b6f0a11"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


@dataclass
class Log:
    """What was written to it."""

    text: io.StringIO = field(default_factory=io.StringIO)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.getvalue().splitlines()]

    def take(self) -> list[dict[str, Any]]:
        """And forget them."""
        lines = self.lines
        self.text.seek(0)
        self.text.truncate()
        return lines


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def lines(log: Log) -> Iterator[Lines]:
    with _untouched(logging.getLogger("chalicelib")):
        made = Lines(FUNCTION, lambda: log.text)
        yield made
        made.close()


@contextmanager
def _untouched(logger: logging.Logger) -> Iterator[None]:
    """As if nobody had set it up: Powertools keeps what the `app` of another test has made of it."""
    before, state = list(logger.handlers), vars(logger)
    kept = {name: state.pop(name) for name in ("init", "powertools_handler") if name in state}
    logger.handlers[:] = []
    try:
        yield
    finally:
        logger.handlers[:] = before
        state.update(kept)


@pytest.fixture
def watch(lines: Lines) -> Watch:
    return Watch(FUNCTION, lines)


@pytest.fixture(scope="package")
def deployment() -> Iterator[Deployment]:
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        settings = Settings(token_keys=(b"key of the tests".ljust(32),), create_on_push=True)
        made = Deployment(settings)
        made.prepare()
        made.administrators.put(PASSWORD)
        yield made


class Watched:
    """A deployment as `app.py` has it: each event answered under the function's watch."""

    def __init__(self, deployment: Deployment, watch: Watch) -> None:
        self._deployment, self._watch = deployment, watch

    def handler(self, event: dict[str, Any], _seen: Seen | None = None) -> dict[str, Any]:
        return self._watch.answer(event, Context(), self._deployment.handler)

    def manage(self, event: dict[str, Any], _seen: Seen | None = None) -> dict[str, Any]:
        return self._watch.answer(event, Context(), self._deployment.manage)


@pytest.fixture
def driver(deployment: Deployment, watch: Watch, log: Log) -> Driver:
    """Logged in, and what that wrote is forgotten."""
    driver = Driver(Watched(deployment, watch))  # type: ignore[arg-type]
    driver.log_in()
    log.take()
    return driver


@pytest.fixture
def put(driver: Driver, log: Log) -> Answer:
    """A pushed image."""
    answer = driver.put_manifest("1.0", driver.image())
    log.take()
    return answer
