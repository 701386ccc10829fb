"""Finding the endpoint: unknown paths, methods, HEAD, errors nobody expected."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from chalicelib.registry.changes import Transactions
from chalicelib.wiring import Deployment
from tests.endpoints.driver import Driver
from tests.endpoints.refusals import nothing_left_behind, refused

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_version_check_answers_whoever_is_logged_in(driver: Driver, method: str, path: str) -> None:
    """end-1."""
    answer = driver.call(method, path)
    assert answer.status == 200
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == "2"
    assert answer.body == (b"{}" if method == "GET" else b"")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v2/", "GET, HEAD"),
        ("POST", f"/v2/dev/app/blobs/{DIGEST}", "DELETE, GET, HEAD"),
        ("PATCH", "/v2/dev/app/manifests/v1", "DELETE, GET, HEAD, PUT"),
        ("GET", "/v2/dev/app/blobs/uploads/", "POST"),
        ("POST", "/v2/dev/app/blobs/uploads/session", "DELETE, GET, HEAD, PATCH, PUT"),
        ("PUT", "/v2/dev/app/tags/list", "GET, HEAD"),
        ("DELETE", f"/v2/dev/app/referrers/{DIGEST}", "GET, HEAD"),
        ("POST", "/v2/_catalog", "GET, HEAD"),
        ("DELETE", "/token", "GET, POST"),
    ],
)
def test_a_method_that_is_not_there_is_told_which_are(
    driver: Driver, method: str, path: str, allowed: str
) -> None:
    answer = driver.call(method, path)
    refused(answer, 405, "UNSUPPORTED", method)
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    "path", ["/", "/v1/", "/v2/dev/app", "/v2/dev/app/manifests/", "/v2/dev/app/blobs/a/b", "/u/x/y", "/v22"]
)
def test_a_path_that_is_no_endpoint_is_404(driver: Driver, path: str) -> None:
    refused(driver.call("GET", path), 404, "UNSUPPORTED")


def test_who_is_not_logged_in_learns_nothing_of_paths_under_v2(driver: Driver) -> None:
    driver.authorization = ""
    refused(driver.call("GET", "/v2/no/such/thing"), 401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    "path", [f"/v2/dev/app/blobs/{DIGEST}", "/v2/dev/app/manifests/none", "/v2/dev/app/tags/list", "/none"]
)
def test_head_of_what_is_missing_has_the_length_of_the_answer_and_no_body(driver: Driver, path: str) -> None:
    head, get = driver.call("HEAD", path), driver.call("GET", path)
    assert (head.status, head.body) == (404, b"")
    assert head.headers["content-length"] == str(len(get.body))


def test_what_nobody_expected_says_nothing_and_is_logged(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _fail(driver.deployment, monkeypatch, RuntimeError("the inner cause"))
    with nothing_left_behind(), caplog.at_level(logging.ERROR):
        answer = driver.put_manifest("v1", {"schemaVersion": 2})
    entries = refused(answer, 500, "UNSUPPORTED", "try again")
    assert "inner cause" not in str(entries)
    assert "inner cause" in caplog.text


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "ProvisionedThroughputExceededException", "SlowDown"]
)
def test_throttling_asks_to_come_back(driver: Driver, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    _fail(driver.deployment, monkeypatch, ClientError({"Error": {"Code": code}}, "TransactWriteItems"))
    answer = driver.put_manifest("v1", {"schemaVersion": 2})
    refused(answer, 429, "TOOMANYREQUESTS", "try again")
    assert answer.headers["retry-after"] == "1"


def test_behind_a_function_url_head_carries_what_get_would(
    driver: Driver, deploy: Callable[..., Deployment]
) -> None:
    """The front end there takes the length of the body, then the body."""
    driver.push_image("v1")
    behind = Driver(deploy(head_carries_body=True), authorization=driver.authorization)
    path = driver.of("manifests/v1")
    assert behind.call("HEAD", path).body == driver.call("GET", path).body != b""


def _fail(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def write(_self: Transactions, _changes: object) -> None:
        raise error

    monkeypatch.setattr(type(deployment.services.manifests.transactions), "write", write)
