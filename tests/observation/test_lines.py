"""One line for each request, of the same shape, that tells what it was and holds no secret."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.observation.functions import Watch
from chalicelib.observation.lines import Lines
from chalicelib.observation.seen import Seen, current, seen_of, within
from chalicelib.spec.digest import Digest
from chalicelib.wiring import Deployment
from tests.endpoints.driver import PASSWORD, Driver
from tests.observation.conftest import FUNCTION, Context, Log

ALWAYS = {
    "level",
    "location",
    "message",
    "timestamp",
    "service",
    "request_id",
    "method",
    "operation",
    "status",
}
OF_METRICS = re.compile("_aws|[A-Z][A-Za-z]+")


def fields(line: dict[str, Any]) -> dict[str, Any]:
    """Of the log: without the metrics in it, and what is another each time."""
    return {
        name: value
        for name, value in line.items()
        if not OF_METRICS.fullmatch(name) and name not in {"timestamp", "location", "duration_ms"}
    }


def test_the_line_of_a_pull_tells_all_of_it(driver: Driver, log: Log) -> None:
    digest = driver.push_blob(b"a layer" * 100)
    log.take()
    answer = driver.call("GET", driver.of(f"blobs/{digest}"), user_agent="docker/29.0.1")
    (line,) = log.lines
    assert fields(line) == {
        "level": "INFO",
        "message": "request",
        "service": FUNCTION,
        "request_id": Context().aws_request_id,
        "method": "GET",
        "route": "/v2/<name>/blobs/<digest>",
        "operation": "blobs.get",
        "status": 307,
        "account": "default",
        "repository": "dev/app",
        "actor": "admin",
        "source_ip": "127.0.0.1",
        "user_agent": "docker/29.0.1",
        "bytes_redirected": 700,
        "dynamodb_calls": 1,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\+0000", line["timestamp"])
    assert 0 < line["duration_ms"] < 60_000
    assert answer.headers["x-request-id"] == line["request_id"]


def test_each_request_has_one_line(driver: Driver, log: Log) -> None:
    driver.push_image("1.1", seed="one line")
    driver.call("GET", driver.of("tags/list"))
    driver.call("DELETE", driver.of("manifests/1.1"))
    driver.call("GET", "/nowhere")
    told = [(line["method"], line["operation"], line["status"]) for line in log.lines]
    upload = [("POST", "uploads.start", 202), ("PUT", "uploads.close", 201)]
    assert told == [
        *upload * 3,
        ("PUT", "manifests.put", 201),
        ("GET", "discovery.tag_list", 200),
        ("DELETE", "manifests.delete", 202),
        ("GET", "unmatched", 404),
    ]
    assert all(set(line) >= ALWAYS for line in log.lines)


def test_a_refusal_tells_its_code_and_what_was_asked_for(driver: Driver, log: Log) -> None:
    driver.call("GET", "/v2/other/app/manifests/1.0")
    driver.call("GET", driver.of("manifests/none"))
    denied, unknown = log.lines
    assert (denied["error"], denied["repository"], denied["status"]) == ("UNAUTHORIZED", "other/app", 401)
    assert "actor" not in denied
    assert (unknown["error"], unknown["actor"], unknown["status"]) == ("MANIFEST_UNKNOWN", "admin", 404)


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/api/v1/registries/dev", "/api/v1/registries/<registry>", 200),
        ("/api/v1/registries/none", "/api/v1/registries/<registry>", 404),
        ("/api/v1/nowhere", None, 404),
    ],
)
def test_a_request_of_the_management_api_tells_its_route(
    driver: Driver, log: Log, path: str, route: str | None, status: int
) -> None:
    driver.open_upload()
    log.take()
    basic = "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    event = driver.event("GET", path, {}, b"", {"authorization": basic})
    event["requestContext"] |= {"stage": "$default"}
    answer = driver.deployment.manage(event)
    (line,) = log.lines
    assert answer["headers"]["X-Request-Id"] == line["request_id"]
    assert (line["operation"], line["account"], line["actor"]) == ("api.read", "default", "admin")
    assert (line.get("route"), line["status"]) == (route, status)
    assert line["dynamodb_calls"] >= 1


def test_what_is_logged_on_the_way_is_of_the_request(
    driver: Driver, log: Log, monkeypatch: pytest.MonkeyPatch, deployment: Deployment
) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError("the tables are away")

    monkeypatch.setattr(type(deployment.services.discovery.tags), "page", fail)
    answer = driver.call("GET", driver.of("tags/list"), x_request_id="of-the-client-1")
    error, line = log.lines
    assert answer.status == 500
    assert (error["level"], error["exception_name"]) == ("ERROR", "ConnectionError")
    assert error["service"] == FUNCTION
    assert {error["request_id"], line["request_id"], answer.headers["x-request-id"]} == {"of-the-client-1"}


def test_what_no_handler_catches_has_its_line_too(watch: Watch, log: Log, driver: Driver) -> None:
    def fail(_event: object, _seen: Seen) -> dict[str, Any]:
        raise MemoryError

    with pytest.raises(MemoryError):
        watch.answer(driver.event("GET", "/v2/", {}, b"", {}), Context(), fail)
    assert (log.lines[0]["status"], log.lines[0]["ServerErrors"]) == (500, [1])


@pytest.mark.parametrize(
    ("told", "is_taken"),
    [
        ("0f6f3c0e-6d7a-4a63-9c59-5d0f5b6f0a11", True),
        ("build.42_retry-1", True),
        ("short", False),
        ("a" * 65, False),
        ('x","level":"ERROR', False),
        ("two\nlines of log", False),
        ("", False),
    ],
)
def test_the_id_of_a_client_is_taken_where_it_is_one(told: str, *, is_taken: bool) -> None:
    seen = seen_of("GET", {"x-request-id": told}, "", "our-own-id")
    assert seen.request_id == (told if is_taken else "our-own-id")


def test_an_id_is_made_where_nobody_has_one() -> None:
    made = {seen_of("GET", {}, "").request_id for _ in range(10)}
    assert len(made) == 10
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)


def test_the_trace_and_the_edge_are_told_where_they_are_what_they_should_be() -> None:
    root = "1-67891233-abcdef012345678912345678"
    headers = {"x-amzn-trace-id": f"Self=1-2-3;Root={root};Sampled=1", "x-amz-cf-id": "mT3v_-cfid=="}
    line = seen_of("GET", headers, "").line()
    assert (line["xray_trace_id"], line["edge_request_id"]) == (root, "mT3v_-cfid==")
    forged = seen_of("GET", {"x-amzn-trace-id": "Root=me", "x-amz-cf-id": "a b"}, "").line()
    assert not {"xray_trace_id", "edge_request_id"} & set(forged)


def test_a_line_is_one_line_whatever_a_client_sends(driver: Driver, log: Log) -> None:
    forged = 'x\n{"level":"ERROR","message":"forged"}\r\u2028'
    driver.call("GET", "/v2/a%0ab/manifests/x\ny", user_agent=forged * 100, x_request_id=forged)
    assert len(log.text.getvalue().split("\n")) == 2
    (line,) = log.lines
    assert line["message"] == "request"
    assert len(line["user_agent"]) <= 120


def test_no_line_holds_a_secret(driver: Driver, log: Log) -> None:
    content = b"content"
    digest = Digest.of(content)
    location = driver.open_upload()
    capability = location.split("/")[2]
    driver.call("PATCH", location, body=content)
    driver.call("PATCH", location.replace(capability, capability[:-4] + "AAAA"), body=content)
    driver.call("PUT", location, {"digest": digest})
    blob = driver.call("GET", driver.of(f"blobs/{digest}"))
    signature = parse_qs(urlsplit(blob.headers["location"]).query)["X-Amz-Signature"][0]
    wrong = base64.b64encode(b"admin:a-wrong-one").decode()
    driver.call("GET", "/token", authorization=f"Basic {wrong}")
    form = f"grant_type=password&username=admin&password={PASSWORD}".encode()
    driver.call("POST", "/token", body=form, authorization="")
    driver.call("GET", "/v2/", {"password": PASSWORD}, authorization="Bearer not-a-token")
    text = log.text.getvalue()
    secrets = {PASSWORD, driver.authorization.split()[1], capability, signature, wrong, "a-wrong-one"}
    assert len(log.lines) == 8
    assert not {one for one in {*secrets, "not-a-token", str(digest), location} if one in text}


def test_what_is_logged_elsewhere_is_of_no_request(lines: Lines, log: Log) -> None:
    with within("one-request"):
        assert current() == "one-request"
    lines.run("collect", BlobsFreed=2)
    (line,) = log.lines
    assert (line["message"], line["work"], line["BlobsFreed"]) == ("run", "collect", 2)
    assert "request_id" not in line
