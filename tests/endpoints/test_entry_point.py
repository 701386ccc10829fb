"""A push and a pull through the deployed entry point, Chalice and all, by documented function URL events."""

from __future__ import annotations

import base64
import importlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from chalicelib.spec.digest import Digest
from tests.endpoints import inventory
from tests.endpoints.driver import IMAGE, PASSWORD, Answer

EVENTS = Path(__file__).parents[1] / "events"
NAMES = sorted(path.stem for path in EVENTS.glob("*.json"))


@dataclass
class LambdaContext:
    """What the runtime passes beside the event, of it what Chalice and a handler may look at."""

    function_name: str = "ccr-dev-registry"
    function_version: str = "$LATEST"
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:ccr-dev-registry"
    memory_limit_in_mb: int = 1024
    aws_request_id: str = "0f6f3c0e-6d7a-4a63-9c59-5d0f5b6f0a11"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


class EntryPoint:
    """`app.registry`, called as Lambda calls it: JSON in, JSON out."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def send(self, name: str, **values: str) -> Answer:
        text = (EVENTS / f"{name}.json").read_text()
        for key, value in values.items():
            text = text.replace(f"<{key}>", json.dumps(value)[1:-1])
        assert not re.search(r"<\w+>", text)
        answer = json.loads(json.dumps(self._module.registry(json.loads(text), LambdaContext())))
        assert answer["isBase64Encoded"] is True
        assert all(isinstance(value, str) for value in answer["headers"].values())
        headers = {key.lower(): value for key, value in answer["headers"].items()}
        return Answer(answer["statusCode"], headers, base64.b64decode(answer["body"], validate=True))

    def send_bytes(self, name: str, content: bytes, **values: str) -> Answer:
        body = base64.b64encode(content).decode()
        return self.send(name, base64=body, length=str(len(content)), **values)


@pytest.fixture
def entry_point(_aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[EntryPoint]:
    """The module as the runtime imports it: settings from the environment, on the tables of the tests."""
    inventory.wipe()
    monkeypatch.setenv("CCR_TOKEN_KEY", "ab" * 32)
    monkeypatch.setenv("CCR_FAST_READS", "off")
    monkeypatch.setenv("CCR_CREATE_ON_PUSH", "on")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "ccr-dev-registry")
    sys.modules.pop("app", None)
    yield EntryPoint(importlib.import_module("app"))
    sys.modules.pop("app", None)


def credential(password: str = PASSWORD) -> str:
    return base64.b64encode(f"admin:{password}".encode()).decode()


def push_blob(entry_point: EntryPoint, token: str, content: bytes) -> dict[str, Any]:
    opened = entry_point.send("open_upload", token=token)
    assert opened.status == 202
    digest = Digest.of(content)
    location = opened.headers["location"]
    closed = entry_point.send_bytes("put_blob", content, location=location, digest=quote(digest, safe=""))
    assert (closed.status, closed.headers["docker-content-digest"]) == (201, digest)
    return {"mediaType": "application/octet-stream", "digest": digest, "size": len(content)}


def test_challenge_token_push_and_pull(entry_point: EntryPoint) -> None:
    challenge = entry_point.send("version_check")
    assert (challenge.status, challenge.codes) == (401, ["UNAUTHORIZED"])
    assert re.fullmatch(
        r'Bearer realm="https://\w+\.lambda-url\.us-east-1\.on\.aws/token",service="ccr"',
        challenge.headers["www-authenticate"],
    )
    assert entry_point.send("token", credential=credential("wrong")).status == 401
    token = entry_point.send("token", credential=credential()).document["token"]

    config = push_blob(entry_point, token, b'{"architecture":"amd64"}')
    layer = push_blob(entry_point, token, bytes(range(256)) * 300)
    head = entry_point.send("head_blob", token=token, digest=layer["digest"])
    assert head.status == 307
    document = {"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [layer]}
    raw = json.dumps(document).encode()
    put = entry_point.send_bytes("put_manifest", raw, token=token)
    assert (put.status, put.headers["docker-content-digest"]) == (201, Digest.of(raw))

    described = entry_point.send("head_manifest", token=token)
    assert (described.status, described.headers["content-length"]) == (200, str(len(raw)))
    assert len(described.body) == len(raw)
    got = entry_point.send("get_manifest", token=token, digest=described.headers["docker-content-digest"])
    assert (got.status, got.headers["content-type"], got.body) == (200, IMAGE, raw)
    assert entry_point.send("tag_list", token=token).document == {"name": "dev/app", "tags": ["1.0"]}
    blob = entry_point.send("get_blob", token=token, digest=layer["digest"])
    assert (blob.status, blob.body) == (307, b"")
    assert urlsplit(blob.headers["location"]).scheme == "https"


def test_a_manifest_that_comes_as_text_is_kept_byte_for_byte(entry_point: EntryPoint) -> None:
    token = entry_point.send("token", credential=credential()).document["token"]
    raw = '{"schemaVersion": 2, "annotations": {"name": "Übung"}}'
    put = entry_point.send("put_manifest_as_text", token=token, text=raw, length=str(len(raw.encode())))
    digest = Digest.of(raw.encode())
    assert (put.status, put.headers["docker-content-digest"]) == (201, digest)
    assert entry_point.send("get_manifest", token=token, digest=digest).body == raw.encode()


def test_a_token_by_form(entry_point: EntryPoint) -> None:
    form = f"grant_type=password&username=admin&password={quote(PASSWORD)}"
    answer = entry_point.send("token_by_form", form=base64.b64encode(form.encode()).decode())
    assert answer.status == 200
    assert answer.document["token"]


@pytest.mark.parametrize("name", NAMES)
def test_an_event_is_shaped_as_the_documentation_has_it(name: str) -> None:
    event = json.loads((EVENTS / f"{name}.json").read_text())
    http = event["requestContext"]["http"]
    assert (event["version"], event["routeKey"]) == ("2.0", "$default")
    assert event["rawPath"] == http["path"]
    assert event["headers"]["host"] == event["requestContext"]["domainName"]
    assert event["headers"]["user-agent"] == http["userAgent"]
    assert all(key == key.lower() for key in event["headers"])
    assert ("queryStringParameters" in event) == bool(event["rawQueryString"])
    assert "body" in event or event["isBase64Encoded"] is False
