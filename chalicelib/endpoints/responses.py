"""Answers, and how a function URL says them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from chalicelib.spec.errors import RegistryError

# For bytes that a client chose: a browser that is shown them runs nothing of them.
INERT: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
}


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
    headers = {**error.headers, "Cache-Control": "no-store"} if error.status == 401 else error.headers
    return as_json(error.envelope(), status=error.status, headers=headers)


def next_page(path: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """`Link` of RFC 5988 to what follows, as `spec.md#listing-tags` wants it."""
    return {"Link": f'<{path}?{urlencode(parameters)}>; rel="next"'}
