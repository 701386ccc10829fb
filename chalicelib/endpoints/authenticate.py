"""Who is calling, may they, and what to tell them when not: Bearer, Basic, and the challenge.

https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chalicelib.endpoints.event import Request
from chalicelib.endpoints.services import Services
from chalicelib.identity.audit import Record
from chalicelib.identity.credentials import granted
from chalicelib.identity.grants import ACTIONS, CATALOG, PULL, PUSH, Principal, Scope
from chalicelib.identity.names import REGISTRY_LIMIT
from chalicelib.identity.sign_in import USED_EVERY_SECONDS, LockedError, SignedIn
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import check_name

_HOST: Final = re.compile(r"([A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a client must ask its token for."""

    realm: str
    service: str
    scope: str = ""

    def header(self, error: str = "") -> dict[str, str]:
        parts = {"realm": self.realm, "service": self.service, "scope": self.scope, "error": error}
        text = ",".join(f'{key}="{value}"' for key, value in parts.items() if value)
        return {"WWW-Authenticate": f"Bearer {text}"}


def base_url(services: Services, request: Request) -> str:
    """Where clients reach this deployment, without a slash at the end. Raises UNSUPPORTED (400)."""
    if services.settings.public_url:
        return services.settings.public_url
    host = request.headers.get("host")
    if host is not None and not _HOST.fullmatch(host):
        message = "the Host header is no host and port, which the challenge would have to name"
        raise RegistryError(ErrorCode.UNSUPPORTED, message, status=400)
    scheme = "http" if request.headers.get("x-forwarded-proto") == "http" else "https"
    return f"{scheme}://{host or ''}"


def authorise(
    services: Services, request: Request, action: str, name: str, challenge: Challenge
) -> Principal:
    """The caller, who may do `action` on the repository `name` (both may be '').

    Raises UNAUTHORIZED (401) with the challenge; DENIED (403) to Basic callers, for whom another token
    would change nothing, whether the repository exists or not; TOOMANYREQUESTS (429) after many failures;
    NAME_INVALID (400) to any caller who has proved who they are: there is nothing to have a right to.
    """
    is_bearer = request.headers.get("authorization", "").partition(" ")[0].lower() == "bearer"
    by = _by_token if is_bearer else _by_basic
    principal = by(services, request, action, name)
    if principal is None:
        message = "authentication required: log in with a credential of this registry"
        error = "invalid_token" if is_bearer else ""
        raise RegistryError(ErrorCode.UNAUTHORIZED, message, headers=challenge.header(error))
    if name:
        check_name(name)
    if _may(principal, action, name):
        return principal
    if is_bearer:
        message = (
            f"the token does not allow {action or 'this'} here; ask for one with the scope of the challenge"
        )
        headers = challenge.header("insufficient_scope")
        raise RegistryError(ErrorCode.UNAUTHORIZED, message, headers=headers)
    raise RegistryError(ErrorCode.DENIED, f"this credential may not {action} here")


def stands(services: Services, principal: Principal, name: str) -> bool:
    """Without a read, but for a look at what was revoked now and then. `name` may be ''."""
    if not services.revocations.stand(principal.id, principal.generation):
        return False
    registry = name.partition("/")[0]
    return not registry or services.revocations.reach(registry, principal.issued)


def by_token(services: Services, token: str) -> Principal | None:
    """Whoever a registry token was given to, while it stands for all that it grants."""
    principal = services.tokens.verify(token)
    if principal is None:
        return None
    names = {scope.name for scope in principal.access if scope.is_repository} or {""}
    return principal if all(stands(services, principal, name) for name in names) else None


def sign_in(services: Services, request: Request, scopes: Sequence[Scope]) -> SignedIn | None:
    """The credential of a Basic header; None where there is none or it is wrong. Raises TOOMANYREQUESTS."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        id_, colon, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return by_secret(services, request, id_, secret, scopes) if colon else None


def by_secret(
    services: Services,
    request: Request,
    id_: str,
    secret: str,
    scopes: Sequence[Scope],
    *,
    is_exchange: bool = False,
) -> SignedIn | None:
    """Raises TOOMANYREQUESTS (429)."""
    named = registries_of(scopes)
    try:
        return services.sign_in.by_secret(id_, secret, request.source_ip, named, is_exchange=is_exchange)
    except LockedError as error:
        raise locked(error) from error


def locked(error: LockedError) -> RegistryError:
    headers = {"Retry-After": str(error.seconds)}
    return RegistryError(ErrorCode.TOOMANYREQUESTS, error.message, headers=headers)


def registries_of(scopes: Sequence[Scope]) -> set[str]:
    """Those that could be there; what is too long for a name is too long for a key."""
    names = {scope.registry for scope in scopes if scope.is_repository}
    return {name for name in names if 0 < len(name) <= REGISTRY_LIMIT}


def scope_for(action: str, name: str) -> str:
    """The scope that a client needs: whoever pushes also pulls, to see what is there."""
    if not name:
        return action
    actions = f"{PULL},{PUSH}" if action == PUSH else action
    return f"repository:{name}:{actions}"


def _by_token(services: Services, request: Request, _action: str, name: str) -> Principal | None:
    token = request.headers["authorization"].partition(" ")[2].strip()
    principal = services.tokens.verify(token)
    return principal if principal is not None and stands(services, principal, name) else None


def _by_basic(services: Services, request: Request, action: str, name: str) -> Principal | None:
    """Everything that the credential may do on what the request names."""
    names = [one for one in (name, request.first("from")) if one]
    scopes = [Scope("repository", one, ACTIONS) for one in names]
    scopes.append(Scope("registry", "catalog", (CATALOG,)))
    signed_in = sign_in(services, request, scopes)
    if signed_in is None:
        return None
    _tell_login(services, request, signed_in)
    registries = services.opening.opened(signed_in, scopes) if action == PUSH else signed_in.registries
    access = granted(signed_in.credential, scopes, registries)
    return signed_in.principal(access)


def _tell_login(services: Services, request: Request, signed_in: SignedIn) -> None:
    """Basic comes with every request: told once for as long as its last use is not written anew."""
    credential = signed_in.credential
    if services.sign_in.clock() - credential.used <= USED_EVERY_SECONDS:
        return
    at, detail = int(time.time() * 1000), {"by": "basic"}
    record = Record(
        credential.account, at, credential.id, "login", credential.id, request.source_ip, "ok", detail
    )
    services.trail.write(record)


def _may(principal: Principal, action: str, name: str) -> bool:
    if not action:
        return True
    return principal.allows(action, name) if name else principal.may_list
