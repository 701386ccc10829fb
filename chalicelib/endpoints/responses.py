"""Answers, and how a function URL says them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from chalicelib.spec.errors import RegistryError


@dataclass(slots=True)
class Response:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def to_event(self) -> dict[str, Any]:
        """Base64 throughout: a manifest of quotes alone would outgrow 6 MiB as a JSON string."""
        return {
            "statusCode": self.status,
            "headers": {
                **self.headers,
                "Content-Length": self.headers.get("Content-Length", str(len(self.body))),
            },
            "body": base64.b64encode(self.body).decode(),
            "isBase64Encoded": True,
        }


def as_json(
    document: object,
    *,
    status: int = 200,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Response:
    body = json.dumps(document, ensure_ascii=False).encode(errors="replace")
    return Response(status, {"Content-Type": content_type, **(headers or {})}, body)


def refusal(error: RegistryError) -> Response:
    """The error envelope of `spec.md#error-codes`."""
    return as_json(error.envelope(), status=error.status, headers=error.headers)


def next_page(path: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """`Link` of RFC 5988 to what follows, as `spec.md#listing-tags` wants it."""
    return {"Link": f'<{path}?{urlencode(parameters)}>; rel="next"'}
