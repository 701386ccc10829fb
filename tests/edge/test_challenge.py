"""The challenge that the edge answers is the one that the registry would have answered."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from moto import mock_aws

from ccr.edge.node import EdgeFunctions
from chalicelib.config import Settings
from chalicelib.wiring import Deployment
from tests.edge.events import KEY, event

NAMES = ("dev/app", "a", "dev/app/blobs/uploads", "dev/manifests/app", "Dev/App", "dev/tags/list")
DIGEST = f"sha256:{'0' * 64}"
REQUESTS = [
    ("GET", "/v2/", ""),
    ("HEAD", "/v2/", ""),
    ("GET", "/v2", ""),
    ("GET", "/v2/_catalog", "n=5"),
    ("GET", "/v2/nothing", ""),
    ("GET", "/v2/dev/app/nothing", ""),
    *[
        request
        for name in NAMES
        for request in (
            ("GET", f"/v2/{name}/blobs/{DIGEST}", ""),
            ("HEAD", f"/v2/{name}/blobs/{DIGEST}", ""),
            ("DELETE", f"/v2/{name}/blobs/{DIGEST}", ""),
            ("GET", f"/v2/{name}/manifests/v1", ""),
            ("HEAD", f"/v2/{name}/manifests/{DIGEST}", ""),
            ("PUT", f"/v2/{name}/manifests/v1", ""),
            ("DELETE", f"/v2/{name}/manifests/v1", ""),
            ("GET", f"/v2/{name}/tags/list", "n=1&last=a"),
            ("GET", f"/v2/{name}/referrers/{DIGEST}", ""),
            ("POST", f"/v2/{name}/blobs/uploads/", ""),
            ("POST", f"/v2/{name}/blobs/uploads", ""),
            ("POST", f"/v2/{name}/blobs/uploads/", f"mount={DIGEST}&from=dev/other"),
            ("POST", f"/v2/{name}/blobs/uploads/", "mount=sha256%3A00&from=dev%2Fother"),
            ("POST", f"/v2/{name}/blobs/uploads/", "from=dev/other"),
            ("POST", f"/v2/{name}/blobs/uploads/", f"mount={DIGEST}"),
            ("PATCH", f"/v2/{name}/blobs/uploads/session", ""),
            ("PUT", f"/v2/{name}/blobs/uploads/session", f"digest={DIGEST}"),
            ("GET", f"/v2/{name}/blobs/uploads/session", ""),
            ("DELETE", f"/v2/{name}/blobs/uploads/session", ""),
        )
    ],
]


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """Nobody comes so far that it needs a table."""
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        yield Deployment(Settings(token_keys=(KEY,), head_carries_body=True))


@pytest.mark.parametrize("authorization", ["", "Bearer a.eyJleHAiOjF9.c"], ids=["none", "expired"])
@pytest.mark.parametrize("request_line", REQUESTS, ids=" ".join)
def test_the_edge_and_the_registry_challenge_alike(
    functions: EdgeFunctions, deployment: Deployment, request_line: tuple[str, str, str], authorization: str
) -> None:
    method, path, query = request_line
    headers = {"authorization": authorization} if authorization else {}
    parameters = dict(part.split("=") for part in query.split("&")) if query else {}
    answer = functions.call("viewer-request", event(method, path, parameters, headers)).result
    told = deployment.handler(
        {
            "rawPath": path,
            "rawQueryString": query,
            "headers": {"host": "registry.test", **headers},
            "requestContext": {"http": {"method": method, "sourceIp": "203.0.113.7"}},
        }
    )

    assert (answer["statusCode"], told["statusCode"]) == (401, 401)
    assert answer["headers"]["www-authenticate"]["value"] == told["headers"]["WWW-Authenticate"]
    assert json.loads(answer["body"]["data"])["errors"][0]["code"] == "UNAUTHORIZED"
