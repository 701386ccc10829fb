"""What a browser, or a cache, could be made to do with answers of the registry itself."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from moto import mock_aws

from chalicelib.config import Settings
from chalicelib.wiring import Deployment
from tests.endpoints.driver import INDEX, PASSWORD, Driver
from tests.gateway.conftest import Served, serving
from tests.gateway.doubles import KEY

REPOSITORY = "/v2/dev/app"
PAGE = {
    "schemaVersion": 2,
    "mediaType": INDEX,
    "manifests": [],
    "annotations": {"x": "<script>alert(1)</script>"},
}


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Deployment, Served]]:
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        settings = Settings(token_keys=(KEY,), create_on_push=True, head_carries_body=False)
        deployment = Deployment(settings)
        deployment.prepare()
        deployment.administrators.put(PASSWORD)
        with serving(deployment) as served:
            yield deployment, served


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_manifest_is_shown_as_nothing_but_data(running: tuple[Deployment, Served], method: str) -> None:
    deployment, served = running
    driver = Driver(deployment)
    driver.log_in()
    token = f"Authorization: {driver.authorization}"
    with served.connect() as wire:
        wire.request(
            f"PUT {REPOSITORY}/manifests/v1", token, f"Content-Type: {INDEX}", body=json.dumps(PAGE).encode()
        )
        assert wire.answer().status == 201
        wire.request(f"{method} {REPOSITORY}/manifests/v1", token)
        answer = wire.answer(method)
    assert answer.status == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"


@pytest.mark.parametrize(
    "line", ["GET /v2/", "GET /token", f"GET {REPOSITORY}/tags/list", "GET /api/v1/projects"]
)
def test_a_challenge_is_kept_by_no_cache(running: tuple[Deployment, Served], line: str) -> None:
    with running[1].connect() as wire:
        wire.request(line)
        answer = wire.answer()
    assert answer.status == 401
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["registry.test", "registry.test:5000", "127.0.0.1:5000", "[::1]:5000", "a_b"]
)
def test_a_challenge_names_the_host_that_was_asked(running: tuple[Deployment, Served], host: str) -> None:
    with running[1].connect() as wire:
        wire.request("GET /v2/", f"Host: {host}", host=False)
        answer = wire.answer()
    assert answer.status == 401
    assert f'realm="http://{host}/token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    "host",
    ["", 'x",service="y', "x/evil", "user@x", "x:port", "x:", "x y", "[::1", "x?", "x#", "\xe9", "a,b"],
)
def test_a_host_that_is_none_is_refused_and_not_repeated(
    running: tuple[Deployment, Served], host: str
) -> None:
    with running[1].connect() as wire:
        wire.request("GET /v2/", f"Host: {host}", host=False)
        answer = wire.answer()
    assert (answer.status, answer.codes) == (400, ["UNSUPPORTED"])
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("told", ["javascript", "http,https", "HTTP"])
def test_a_challenge_names_no_scheme_but_those_of_http(running: tuple[Deployment, Served], told: str) -> None:
    with running[1].connect() as wire:
        wire.request("GET /v2/", f"X-Forwarded-Proto: {told}")
        answer = wire.answer()
    assert 'realm="http://registry.test/token"' in answer.headers["www-authenticate"]
