"""Which step of which client fails behind a bare function URL, and why, in the client's own words.

Two things do. The challenge has another name, so no client learns how to authenticate; and a layer beyond
4.5 MiB in one request is more than an event holds. Behind an edge that mends the first, the second is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.clients.commands import ClientError
from tests.clients.conftest import Target, new_target
from tests.clients.drivers import Driver
from tests.clients.edge import REMAPPED, challenging_edge
from tests.clients.layout import Layout, write_image
from tests.conftest import Registries
from tests.support.process import RegistryProcess

pytestmark = pytest.mark.clients

SMALL_LAYERS = (1024 * 1024, 20_000, 100)

LOGIN_FAILS = {
    "docker": "login attempt to http://{host}/v2/ failed with status: 401 Unauthorized",
    "podman": 'logging into "{host}": invalid username/password',
    "buildah": 'logging into "{host}": invalid username/password',
    "skopeo": r"logging into \"{host}\": invalid username/password",
}
PUSH_FAILS = {
    "docker": "unauthorized: authentication required",
    "podman": "exists in {name}: unauthorized: authentication required",
    "buildah": "exists in {name}: unauthorized: authentication required",
    "skopeo": "exists in {name}: unauthorized: authentication required",
    "ctr": "unexpected status: 401 Unauthorized",
}
PULL_FAILS = {
    "docker": "unauthorized: authentication required",
    "podman": "reading manifest 1.0 in {name}: unauthorized: authentication required",
    "buildah": "reading manifest 1.0 in {name}: unauthorized: authentication required",
    "skopeo": "reading manifest 1.0 in {name}: unauthorized: authentication required",
    "ctr": "failed with status code [manifests 1.0]: 401 Unauthorized",
}
LARGE_LAYER_FAILS = {
    "docker": 'HTTP 413 response body: no error details found in HTTP response body: "{{\\"Message\\": '
    '\\"Request must be smaller than 6291456 bytes\\"}}"',
    "podman": 'uploading layer chunked: StatusCode: 413, {{"Message": "Request must be smaller than 6291456',
    "buildah": 'uploading layer chunked: StatusCode: 413, {{"Message": "Request must be smaller than 6291456',
    "skopeo": 'uploading layer chunked: StatusCode: 413, {{\\"Message\\": \\"Request must be smaller than',
    "ctr": "unexpected status: 413 Request Entity Too Large",
}


@pytest.fixture
def function_url(registries: Registries) -> RegistryProcess:
    return registries.get("function-url")


@pytest.fixture
def bare(function_url: RegistryProcess) -> Target:
    return new_target(function_url)


@pytest.fixture
def behind_edge(function_url: RegistryProcess) -> Iterator[Target]:
    with challenging_edge(function_url.url) as host:
        yield new_target(function_url, host)


@pytest.fixture
def small(tmp_path: Path) -> Layout:
    return write_image(tmp_path / "small", SMALL_LAYERS)


def said(expected: str, target: Target) -> str:
    return expected.format(host=target.host, name=f"{target.host}/{target.repository}")


def log_in(driver: Driver, target: Target) -> None:
    driver.login(target.host, target.registry.username, target.registry.password)


def test_the_challenge_has_another_name(bare: Target) -> None:
    answer = requests.get(f"{bare.registry.url}/v2/", timeout=30)
    assert answer.status_code == 401
    assert "WWW-Authenticate" not in answer.headers
    assert answer.headers[REMAPPED].startswith("Bearer realm=")


# Not for ctr, which has no login: it sends its credential when it is challenged.
@pytest.mark.parametrize("driver", LOGIN_FAILS, indirect=True)
def test_login_fails_for_want_of_a_challenge(driver: Driver, bare: Target) -> None:
    with pytest.raises(ClientError) as refusal:
        log_in(driver, bare)
    assert said(LOGIN_FAILS[driver.name], bare) in str(refusal.value)


def test_push_and_pull_fail_for_want_of_a_challenge(driver: Driver, bare: Target, small: Layout) -> None:
    driver.load(small, bare.reference)
    with pytest.raises(ClientError) as refusal:
        driver.push(bare.reference)
    assert said(PUSH_FAILS[driver.name], bare) in str(refusal.value)
    driver.remove(bare.reference)
    with pytest.raises(ClientError) as refusal:
        driver.pull(bare.reference)
    assert said(PULL_FAILS[driver.name], bare) in str(refusal.value)


def test_behind_the_edge_small_layers_push_and_pull(
    driver: Driver, behind_edge: Target, small: Layout
) -> None:
    reference = behind_edge.reference
    log_in(driver, behind_edge)
    driver.load(small, reference)
    before = driver.held(reference)
    assert before is not None
    driver.push(reference)
    driver.remove(reference)
    assert not driver.keeps(before.identity)

    driver.pull(reference)

    after = driver.held(reference)
    assert after is not None
    assert after.identity == before.identity
    assert after.manifest == behind_edge.served_digest()
    driver.remove(reference)


def test_behind_the_edge_a_large_layer_is_more_than_an_event_holds(
    driver: Driver, behind_edge: Target, image: Layout
) -> None:
    log_in(driver, behind_edge)
    driver.load(image, behind_edge.reference)
    with pytest.raises(ClientError) as refusal:
        driver.push(behind_edge.reference)
    assert said(LARGE_LAYER_FAILS[driver.name], behind_edge) in str(refusal.value)
    assert behind_edge.served_digest() is None
    driver.remove(behind_edge.reference)
