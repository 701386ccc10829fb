"""Registry tokens: short-lived JWTs of the Docker token specification, signed with HS256."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import jwt

from chalicelib.identity.grants import CATALOG, Grant, Principal, Scope

LIFETIME_SECONDS: Final = 15 * 60
_ALGORITHM: Final = "HS256"
_REQUIRED: Final = ["exp", "nbf", "iat", "iss", "aud", "sub"]
_SKEW_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Tokens:
    """`service` is both issuer and audience: a token is good in the deployment that made it."""

    key: bytes = field(repr=False)
    service: str
    clock: Callable[[], float] = time.time

    def issue(self, principal: Principal, scopes: Sequence[Scope]) -> tuple[str, int]:
        """A token for `scopes`, which must have been granted, and when it was issued (epoch seconds)."""
        now = int(self.clock())
        claims = {
            "iss": self.service,
            "aud": self.service,
            "sub": principal.id,
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME_SECONDS,
            "jti": secrets.token_hex(8),
            "account": principal.account,
            "everywhere": sorted(principal.everywhere),
            "access": [{"type": s.kind, "name": s.name, "actions": list(s.actions)} for s in scopes],
        }
        return jwt.encode(claims, self.key, _ALGORITHM), now

    def verify(self, token: str) -> Principal | None:
        """What the token is good for, or None whatever is wrong with it."""
        try:
            claims = jwt.decode(
                token,
                self.key,
                algorithms=[_ALGORITHM],
                audience=self.service,
                issuer=self.service,
                leeway=_SKEW_SECONDS,
                options={"require": _REQUIRED},
            )
        except jwt.InvalidTokenError:
            return None
        return _principal(claims)


def _principal(claims: dict[str, Any]) -> Principal:
    access = claims["access"]
    return Principal(
        id=claims["sub"],
        account=claims["account"],
        grants=tuple(_Exactly(e["name"], frozenset(e["actions"])) for e in access if e["type"] != "registry"),
        may_list=any(e["type"] == "registry" and CATALOG in e["actions"] for e in access),
        everywhere=frozenset(claims["everywhere"]),
    )


class _Exactly(Grant):
    """A token names repositories; nothing in a name is a pattern."""

    __slots__ = ()

    def allows(self, action: str, name: str) -> bool:
        return action in self.actions and name == self.pattern
