"""Calls the handler of a deployment with function URL events."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from chalicelib.spec.digest import Digest
from chalicelib.wiring import Deployment

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
PASSWORD = "a password of the tests"


@dataclass(frozen=True)
class Answer:
    """What the handler said; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def codes(self) -> list[str]:
        return [entry["code"] for entry in self.document["errors"]]

    @property
    def calls(self) -> tuple[int, int]:
        """Calls made to DynamoDB and to S3."""
        pairs = dict(part.split("=") for part in self.headers["x-ccr-backend-calls"].split(";"))
        return int(pairs["dynamodb"]), int(pairs["s3"])


@dataclass
class Driver:
    """Speaks for the administrator, by token unless told otherwise."""

    deployment: Deployment
    repository: str = "dev/app"
    authorization: str = ""

    def log_in(self, scope: str = "") -> None:
        basic = "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        scope = scope or f"repository:{self.repository}:pull,push,delete"
        answer = self.call("GET", "/token", {"scope": scope}, authorization=basic)
        self.authorization = "Bearer " + json.loads(answer.body)["token"]

    def warm_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Push something, and let no time pass here: what the process has read counts until the test ends."""
        now = time.time()
        deployment = self.deployment
        for one in (deployment.services.revocations, deployment.quota, deployment.soft_limits):
            monkeypatch.setattr(one, "clock", lambda: now)
        self.push_image("warm")

    def call(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None = None,
        body: bytes = b"",
        **headers: str,
    ) -> Answer:
        return self.deliver(self.event(method, path, query or {}, body, headers))

    def deliver(self, event: dict[str, Any], blocks: Iterable[bytes] | None = None) -> Answer:
        """An event as it is, its body beside it where `blocks` are given."""
        answer = self.deployment.handler(event) if blocks is None else self.deployment.streamed(event, blocks)
        return Answer(
            answer["statusCode"],
            {name.lower(): value for name, value in answer["headers"].items()},
            base64.b64decode(answer["body"]),
        )

    def event(
        self, method: str, path: str, query: dict[str, Any], body: bytes, headers: dict[str, str]
    ) -> dict[str, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        defaults = {"host": "registry.test", "content-length": str(len(body))}
        if self.authorization:
            defaults["authorization"] = self.authorization
        return {
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": urlencode(query, doseq=True),
            "headers": {**defaults, **named},
            "requestContext": {"http": {"method": method, "sourceIp": "127.0.0.1"}},
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }

    def of(self, path: str) -> str:
        return f"/v2/{self.repository}/{path}"

    def open_upload(self) -> str:
        return self.call("POST", self.of("blobs/uploads/")).headers["location"]

    def push_blob(self, content: bytes, algorithm: str = "sha256") -> Digest:
        digest = Digest.of(content, algorithm)
        answer = self.call("PUT", self.open_upload(), {"digest": digest}, content)
        assert answer.status == 201, answer
        return digest

    def put_manifest(self, reference: str, document: dict[str, Any], **options: Any) -> Answer:
        raw = json.dumps(document).encode()
        return self.put_raw(reference, raw, document.get("mediaType", IMAGE), **options)

    def put_raw(self, reference: str, raw: bytes, media_type: str = IMAGE, **options: Any) -> Answer:
        query = options.pop("query", None)
        return self.call(
            "PUT", self.of(f"manifests/{reference}"), query, raw, content_type=media_type, **options
        )

    def push_image(self, reference: str = "latest", layers: int = 2, seed: str = "") -> Digest:
        """Config, layers and manifest."""
        answer = self.put_manifest(reference, self.image(layers, seed))
        assert answer.status == 201, answer
        return Digest(answer.headers["docker-content-digest"])

    def image(self, layers: int = 2, seed: str = "") -> dict[str, Any]:
        """An image whose blobs have been pushed."""
        contents = [f"layer {number} of {seed}".encode() for number in range(layers)]
        return {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": self.pushed(b"{}", "application/vnd.oci.image.config.v1+json"),
            "layers": [self.pushed(one, "application/vnd.oci.image.layer.v1.tar") for one in contents],
        }

    def pushed(self, content: bytes, media_type: str) -> dict[str, Any]:
        digest = self.push_blob(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}


def index_of(*children: tuple[Digest, int], **more: Any) -> dict[str, Any]:
    manifests = [{"mediaType": IMAGE, "digest": digest, "size": size} for digest, size in children]
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, **more}


def size_of(document: dict[str, Any]) -> int:
    return len(json.dumps(document).encode())
