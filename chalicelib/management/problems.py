"""Refusals of the management API: problem details of RFC 9457."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from aws_lambda_powertools.event_handler import Response

from chalicelib.identity.refusals import RefusedError
from chalicelib.spec.errors import RegistryError

PROBLEM_JSON: Final = "application/problem+json"


@dataclass(slots=True)
class ProblemError(Exception):
    """One that the transport itself finds."""

    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)


def problem(
    status: int, detail: str, *, headers: Mapping[str, str] | None = None, errors: Sequence[Any] = ()
) -> Response[str]:
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        document["errors"] = list(errors)
    told = {**(headers or {}), **({"Cache-Control": "no-store"} if status == 401 else {})}
    return Response(status, PROBLEM_JSON, json.dumps(document), headers=told)


def of_refusal(error: RefusedError) -> Response[str]:
    return problem(error.reason.value, error.message)


def of_registry_error(error: RegistryError) -> Response[str]:
    """What the registry's own verbs refuse: promotion and deletion use them."""
    return problem(error.status, f"{error.code.name}: {error.message}", headers=error.headers)
