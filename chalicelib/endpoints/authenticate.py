"""Who is calling, may they, and what to tell them when not: Bearer, Basic, and the challenge.

https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from chalicelib.endpoints.event import Request
from chalicelib.endpoints.services import Services
from chalicelib.identity.grants import PULL, PUSH, Principal
from chalicelib.spec.errors import ErrorCode, RegistryError

_NOBODY: Final = Principal("", "")


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
    """Where clients reach this deployment, without a slash at the end."""
    if services.settings.public_url:
        return services.settings.public_url
    scheme = request.headers.get("x-forwarded-proto", "https")
    return f"{scheme}://{request.headers.get('host', '')}"


def authorise(
    services: Services, request: Request, action: str, name: str, challenge: Challenge
) -> Principal:
    """The caller, who may do `action` on the repository `name` (both may be '').

    Raises UNAUTHORIZED (401) with the challenge, or DENIED (403) to Basic callers, for whom another
    token would change nothing.
    """
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    is_bearer = kind.lower() == "bearer"
    principal = services.tokens.verify(value.strip()) if is_bearer else basic(services, request)
    if principal is None:
        message = "authentication required: log in with a credential of this registry"
        error = "invalid_token" if is_bearer else ""
        raise RegistryError(ErrorCode.UNAUTHORIZED, message, headers=challenge.header(error))
    if _may(principal, action, name):
        return principal
    if is_bearer:
        message = (
            f"the token does not allow {action or 'this'} here; ask for one with the scope of the challenge"
        )
        headers = challenge.header("insufficient_scope")
        raise RegistryError(ErrorCode.UNAUTHORIZED, message, headers=headers)
    raise RegistryError(ErrorCode.DENIED, f"this credential may not {action} here")


def basic(services: Services, request: Request) -> Principal | None:
    """The principal of a Basic header; None where there is none or it is wrong."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        id_, colon, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return services.verifier.verify(id_, secret) if colon else None


def scope_for(action: str, name: str) -> str:
    """The scope that a client needs: whoever pushes also pulls, to see what is there."""
    if not name:
        return action
    actions = f"{PULL},{PUSH}" if action == PUSH else action
    return f"repository:{name}:{actions}"


def _may(principal: Principal, action: str, name: str) -> bool:
    if not action:
        return True
    return principal.allows(action, name) if name else principal.may_list


def by_capability(account: str) -> Principal:
    """Whoever holds the URL of an upload may write to it, and nothing else."""
    return Principal(_NOBODY.id, account)
