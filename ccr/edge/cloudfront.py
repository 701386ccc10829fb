"""The events that CloudFront makes of HTTP, and what it lets a function answer.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/edge-function-restrictions-all.html
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/lambda-event-structure.html
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from ccr.edge.node import EdgeError

# No function sees these, and none may add them.
HIDDEN: Final = frozenset(
    {
        *("connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "trailer", "upgrade", "x-cache", "x-real-ip"),
    }
)
_HIDDEN_PREFIXES: Final = ("x-accel-", "x-amz-cf-", "x-edge-")
# A function of viewer requests reads these and leaves them as they are.
_READ_ONLY: Final = ("content-length", "host", "transfer-encoding", "via")
_ENCODED: Final = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = re.compile("[A-Za-z0-9._~-]")

Pairs = list[tuple[str, str]]
Scope = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is None where the origin's own goes on."""

    status: int
    headers: Pairs
    body: bytes | None = None


def viewer_event(scope: Mapping[str, Any]) -> dict[str, Any]:
    """Of viewer-request, for an ASGI scope."""
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    shown = [(name, value) for name, value in pairs if not is_hidden(name)]
    shown.append(("cloudfront-forwarded-proto", scope["scheme"]))
    client = scope.get("client") or ("", 0)
    return {
        "version": "1.0",
        "context": {"eventType": "viewer-request"},
        "viewer": {"ip": client[0]},
        "request": {
            "method": scope["method"],
            "uri": scope["raw_path"].decode("latin-1"),
            "querystring": _fields(_query(scope["query_string"].decode("latin-1"))),
            "headers": _fields(shown),
            "cookies": {},
        },
    }


def response_event(event: Mapping[str, Any], request: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    """Of viewer-response; `request` as viewer-request left it."""
    response = {
        "statusCode": answer.status,
        "statusDescription": phrase(answer.status),
        "headers": _fields(answer.headers),
    }
    context = {"eventType": "viewer-response"}
    return {**event, "context": context, "request": dict(request), "response": response}


def lambda_event(request: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    """Of origin-response at Lambda@Edge, whose headers and statuses have another form."""
    asked = {
        "method": request["method"],
        "uri": request["uri"],
        "querystring": query_text(request["querystring"]),
        "headers": _listed(pairs_of(request["headers"])),
    }
    response = {
        "status": str(answer.status),
        "statusDescription": phrase(answer.status),
        "headers": _listed(answer.headers),
    }
    config = {"eventType": "origin-response"}
    return {"Records": [{"cf": {"config": config, "request": asked, "response": response}}]}


def checked_request(event: Mapping[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """The request that viewer-request returned. Raises EdgeError where CloudFront would answer 502."""
    before, after = event["request"]["headers"], result["headers"]
    wrong = [name for name in after if is_hidden(name) or name != name.lower()]
    wrong += [name for name in _READ_ONLY if before.get(name) != after.get(name)]
    if wrong:
        raise EdgeError(f"a function may not change these headers: {', '.join(wrong)}")
    return result


def function_answer(result: Mapping[str, Any], body: bytes | None = None) -> Answer:
    """What a CloudFront function returned as its response."""
    said = result.get("body")
    if said is not None:
        data = str(said["data"])
        body = base64.b64decode(data) if said.get("encoding") == "base64" else data.encode()
    return Answer(int(result["statusCode"]), pairs_of(result["headers"]), body)


def lambda_answer(result: Mapping[str, Any]) -> Answer:
    """What a Lambda@Edge function returned."""
    pairs = [(name, one["value"]) for name, values in result["headers"].items() for one in values]
    body = result.get("body")
    return Answer(int(result["status"]), pairs, None if body is None else str(body).encode())


def pairs_of(fields: Mapping[str, Any]) -> Pairs:
    return [
        (name, str(one["value"]))
        for name, field in fields.items()
        for one in field.get("multiValue") or [field]
    ]


def query_text(fields: Mapping[str, Any]) -> str:
    return "&".join(f"{name}={value}" if value else name for name, value in pairs_of(fields))


def normalized(path: str) -> str:
    """As behaviours are matched (RFC 3986, 6.2.2); functions and origins get the path as it came."""
    kept: list[str] = []
    for segment in _ENCODED.sub(_decoded, path).split("/")[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept)


def _decoded(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if _UNRESERVED.fullmatch(character) else found[0]


def is_hidden(name: str) -> bool:
    return name.lower() in HIDDEN or name.lower().startswith(_HIDDEN_PREFIXES)


def phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ""


def _query(text: str) -> Pairs:
    """As it was sent, undecoded."""
    return [(name, value) for name, _, value in (part.partition("=") for part in text.split("&") if part)]


def _fields(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """`multiValue` where a name comes more than once."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        field = fields.setdefault(name, {"value": value, "multiValue": []})
        field["multiValue"].append({"value": value})
    for field in fields.values():
        if len(field["multiValue"]) == 1:
            del field["multiValue"]
    return fields


def _listed(pairs: Iterable[tuple[str, str]]) -> dict[str, list[dict[str, str]]]:
    headers: dict[str, list[dict[str, str]]] = {}
    for name, value in pairs:
        headers.setdefault(name.lower(), []).append({"key": name, "value": value})
    return headers
