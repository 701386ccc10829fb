"""`/token`: a credential against a token, as GET with Basic or as OAuth2 POST.

https://distribution.github.io/distribution/spec/auth/oauth/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs

from chalicelib.endpoints.authenticate import by_secret, locked, registries_of, sign_in
from chalicelib.endpoints.event import Request
from chalicelib.endpoints.responses import Response, as_json
from chalicelib.endpoints.services import Call, Services
from chalicelib.identity.audit import Record
from chalicelib.identity.credentials import granted
from chalicelib.identity.grants import Scope, parse_scopes
from chalicelib.identity.sign_in import LockedError, SignedIn
from chalicelib.spec.errors import ErrorCode, RegistryError

FORM_LIMIT: Final = 64 * 1024
SCOPES_LIMIT: Final = 50
_TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name of OAuth

Form = Mapping[str, list[str]]


def issue(services: Services, call: Call) -> Response:
    """Raises UNAUTHORIZED (401), UNSUPPORTED (400) for other grant types, TOOMANYREQUESTS (429)."""
    request = call.request
    if request.method == "POST":
        form = _form(request)
        scopes = _scopes(form.get("scope", []))
        signed_in = _by_grant(services, request, form, scopes)
        wants_refresh = form.get("access_type") == ["offline"]
    else:
        scopes = _scopes(request.every("scope"))
        signed_in = sign_in(services, request, scopes)
        wants_refresh = request.first("offline_token") == "true"
    if signed_in is None:
        raise _unauthorized(services)
    return _answer(services, request, signed_in, scopes, wants_refresh=wants_refresh)


def _scopes(texts: list[str]) -> list[Scope]:
    scopes = parse_scopes(texts)
    if len(scopes) > SCOPES_LIMIT:
        message = f"at most {SCOPES_LIMIT} scopes in one request"
        raise RegistryError(ErrorCode.UNSUPPORTED, message, status=400)
    return scopes


def _form(request: Request) -> dict[str, list[str]]:
    """Anybody may send one, so it is small. Raises SIZE_INVALID (413)."""
    body = request.body()
    if len(body) > FORM_LIMIT:
        raise RegistryError(
            ErrorCode.SIZE_INVALID, f"a form has at most {FORM_LIMIT} bytes; ask for fewer scopes", status=413
        )
    return parse_qs(body.decode(errors="replace"))


def _by_grant(services: Services, request: Request, form: Form, scopes: list[Scope]) -> SignedIn | None:
    kind = form.get("grant_type", [""])[0]
    grant = _GRANTS.get(kind)
    if grant is None:
        message = f"this registry takes grant_type {', '.join(_GRANTS)}"
        raise RegistryError(ErrorCode.UNSUPPORTED, message, status=400)
    return grant(services, request, form, scopes)


def _by_password(services: Services, request: Request, form: Form, scopes: list[Scope]) -> SignedIn | None:
    return by_secret(services, request, _one(form, "username"), _one(form, "password"), scopes)


def _by_id_token(services: Services, request: Request, form: Form, scopes: list[Scope]) -> SignedIn | None:
    """RFC 8693: `client_id` names the trust, `subject_token` is the ID token."""
    return by_secret(services, request, _one(form, "client_id"), _one(form, "subject_token"), scopes)


def _by_refresh(services: Services, request: Request, form: Form, scopes: list[Scope]) -> SignedIn | None:
    named = services.tokens.read_refresh(_one(form, "refresh_token"))
    if named is None:
        return None
    try:
        return services.sign_in.by_generation(*named, request.source_ip, registries_of(scopes))
    except LockedError as error:
        raise locked(error) from error


_GRANTS: Final[dict[str, Callable[[Services, Request, Form, list[Scope]], SignedIn | None]]] = {
    "password": _by_password,
    "refresh_token": _by_refresh,
    _TOKEN_EXCHANGE: _by_id_token,
}


def _one(form: Form, name: str) -> str:
    return form.get(name, [""])[0]


def _answer(
    services: Services, request: Request, signed_in: SignedIn, scopes: list[Scope], *, wants_refresh: bool
) -> Response:
    credential = signed_in.credential
    allowed = granted(credential, scopes, services.opening.opened(signed_in, scopes))
    token, issued = services.tokens.issue(credential.principal(allowed), credential.expires)
    scope = " ".join(str(one) for one in allowed)
    detail = {"scope": scope}
    at = int(time.time() * 1000)
    record = Record(
        credential.account, at, credential.id, "login", credential.id, request.source_ip, "ok", detail
    )
    services.trail.write(record)
    document = {
        "token": token,
        "access_token": token,
        "expires_in": services.tokens.lifetime(credential.expires),
        "issued_at": datetime.fromtimestamp(issued, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "scope": scope,
    }
    # What an ID token proved is short-lived by nature, so nothing longer-lived is made of it.
    if wants_refresh and credential.trust is None:
        document["refresh_token"] = services.tokens.issue_refresh(credential)
    return as_json(document, headers={"Cache-Control": "no-store"})


def _unauthorized(services: Services) -> RegistryError:
    headers = {"WWW-Authenticate": f'Basic realm="{services.settings.service}"'}
    return RegistryError(ErrorCode.UNAUTHORIZED, "wrong user name or password", headers=headers)
