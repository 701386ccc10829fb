"""The functions on the way back: what clients of a registry wait for, in place of what S3 and Lambda say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccr.edge.cloudfront import Answer, function_answer, lambda_answer, lambda_event, response_event
from ccr.edge.node import EdgeFunctions
from tests.edge.events import BLOB, HEX, SESSION, event

STORED = f"/staged/acme/dev/app/{HEX}/{SESSION}"
S3_HEADERS = [("etag", '"e"'), ("x-amz-checksum-sha256", "c"), ("x-amz-request-id", "r"), ("vary", "Origin")]


def viewer_response(functions: EdgeFunctions, method: str, uri: str, answer: Answer) -> Answer:
    asked = event(method, uri)
    result = functions.call("viewer-response", response_event(asked, asked["request"], answer)).result
    return function_answer(result, answer.body)


def origin_response(functions: EdgeFunctions, method: str, uri: str, answer: Answer) -> Answer:
    request: dict[str, Any] = event(method, uri)["request"]
    return lambda_answer(functions.call("origin-response", lambda_event(request, answer)).result)


def test_a_stored_object_is_a_created_blob(functions: EdgeFunctions) -> None:
    answer = viewer_response(functions, "PUT", STORED, Answer(200, S3_HEADERS))
    assert answer.status == 201
    assert dict(answer.headers) == {
        "vary": "Origin",
        "location": f"/v2/dev/app/blobs/{BLOB}",
        "docker-content-digest": BLOB,
    }


@pytest.mark.parametrize(
    ("method", "uri", "status"),
    [
        ("GET", STORED, 200),
        ("PUT", "/u/c/v2/dev/app/blobs/uploads/1", 200),
        ("PUT", STORED, 204),
        ("GET", "/v2/", 200),
    ],
)
def test_no_other_answer_is_touched(functions: EdgeFunctions, method: str, uri: str, status: int) -> None:
    assert viewer_response(functions, method, uri, Answer(status, S3_HEADERS)) == Answer(status, S3_HEADERS)


@pytest.mark.parametrize("name", ["x-amzn-Remapped-www-authenticate", "X-CCR-Challenge"])
def test_the_challenge_gets_its_name_back(functions: EdgeFunctions, name: str) -> None:
    answer = origin_response(functions, "GET", "/v2/", Answer(401, [(name, "Bearer realm"), ("vary", "x")]))
    assert answer.status == 401
    assert dict(answer.headers) == {"vary": "x", "www-authenticate": "Bearer realm"}
    assert answer.body is None


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        (400, 400, "DIGEST_INVALID"),
        (403, 500, "UNSUPPORTED"),
        (404, 500, "UNSUPPORTED"),
        (409, 409, "BLOB_UPLOAD_INVALID"),
        (500, 500, "UNSUPPORTED"),
        (503, 429, "TOOMANYREQUESTS"),
    ],
)
def test_what_s3_refuses_is_told_in_the_envelope(
    functions: EdgeFunctions, status: int, said: int, code: str
) -> None:
    answer = origin_response(functions, "PUT", STORED, Answer(status, [("content-type", "application/xml")]))
    assert answer.status == said
    assert dict(answer.headers)["content-type"] == "application/json"
    assert ("retry-after" in dict(answer.headers)) == (said == 429)
    (entry,) = json.loads(answer.body or b"")["errors"]
    assert entry["code"] == code
    assert entry["message"]


def test_an_object_that_is_there_already_is_a_created_blob(functions: EdgeFunctions) -> None:
    answer = origin_response(functions, "PUT", STORED, Answer(412, []))
    assert (answer.status, answer.body) == (201, b"")
    assert dict(answer.headers)["docker-content-digest"] == BLOB


@pytest.mark.parametrize("status", [200, 307, 400, 404, 412, 500])
def test_what_the_registry_says_stays_as_it_is(functions: EdgeFunctions, status: int) -> None:
    answer = Answer(status, [("content-type", "application/json")])
    assert origin_response(functions, "GET", "/v2/dev/app/manifests/v1", answer) == answer
