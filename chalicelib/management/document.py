"""The OpenAPI document: what the resolver derives from the routes, and what it cannot know of them.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from typing import Any, Final

from aws_lambda_powertools.event_handler import LambdaFunctionUrlResolver
from aws_lambda_powertools.event_handler.openapi.models import HTTPBase, SecuritySchemeType

from chalicelib.management.problems import PROBLEM_JSON

Document = dict[str, Any]

_PROBLEM: Final[Document] = {
    "type": "object",
    "description": "Problem details of RFC 9457.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what to do"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
    "additionalProperties": False,
}
_ALWAYS: Final = {
    400: "it cannot be read, or a name in it has not the form of one",
    401: "no credential, or none that is known",
    403: "this credential may not do that",
    404: "not there, or not for this credential to see",
    422: "not what this operation takes",
    429: "too many failed logins, or too many requests",
    503: "try again",
}
_OF_CHANGES: Final = {
    409: "what is there is in the way",
    412: "it has changed since it was read (If-Match)",
}
_OF_BODIES: Final = {
    413: "the body is too long",
    415: "the body is not application/json",
}
_HEADERS: Final = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    429: {"Retry-After": {"required": True, "schema": {"type": "string"}, "description": "seconds"}},
}


def openapi(app: LambdaFunctionUrlResolver) -> Document:
    """OpenAPI 3.1."""
    document: Document = app.get_openapi_schema(
        title="CloudRaya Container Registry",
        version="1",
        description=(
            "Accounts, projects, registries, credentials, promotion and audit. A POST with an "
            "Idempotency-Key happens once. An ETag given back as If-Match guards a change."
        ),
        security_schemes={"basic": HTTPBase(scheme="basic", type=SecuritySchemeType.http)},
        security=[{"basic": []}],
    ).model_dump(mode="json", by_alias=True, exclude_none=True)
    for path in document["paths"].values():
        for method, operation in path.items():
            operation["responses"] = _responses(method, operation)
    schemas = document["components"]["schemas"]
    # Refusals are problem details here, never these.
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas["Problem"] = _PROBLEM
    return document


def _responses(method: str, operation: Document) -> Document:
    good = {
        status: _without_content(response) if status == "204" else response
        for status, response in operation["responses"].items()
        if status.startswith("2") and not (status == "200" and {"201", "204"} & set(operation["responses"]))
    }
    refusals = dict(_ALWAYS)
    if method != "get":
        refusals |= _OF_CHANGES
    if "requestBody" in operation:
        refusals |= _OF_BODIES
    return good | {str(status): _refusal(status, text) for status, text in sorted(refusals.items())}


def _without_content(response: Document) -> Document:
    return {name: value for name, value in response.items() if name != "content"}


def _refusal(status: int, description: str) -> Document:
    refusal: Document = {
        "description": description,
        "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in _HEADERS:
        refusal["headers"] = _HEADERS[status]
    return refusal
