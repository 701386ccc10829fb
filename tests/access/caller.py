"""Says requests to both functions of a deployment, as one credential, and counts what they cost behind."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from chalicelib.aws.calls import counted
from chalicelib.wiring import Deployment

API = "/api/v1"


@dataclass(frozen=True)
class Reply:
    """What was answered; header names in lower case; `calls` to DynamoDB and to S3."""

    status: int
    headers: dict[str, str]
    body: bytes
    calls: tuple[int, int]

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    def about(self, name: str, other: str) -> Reply:
        """The same answer with `other` wherever it says `name`."""
        headers = {key: value.replace(name, other) for key, value in self.headers.items()}
        return replace(self, headers=headers, body=self.body.replace(name.encode(), other.encode()))


def basic(id_: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{id_}:{secret}".encode()).decode()


@dataclass(frozen=True)
class Caller:
    """`authorization` is the header's value, '' sends none."""

    deployment: Deployment
    authorization: str = ""
    address: str = "192.0.2.1"

    def v2(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | str = "",
        body: bytes = b"",
        **headers: str,
    ) -> Reply:
        event = self._event(method, path, query, headers | {"content-length": str(len(body))})
        event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
        answer = self.deployment.handler(event)
        said = {name.lower(): value for name, value in answer["headers"].items()}
        pairs = dict(part.split("=") for part in said.pop("x-ccr-backend-calls").split(";"))
        body = base64.b64decode(answer["body"])
        return Reply(answer["statusCode"], said, body, (int(pairs["dynamodb"]), int(pairs["s3"])))

    def api(
        self, method: str, path: str, document: Any = None, query: dict[str, Any] | str = "", **headers: str
    ) -> Reply:
        event = self._event(method, API + path, query, headers | {"content-type": "application/json"})
        event |= {"body": None if document is None else json.dumps(document), "isBase64Encoded": False}
        with counted() as calls:
            answer = self.deployment.manage(event)
        said = {name.lower(): value for name, value in answer["headers"].items()}
        body = (answer.get("body") or "").encode()
        return Reply(answer["statusCode"], said, body, (calls["dynamodb"], calls["s3"]))

    def token(self, *scopes: str, **query: str) -> str:
        """A token for what of `scopes` is granted."""
        reply = self.v2("GET", "/token", {"scope": list(scopes), **query})
        assert reply.status == 200, reply
        return str(reply.document["token"])

    def with_token(self, *scopes: str) -> Caller:
        return replace(self, authorization=f"Bearer {self.token(*scopes)}")

    def _event(
        self, method: str, path: str, query: dict[str, Any] | str, headers: dict[str, str]
    ) -> dict[str, Any]:
        raw = query if isinstance(query, str) else urlencode(query, doseq=True)
        named = {"host": "registry.test", **{name.replace("_", "-"): one for name, one in headers.items()}}
        if self.authorization:
            named["authorization"] = self.authorization
        return {
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": raw,
            "queryStringParameters": dict(parse_qsl(raw, keep_blank_values=True)) or None,
            "headers": named,
            "requestContext": {
                "stage": "$default",
                "http": {"method": method, "path": path, "sourceIp": self.address},
            },
        }
