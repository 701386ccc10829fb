"""`/token`: a credential against a token, as GET with Basic or as OAuth2 POST.

https://distribution.github.io/distribution/spec/auth/oauth/, RFC 6749 and, for ID tokens, RFC 8693
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

from chalicelib.endpoints.authenticate import by_secret, locked, registries_of, sign_in
from chalicelib.endpoints.event import Request
from chalicelib.endpoints.responses import Response, as_json
from chalicelib.endpoints.services import Call, Services
from chalicelib.identity.audit import Record
from chalicelib.identity.credentials import granted
from chalicelib.identity.grants import Scope, parse_scopes
from chalicelib.identity.refusals import RefusedError
from chalicelib.identity.sign_in import LockedError, SignedIn
from chalicelib.spec.errors import ErrorCode, RegistryError

FORM_LIMIT: Final = 64 * 1024
_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_TYPE: Final = "urn:ietf:params:oauth:token-type:"
_SUBJECT_TYPES: Final = (f"{_TYPE}id_token", f"{_TYPE}jwt")
_ISSUED_TYPES: Final = (f"{_TYPE}access_token", f"{_TYPE}jwt")
_WRONG: Final = "wrong user name or password"
_NO_STORE: Final = {"Cache-Control": "no-store"}


@dataclass(slots=True)
class OAuthError(RegistryError):
    """A refusal as RFC 6749, 5.2 writes it; the specification's envelope goes beside it, for its clients."""

    error: str = "invalid_request"

    def envelope(self) -> dict[str, Any]:
        # super() does not find the class that `slots` puts in place of this one.
        told = RegistryError.envelope(self)
        return {"error": self.error, "error_description": self.message, **told}


@dataclass(frozen=True, slots=True)
class Form:
    """What an OAuth2 client sent."""

    values: Mapping[str, list[str]] = field(default_factory=dict)

    def one(self, name: str) -> str:
        """Raises OAuthError (400) unless it is there once."""
        if not self.optional(name):
            raise _invalid(f"this grant_type takes {name}")
        return self.optional(name)

    def optional(self, name: str) -> str:
        """Raises OAuthError (400) if it is there twice."""
        values = self.values.get(name, [])
        if len(values) > 1:
            raise _invalid(f"{name} is there more than once")
        return values[0] if values else ""


class Grant(Protocol):
    def __call__(
        self, services: Services, request: Request, form: Form, scopes: list[Scope]
    ) -> SignedIn | None: ...


def issue(services: Services, call: Call) -> Response:
    """Raises UNAUTHORIZED (401), UNSUPPORTED (400) for what is no request, TOOMANYREQUESTS (429)."""
    answer_of = _by_form if call.request.method == "POST" else _by_query
    return answer_of(services, call.request)


def _by_query(services: Services, request: Request) -> Response:
    scopes = _scopes(request.every("scope"))
    signed_in = sign_in(services, request, scopes)
    if signed_in is None:
        raise RegistryError(ErrorCode.UNAUTHORIZED, _WRONG, headers=_challenge(services))
    wants_refresh = request.first("offline_token") == "true"
    return as_json(_issued(services, request, signed_in, scopes, wants_refresh), headers=_NO_STORE)


def _by_form(services: Services, request: Request) -> Response:
    form = _form(request)
    kind = form.optional("grant_type")
    if kind not in _GRANTS:
        raise _invalid(f"this registry takes grant_type {', '.join(_GRANTS)}", "unsupported_grant_type")
    scopes = _scopes(form.values.get("scope", []))
    signed_in = _GRANTS[kind](services, request, form, scopes)
    if signed_in is None:
        error = "invalid_grant" if kind == "refresh_token" else "invalid_client"
        # 401 also for a grant, where RFC 6749 has 400: it is what makes clients of registries log in again.
        raise OAuthError(ErrorCode.UNAUTHORIZED, _WRONG, headers=_challenge(services), error=error)
    wants_refresh = form.values.get("access_type") == ["offline"]
    document = _issued(services, request, signed_in, scopes, wants_refresh)
    document |= {"token_type": "Bearer"}
    if kind == _EXCHANGE:
        document["issued_token_type"] = form.optional("requested_token_type") or _ISSUED_TYPES[0]
    return as_json(document, headers=_NO_STORE)


def _scopes(texts: list[str]) -> list[Scope]:
    try:
        return parse_scopes(texts)
    except RefusedError as error:
        raise _invalid(error.message, "invalid_scope") from error


def _form(request: Request) -> Form:
    """Anybody may send one, so it is small. Raises SIZE_INVALID (413)."""
    body = request.body()
    if len(body) > FORM_LIMIT:
        message = f"a form has at most {FORM_LIMIT} bytes; ask for fewer scopes"
        raise OAuthError(ErrorCode.SIZE_INVALID, message, status=413)
    return Form(parse_qs(body.decode(errors="replace")))


def _by_password(services: Services, request: Request, form: Form, scopes: list[Scope]) -> SignedIn | None:
    return by_secret(services, request, form.one("username"), form.one("password"), scopes)


def _by_id_token(services: Services, request: Request, form: Form, scopes: list[Scope]) -> SignedIn | None:
    """RFC 8693: `client_id` names the trust, `subject_token` is the ID token."""
    if form.one("subject_token_type") not in _SUBJECT_TYPES:
        raise _invalid(f"subject_token_type is one of {', '.join(_SUBJECT_TYPES)}")
    if form.optional("requested_token_type") not in {"", *_ISSUED_TYPES}:
        raise _invalid(f"requested_token_type is one of {', '.join(_ISSUED_TYPES)}")
    if form.optional("actor_token"):
        raise _invalid("this registry takes no actor_token: nobody acts for another here")
    id_, token = form.one("client_id"), form.one("subject_token")
    return by_secret(services, request, id_, token, scopes, is_exchange=True)


def _by_refresh(services: Services, request: Request, form: Form, scopes: list[Scope]) -> SignedIn | None:
    named = services.tokens.read_refresh(form.one("refresh_token"))
    if named is None:
        return None
    try:
        return services.sign_in.by_generation(*named, request.source_ip, registries_of(scopes))
    except LockedError as error:
        raise locked(error) from error


_GRANTS: Final[dict[str, Grant]] = {
    "password": _by_password,
    "refresh_token": _by_refresh,
    _EXCHANGE: _by_id_token,
}


def _issued(
    services: Services,
    request: Request,
    signed_in: SignedIn,
    scopes: list[Scope],
    wants_refresh: bool,  # noqa: FBT001 - its name says it where it is passed
) -> dict[str, Any]:
    credential = signed_in.credential
    request.seen.account, request.seen.actor = credential.account, credential.id
    allowed = granted(credential, scopes, services.opening.opened(signed_in, scopes))
    token, issued = services.tokens.issue(signed_in.principal(allowed), signed_in.expires)
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
        "expires_in": services.tokens.lifetime(signed_in.expires),
        "issued_at": datetime.fromtimestamp(issued, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "scope": scope,
    }
    # What an ID token proved is short-lived by nature, so nothing longer-lived is made of it.
    if wants_refresh and signed_in.secret is not None:
        document["refresh_token"] = services.tokens.issue_refresh(credential, signed_in.secret)
    return document


def _challenge(services: Services) -> dict[str, str]:
    return {"WWW-Authenticate": f'Basic realm="{services.settings.service}"'}


def _invalid(message: str, error: str = "invalid_request") -> OAuthError:
    return OAuthError(ErrorCode.UNSUPPORTED, message, status=400, error=error)
