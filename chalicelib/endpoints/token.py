"""`/token`: a credential against a token, as GET with Basic or as OAuth2 POST with a password.

https://distribution.github.io/distribution/spec/auth/oauth/
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs

from chalicelib.endpoints.authenticate import basic
from chalicelib.endpoints.event import Request
from chalicelib.endpoints.responses import Response, as_json
from chalicelib.endpoints.services import Call, Services
from chalicelib.identity.grants import Principal, granted, parse_scopes
from chalicelib.identity.tokens import LIFETIME_SECONDS
from chalicelib.spec.errors import ErrorCode, RegistryError

FORM_LIMIT: Final = 64 * 1024


def issue(services: Services, call: Call) -> Response:
    """Raises UNAUTHORIZED (401), UNSUPPORTED (400) for other grant types."""
    if call.request.method == "POST":
        form = _form(call.request)
        return _answer(services, _by_password(services, form), form.get("scope", []))
    principal = basic(services, call.request)
    if principal is None:
        raise _unauthorized(services)
    return _answer(services, principal, call.request.every("scope"))


def _form(request: Request) -> dict[str, list[str]]:
    """Anybody may send one, so it is small. Raises SIZE_INVALID (413)."""
    body = request.body()
    if len(body) > FORM_LIMIT:
        raise RegistryError(
            ErrorCode.SIZE_INVALID, f"a form has at most {FORM_LIMIT} bytes; ask for fewer scopes", status=413
        )
    return parse_qs(body.decode(errors="replace"))


def _by_password(services: Services, form: dict[str, list[str]]) -> Principal:
    if form.get("grant_type") != ["password"]:
        message = "this registry takes grant_type=password"
        raise RegistryError(ErrorCode.UNSUPPORTED, message, status=400)
    principal = services.verifier.verify(form.get("username", [""])[0], form.get("password", [""])[0])
    if principal is None:
        raise _unauthorized(services)
    return principal


def _answer(services: Services, principal: Principal, scopes: list[str]) -> Response:
    allowed = granted(principal, parse_scopes(scopes))
    token, issued = services.tokens.issue(principal, allowed)
    return as_json(
        {
            "token": token,
            "access_token": token,
            "expires_in": LIFETIME_SECONDS,
            "issued_at": datetime.fromtimestamp(issued, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "scope": " ".join(str(scope) for scope in allowed),
        },
        headers={"Cache-Control": "no-store"},
    )


def _unauthorized(services: Services) -> RegistryError:
    headers = {"WWW-Authenticate": f'Basic realm="{services.settings.service}"'}
    return RegistryError(ErrorCode.UNAUTHORIZED, "wrong user name or password", headers=headers)
