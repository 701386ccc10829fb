"""HTTP as function URL events, and their answers as HTTP; with AWS's own quirks where asked for.

Emulated with `CCR_EMULATE=function-url`, from https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
and https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: the size of an event,
base64 bodies, `WWW-Authenticate` under another name, HEAD without its body.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from chalicelib.observation.seen import Seen, seen_of
from chalicelib.spec.errors import RegistryError

EVENT_BYTES: Final = 6_291_456
# What the rest of an event takes, so that a body can be refused before all of it is read.
_BODY_BYTES: Final = EVENT_BYTES * 3 // 4
_REMAPPED: Final = "x-amzn-Remapped-www-authenticate"

Headers = list[tuple[bytes, bytes]]
Answer = tuple[int, Headers, bytes]


def to_event(scope: Mapping[str, Any], body: bytes | None) -> dict[str, Any]:
    """`body` is None where it comes beside the event."""
    headers = _joined(scope["headers"])
    headers["x-forwarded-proto"] = _scheme(headers, scope)
    client = scope.get("client") or ("", 0)
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "queryStringParameters": _parameters(query),
        "headers": headers,
        "requestContext": {
            "stage": "$default",
            "domainName": headers.get("host", ""),
            "http": {
                "method": scope["method"],
                "path": path,
                "protocol": f"HTTP/{scope['http_version']}",
                "sourceIp": client[0],
                "userAgent": headers.get("user-agent", ""),
            },
        },
        **({} if body is None else {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}),
    }


def seen_of_scope(scope: Mapping[str, Any]) -> Seen:
    """What is noted of a request as it begins."""
    client = scope.get("client") or ("", 0)
    return seen_of(scope["method"], _joined(scope["headers"]), client[0])


def from_event(answer: Mapping[str, Any]) -> Answer:
    text = answer.get("body") or ""
    body = base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    headers.setdefault("content-length", str(len(body)))
    return answer["statusCode"], _encoded(headers.items()), body


def refusal(error: RegistryError) -> Answer:
    """The error envelope of `spec.md#error-codes`, for what no handler saw."""
    body = json.dumps(error.envelope()).encode()
    headers = {**error.headers, "Content-Type": "application/json", "Content-Length": str(len(body))}
    return error.status, _encoded(headers.items()), body


def is_too_large(event: Mapping[str, Any]) -> bool:
    """Whether Lambda would refuse the event, at `EVENT_BYTES`."""
    return len(json.dumps(event)) > EVENT_BYTES


def too_large() -> Answer:
    """What the front end of a function URL says by itself: no envelope, for no code of ours ran."""
    body = json.dumps({"Message": f"Request must be smaller than {EVENT_BYTES} bytes"}).encode()
    return 413, _encoded([("Content-Type", "application/json"), ("Content-Length", str(len(body)))]), body


def as_function_url(method: str, answer: Answer) -> Answer:
    """What is left of an answer behind a function URL."""
    status, headers, body = answer
    renamed = _REMAPPED.encode()
    headers = [(renamed if name == b"www-authenticate" else name, value) for name, value in headers]
    headers = [(name, value) for name, value in headers if name != b"content-length"]
    headers.append((b"content-length", str(len(body)).encode()))
    return status, headers, b"" if method == "HEAD" else body


def body_limit(*, function_url: bool, manifest_limit: int) -> int:
    """How much of a body to read before it is known to be too large."""
    return _BODY_BYTES if function_url else manifest_limit


def _scheme(headers: Mapping[str, str], scope: Mapping[str, Any]) -> str:
    """A TLS proxy in front is believed: whoever lies to us only misleads itself about its realm."""
    told = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return told if told in {"http", "https"} else str(scope["scheme"])


def _joined(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names in lower case, values of one name joined with commas."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


def _parameters(query: str) -> dict[str, str]:
    """Values of one name joined with commas."""
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    return parameters


def _encoded(pairs: Iterable[tuple[str, str]]) -> Headers:
    return [(name.lower().encode("latin-1"), str(value).encode("latin-1")) for name, value in pairs]
