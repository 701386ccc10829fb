"""Refusals: the specification's envelope on every path, and what a path can do in `Allow`."""

from __future__ import annotations

import json

import pytest
import requests

from tests.support.client import Client, refused
from tests.support.content import UNKNOWN, image

TREE = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
SESSION = "0" * 32

METHODS = {
    "/v2/": {"GET", "HEAD"},
    "/v2/_catalog": {"GET", "HEAD"},
    "/token": {"GET", "POST"},
    "/v2/{name}/tags/list": {"GET", "HEAD"},
    "/v2/{name}/manifests/latest": {"GET", "HEAD", "PUT", "DELETE"},
    f"/v2/{{name}}/manifests/{UNKNOWN}": {"GET", "HEAD", "PUT", "DELETE"},
    f"/v2/{{name}}/blobs/{UNKNOWN}": {"GET", "HEAD", "DELETE"},
    "/v2/{name}/blobs/uploads/": {"POST"},
    f"/v2/{{name}}/blobs/uploads/{SESSION}": {"GET", "HEAD", "PATCH", "PUT", "DELETE"},
    f"/v2/{{name}}/referrers/{UNKNOWN}": {"GET", "HEAD"},
}


def _ask(client: Client, method: str, path: str) -> requests.Response:
    credential = (client.username, client.password)
    return client.session.request(method, client.url + path, auth=credential, timeout=30)


@pytest.mark.parametrize("path", METHODS)
def test_a_method_that_a_path_has_not_is_405_with_those_it_has(client: Client, path: str) -> None:
    allowed = METHODS[path]
    for method in TREE:
        if method in allowed:
            continue
        answer = _ask(client, method, path.format(name=client.repository))
        assert answer.status_code == 405, method
        assert set(answer.headers["Allow"].replace(" ", "").split(",")) == allowed
        if method != "HEAD":
            refused(answer, 405, "UNSUPPORTED")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/",
        "/v2/{name}",
        "/v2/{name}/",
        "/v2/{name}/tags",
        "/v2/{name}/tags/list/more",
        "/v2/{name}/blobs/",
        "/v2/{name}/manifests/",
        "/v2/{name}/manifests/latest/more",
        "/v2/manifests/latest",
        "/v2/tags/list",
        "/v2/{name}/unheard/of",
        "/tokens",
        "/favicon.ico",
    ],
)
def test_a_path_that_is_none_is_refused(client: Client, path: str) -> None:
    answer = _ask(client, "GET", path.format(name=client.repository))
    refused(answer, {400, 404}, {"UNSUPPORTED", "NAME_INVALID"})


REFUSED = [
    ("GET", "manifests/missing", b"", 404),
    ("GET", "manifests/sha256:short", b"", 400),
    ("PUT", "manifests/latest", b"not json", 400),
    ("PUT", "manifests/-bad", b"{}", 400),
    ("DELETE", "manifests/missing", b"", 404),
    ("GET", f"blobs/{UNKNOWN}", b"", 404),
    ("GET", "blobs/sha256:short", b"", 400),
    ("DELETE", f"blobs/{UNKNOWN}", b"", 404),
    ("POST", "blobs/uploads/?digest=sha256:short", b"x", 400),
    ("POST", f"blobs/uploads/?digest={UNKNOWN}", b"x", 400),
    ("GET", f"blobs/uploads/{SESSION}", b"", 404),
    ("PATCH", f"blobs/uploads/{SESSION}", b"x", 404),
    ("PUT", f"blobs/uploads/{SESSION}?digest={UNKNOWN}", b"x", 404),
    ("PUT", f"blobs/uploads/{SESSION}", b"x", 400),
    ("DELETE", f"blobs/uploads/{SESSION}", b"", 404),
    ("GET", "tags/list", b"", 404),
    ("GET", "tags/list?n=-1", b"", 400),
    ("GET", "referrers/short", b"", 400),
    ("POST", "tags/list", b"", 405),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), REFUSED)
def test_every_refusal_is_an_envelope_of_listed_codes(
    client: Client, method: str, path: str, body: bytes, status: int
) -> None:
    answer = client.call(method, client.of(path), data=body)
    for entry in refused(answer, status):
        assert set(entry) == {"code", "message", "detail"}
    assert answer.headers["Content-Length"] == str(len(answer.content))


@pytest.mark.parametrize(("method", "path", "body", "_status"), REFUSED)
def test_nobody_learns_anything_without_a_credential(
    client: Client, method: str, path: str, body: bytes, _status: int
) -> None:
    answer = client.session.request(method, client.url + client.of(path), data=body, timeout=30)
    refused(answer, {401, 405}, {"UNAUTHORIZED", "UNSUPPORTED"})
    assert (answer.status_code == 401) == ("WWW-Authenticate" in answer.headers)


@pytest.mark.parametrize("path", ["manifests/missing", f"blobs/{UNKNOWN}", "tags/list", "referrers/short"])
def test_a_refused_head_has_no_body(client: Client, path: str) -> None:
    """The length of what GET would have said may be told, nothing of it is sent."""
    answer = client.head(path)
    assert answer.status_code == client.get(path).status_code
    assert answer.content == b""


def test_a_message_says_what_to_do(client: Client) -> None:
    one = image(b"missing")
    said = client.put_manifest(one).json()["errors"][0]["message"]
    assert "push or mount it first" in said


def test_the_answer_to_a_person_is_the_same_json(client: Client) -> None:
    answer = client.get("manifests/missing", headers={"Accept": "text/html"})
    assert json.loads(answer.content)["errors"][0]["code"] == "MANIFEST_UNKNOWN"
