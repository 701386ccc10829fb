"""A deployment on moto, in this process, and a driver that speaks to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from moto import mock_aws

from chalicelib.config import Settings
from chalicelib.wiring import Deployment
from tests.endpoints import inventory
from tests.endpoints.driver import PASSWORD, Driver

SETTINGS = Settings(
    token_keys=(b"key of the tests".ljust(32),),
    create_on_push=True,
    show_backend_calls=True,
    head_carries_body=False,
)


@pytest.fixture(scope="package")
def _aws() -> Iterator[None]:
    """Tables take a second to make: once, and each test wipes what is in them."""
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        deployment = Deployment(SETTINGS)
        deployment.prepare()
        deployment.administrators.put(PASSWORD)
        yield


@pytest.fixture(scope="package")
def _made(_aws: None) -> dict[Settings, Deployment]:
    return {}


@pytest.fixture
def deploy(_made: dict[Settings, Deployment]) -> Callable[..., Deployment]:
    """A deployment with the given settings changed, on the tables of all."""
    inventory.wipe()

    def made(**changes: Any) -> Deployment:
        settings = replace(SETTINGS, **changes)
        if settings not in _made:
            _made[settings] = Deployment(settings)
        _made[settings].sign_in._locked.clear()
        _made[settings].quota._seen.clear()
        _made[settings].soft_limits._seen.clear()
        return _made[settings]

    return made


@pytest.fixture
def deployment(deploy: Callable[..., Deployment]) -> Deployment:
    return deploy()


@pytest.fixture
def driver(deployment: Deployment) -> Driver:
    driver = Driver(deployment)
    driver.log_in()
    return driver
