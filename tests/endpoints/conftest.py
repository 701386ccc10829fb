"""A deployment on moto, in this process, and a driver that speaks to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from chalicelib.config import Settings
from chalicelib.wiring import Deployment
from tests.endpoints.driver import PASSWORD, Driver


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.fixture
def settings() -> Settings:
    return Settings(token_key=b"key of the tests".ljust(32), show_backend_calls=True, head_carries_body=False)


@pytest.fixture
def deployment(_credentials: None, settings: Settings) -> Iterator[Deployment]:
    with mock_aws():
        deployment = Deployment(settings)
        deployment.prepare()
        deployment.set_admin(PASSWORD)
        yield deployment


@pytest.fixture
def driver(deployment: Deployment) -> Driver:
    driver = Driver(deployment)
    driver.log_in()
    return driver
