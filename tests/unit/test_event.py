"""Requests as events say them, and the endpoint that a path is."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.endpoints.event import Request
from chalicelib.endpoints.routes import carries_upload, match
from chalicelib.spec.errors import ErrorCode, RegistryError

DIGEST = "sha256:" + "a" * 64


def request(path: str = "/v2/", query: str = "", **more: Any) -> Request:
    event = {"rawPath": path, "rawQueryString": query, "requestContext": {"http": {"method": "get"}}, **more}
    return Request.from_event(event)


def test_the_least_an_event_can_say() -> None:
    least = Request.from_event({"requestContext": {"http": {"method": "get"}}})
    assert (least.method, least.path(), least.query, dict(least.headers)) == ("GET", "/", (), {})
    assert (least.body(), least.content_length(), least.source_ip) == (b"", None, "")


def test_names_of_headers_are_lower_case() -> None:
    assert request(headers={"Content-LENGTH": "7"}).content_length() == 7


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "0x1", " 1", "1" * 30, "\u0667", "1,1"])
def test_a_length_that_is_none_is_unknown(text: str) -> None:
    assert request(headers={"content-length": text}).content_length() is None


@pytest.mark.parametrize(
    ("query", "first", "every"),
    [
        ("n=1&n=2", "1", ["1", "2"]),
        ("n=", "", [""]),
        ("n", "", [""]),
        ("n=a+b%20c", "a b c", ["a b c"]),
        ("n=sha256%3Aab", "sha256:ab", ["sha256:ab"]),
        ("n=%ff", "\ufffd", ["\ufffd"]),
        ("m=1", "", []),
        ("N=1", "", []),
    ],
)
def test_parameters_of_the_query(query: str, first: str, every: list[str]) -> None:
    assert (request(query=query).first("n"), request(query=query).every("n")) == (first, every)


@pytest.mark.parametrize("hidden", ["%2f", "%2F", "%5c", "%00", "%25", "%252f", "a%2Fb"])
def test_a_path_hides_nothing(hidden: str) -> None:
    with pytest.raises(RegistryError) as refused:
        request(f"/v2/{hidden}/tags/list").path()
    assert refused.value.code is ErrorCode.NAME_INVALID


@given(st.text(max_size=50))
def test_any_path_is_read_or_refused(text: str) -> None:
    asked = request(f"/v2/{text}")
    if any(hidden in text.lower() for hidden in ("%2f", "%5c", "%00", "%25")):
        with pytest.raises(RegistryError):
            asked.path()
    else:
        match(asked.path())


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=100), st.booleans())
def test_any_body_is_kept_or_refused(text: str, encoded: bool) -> None:  # noqa: FBT001
    asked = request(body=text, isBase64Encoded=encoded)
    with contextlib.suppress(RegistryError):
        body = asked.body()
        assert body == (base64.b64decode(text) if encoded else text.encode())


@pytest.mark.parametrize(
    ("path", "ids", "parameters"),
    [
        ("/v2/", ["end-1"], {}),
        ("/v2", ["end-1"], {}),
        ("/v2/a/b/c/tags/list", ["end-8a, end-8b"], {"name": "a/b/c"}),
        ("/v2/tags/list/tags/list", ["end-8a, end-8b"], {"name": "tags/list"}),
        (
            f"/v2/a/manifests/b/manifests/{DIGEST}",
            ["end-3", "end-7a, end-7b", "end-9"],
            {"name": "a/manifests/b", "reference": DIGEST},
        ),
        (f"/v2/a/blobs/{DIGEST}", ["end-2", "end-10"], {"name": "a", "digest": DIGEST}),
        ("/v2/a/blobs/uploads/", ["end-4a, end-4b, end-11"], {"name": "a"}),
        ("/v2/a/blobs/uploads", ["end-4a, end-4b, end-11"], {"name": "a"}),
        (
            "/v2/a/blobs/uploads/s",
            ["end-5", "end-6", "end-13", "end-14"],
            {"name": "a", "session": "s"},
        ),
        (
            "/u/cap/v2/a/b/blobs/uploads/s",
            ["end-5", "end-6", "end-13", "end-14"],
            {"capability": "cap", "name": "a/b", "session": "s"},
        ),
        (f"/v2/a/referrers/{DIGEST}", ["end-12a, end-12b"], {"name": "a", "digest": DIGEST}),
        ("/v2/_catalog", ["catalog"], {}),
        ("/token", ["token"], {}),
        ("/u/cap/v2/a/tags/list", [], {}),
        ("/u/cap/v2/a/blobs/uploads/", [], {}),
        ("/v2/tags/list", [], {}),
        ("//v2/", [], {}),
    ],
)
def test_a_path_is_one_endpoint(path: str, ids: list[str], parameters: dict[str, str]) -> None:
    endpoints, found = match(path)
    assert ([endpoint.id for endpoint in endpoints], found) == (ids, parameters)


@pytest.mark.parametrize(
    ("method", "path", "streamed"),
    [
        ("POST", "/v2/a/blobs/uploads/", True),
        ("PATCH", "/v2/a/blobs/uploads/s", True),
        ("PUT", "/u/c/v2/a/blobs/uploads/s", True),
        ("PUT", "/v2/a/blobs/%75ploads/s", True),
        ("GET", "/v2/a/blobs/uploads/s", False),
        ("DELETE", "/v2/a/blobs/uploads/s", False),
        ("PUT", "/v2/a/manifests/v1", False),
        ("POST", "/token", False),
    ],
)
def test_bodies_of_blobs_alone_are_streamed(method: str, path: str, streamed: bool) -> None:  # noqa: FBT001
    assert carries_upload(method, path) is streamed
