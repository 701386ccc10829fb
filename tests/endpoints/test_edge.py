"""What the registry believes of a request that came through the edge, and who gets past it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from chalicelib.config import EDGE, FUNCTION, GATEWAY
from chalicelib.wiring import Deployment
from tests.endpoints import inventory
from tests.endpoints.driver import Driver

SECRET, OLD = "the secret of the edge", "the secret before it"
DOCKER_29 = (
    "docker/29.7.0 go/go1.25 git-commit/x kernel/6 os/linux arch/amd64 "
    "containerd-client/2.2.0+unknown storage-driver/overlayfs UpstreamClient(Docker-Client/29.7.0 (linux))"
)
DOCKER_20 = (
    "docker/20.10.24 go/go1.19 git-commit/x kernel/6.1 os/linux arch/amd64 UpstreamClient(Docker-Client)"
)
SINGLE_PUT = (
    DOCKER_29,
    "containerd/1.6.20",
    "buildkit/v0.17",
    "oras-go",
    "oras/1.3.0",
    "Helm/3.21.1",
    "regclient/regctl (0.11)",
)
STREAMING = (
    DOCKER_20,
    "containers/5.23.1 (github.com/containers/image)",
    "Buildah/1.28.2",
    "skopeo/1.9.3",
    "go-containerregistry/v0.21",
    "python-requests/2.34.2",
    "",
)


@pytest.fixture
def behind(deploy: Callable[..., Deployment]) -> Driver:
    return Driver(deploy(origin_secrets=(SECRET, OLD)))


@pytest.mark.parametrize("path", ["/v2/", "/token", "/v2/dev/app/tags/list"])
@pytest.mark.parametrize("shown", [None, "", "another secret of some length", SECRET[:-1], SECRET + "x"])
def test_nobody_gets_past_the_edge(behind: Driver, path: str, shown: str | None) -> None:
    headers = {} if shown is None else {"x_ccr_edge": shown}
    answer = behind.call("GET", path, **headers)
    assert (answer.status, answer.codes) == (403, ["DENIED"])


def test_nobody_gets_past_the_edge_to_the_management_function(behind: Driver) -> None:
    event = behind.event("GET", "/api/v1/me", {}, b"", {})
    assert behind.deployment.manage(event)["statusCode"] == 403
    event = behind.event("GET", "/api/v1/me", {}, b"", {"x-ccr-edge": SECRET})
    assert behind.deployment.manage(event)["statusCode"] == 401


@pytest.mark.parametrize("secret", [SECRET, OLD])
def test_what_the_edge_says_of_the_client_is_believed(behind: Driver, secret: str) -> None:
    told = {"x_ccr_edge": secret, "x_ccr_host": "registry.example", "x_ccr_proto": "http"}
    answer = behind.call("GET", "/v2/", **told)
    assert answer.status == 401
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="http://registry.example/token"')
    assert answer.headers["x-ccr-challenge"] == challenge


def test_failed_logins_are_counted_against_the_client_not_the_edge(behind: Driver) -> None:
    form = b"grant_type=password&username=admin&password=wrong"
    told = {"x_ccr_edge": SECRET, "x_ccr_viewer": "203.0.113.9"}
    assert behind.call("POST", "/token", body=form, **told).status == 401
    (entry,) = _audit(behind.deployment)
    assert "203.0.113.9" in entry
    assert "127.0.0.1" not in entry


def test_without_an_edge_its_words_are_only_headers(deployment: Deployment) -> None:
    answer = Driver(deployment).call("GET", "/v2/", x_ccr_host="elsewhere.example", x_ccr_edge="anything")
    assert "elsewhere" not in answer.headers["www-authenticate"]
    assert "x-ccr-challenge" not in answer.headers


def opened(
    deploy: Callable[..., Deployment], agent: str, *carriers: str, refuse: bool = False
) -> tuple[int, str]:
    driver = Driver(deploy(uploads=frozenset(carriers), refuse_streams=refuse))
    driver.log_in()
    answer = driver.call("POST", driver.of("blobs/uploads/"), user_agent=agent)
    if answer.status == 202:
        return 202, answer.headers["location"][:3]
    return answer.status, json.loads(answer.body)["errors"][0]["message"]


@pytest.mark.parametrize("agent", SINGLE_PUT)
def test_single_put_clients_begin_at_s3_where_it_is_behind_the_edge(
    deploy: Callable[..., Deployment], agent: str
) -> None:
    assert opened(deploy, agent, FUNCTION, EDGE) == (202, "/s/")
    assert opened(deploy, agent, FUNCTION, EDGE, GATEWAY, refuse=True) == (202, "/s/")
    assert opened(deploy, agent, FUNCTION, GATEWAY) == (202, "/u/")
    assert opened(deploy, agent, FUNCTION) == (202, "/u/")


@pytest.mark.parametrize("agent", STREAMING)
def test_streaming_clients_begin_at_the_gateway_or_the_function(
    deploy: Callable[..., Deployment], agent: str
) -> None:
    assert opened(deploy, agent, FUNCTION, EDGE) == (202, "/u/")
    assert opened(deploy, agent, FUNCTION, EDGE, GATEWAY, refuse=True) == (202, "/u/")
    assert opened(deploy, agent, FUNCTION) == (202, "/u/")


@pytest.mark.parametrize("agent", [*SINGLE_PUT, *STREAMING])
def test_what_only_a_function_could_carry_is_refused_at_once_where_that_is_asked_for(
    deploy: Callable[..., Deployment], agent: str
) -> None:
    status, said = opened(deploy, agent, FUNCTION, refuse=True)
    if agent.startswith(("regclient/", "python-requests/")):
        assert (status, said) == (202, "/u/")
    else:
        assert status == 403
        assert "ccr push" in said
        assert "gateway" in said


def test_a_refused_push_leaves_no_session(deploy: Callable[..., Deployment]) -> None:
    assert opened(deploy, "skopeo/1.9.3", FUNCTION, refuse=True)[0] == 403
    assert inventory.take().sessions == {}


def _audit(deployment: Deployment) -> list[str]:
    return [json.dumps(model.to_simple_dict(), default=str) for model in deployment._tables.audit.scan()]
