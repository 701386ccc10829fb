"""What no request brings about: sessions grow old, and AWS asks to slow down. In one process, on moto."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from chalicelib.aws.manifest_store import DynamoManifestStore
from chalicelib.aws.tag_store import DynamoTagStore
from chalicelib.aws.upload_store import DynamoUploadStore
from chalicelib.config import Settings
from chalicelib.registry.uploads import SESSION_SECONDS
from chalicelib.spec.digest import Digest
from chalicelib.wiring import Deployment
from tests.endpoints.driver import PASSWORD, Driver


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        deployment = Deployment(Settings(token_keys=(b"key of the tests".ljust(32),), create_on_push=True))
        deployment.prepare()
        deployment.administrators.put(PASSWORD)
        yield deployment


@pytest.fixture
def driver(deployment: Deployment) -> Driver:
    driver = Driver(deployment)
    driver.log_in()
    return driver


def _session(driver: Driver) -> str:
    return driver.open_upload().rpartition("/")[2]


@pytest.fixture
def later(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """For uploads alone it is a little more than a session's life later."""
    services = deployment.services
    uploads = replace(services.uploads, clock=lambda: time.time() + SESSION_SECONDS + 60)
    monkeypatch.setattr(deployment, "services", replace(services, uploads=uploads))


@pytest.fixture
def abandoned(driver: Driver) -> str:
    return _session(driver)


def test_a_stale_upload_takes_no_more(driver: Driver, abandoned: str, later: None) -> None:
    path = driver.of(f"blobs/uploads/{abandoned}")
    appended = driver.call("PATCH", path, body=b"late")
    assert (appended.status, appended.codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])
    closed = driver.call("PUT", path, {"digest": Digest.of(b"late")}, b"late")
    assert (closed.status, closed.codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])
    assert driver.call("HEAD", driver.of(f"blobs/{Digest.of(b'late')}")).status == 404


def test_a_stale_upload_has_no_status(driver: Driver, abandoned: str, later: None) -> None:
    answer = driver.call("GET", driver.of(f"blobs/uploads/{abandoned}"))
    assert (answer.status, answer.codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])


def test_an_upload_lives_until_then(driver: Driver, abandoned: str) -> None:
    assert driver.call("GET", driver.of(f"blobs/uploads/{abandoned}")).status == 204


THROTTLED = [
    (DynamoTagStore, "page", "GET", "tags/list"),
    (DynamoTagStore, "get", "GET", "manifests/latest"),
    (DynamoManifestStore, "survey", "PUT", "manifests/latest"),
    (DynamoUploadStore, "create", "POST", "blobs/uploads/"),
]


@pytest.mark.parametrize("case", THROTTLED, ids=lambda case: f"{case[2]} {case[3]}")
@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "ThrottlingException"])
def test_throttling_is_429_and_says_when_to_come_back(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, case: tuple[type, str, str, str], code: str
) -> None:
    def throttled(*_: Any, **__: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "slow down"}}, "Query")

    store, verb, method, path = case
    monkeypatch.setattr(store, verb, throttled)
    answer = driver.call(method, driver.of(path), body=b"{}" if method == "PUT" else b"")
    assert (answer.status, answer.codes) == (429, ["TOOMANYREQUESTS"])
    assert int(answer.headers["retry-after"]) >= 1
