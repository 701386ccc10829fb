"""A deployment on moto with an account, two registries, and those who may push, pull, or nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from chalicelib.registry import direct
from tests.management.direct_client import PART_SIZE, PUT_LIMIT, DirectClient, House, build


@pytest.fixture(scope="package")
def _aws() -> Iterator[None]:
    """With the smallest parts that S3 takes: moto is slow with large ones."""
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.setattr(direct, "PUT_LIMIT", PUT_LIMIT)
        environment.setattr(direct, "PART_SIZE", PART_SIZE)
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        yield


@pytest.fixture(scope="package")
def house(_aws: None) -> House:
    return build()


@pytest.fixture
def client(house: House) -> DirectClient:
    """A robot that may push to `shop/*`."""
    return house.client("shop-robot")
