"""Registry tokens: short-lived JWTs of the Docker token specification, signed with HS256."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import jwt

from chalicelib.identity.credentials import Credential, Secret
from chalicelib.identity.grants import Principal, Scope

LIFETIME_SECONDS: Final = 15 * 60
REFRESH_SECONDS: Final = 30 * 24 * 3600
_ALGORITHM: Final = "HS256"
_REQUIRED: Final = ["exp", "nbf", "iat", "iss", "aud", "sub"]
_SKEW_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Tokens:
    """`keys`: the first signs, all verify, so that keys rotate with overlap.

    `service` is both issuer and audience: a token is good in the deployment that made it.
    """

    keys: Sequence[bytes] = field(repr=False)
    service: str
    clock: Callable[[], float] = time.time

    def issue(self, principal: Principal, expires: int | None = None) -> tuple[str, int]:
        """A token for what `principal` was granted, and when it was issued (epoch seconds).

        `expires` is when the credential does: no token outlives it.
        """
        now, lifetime = int(self.clock()), self.lifetime(expires)
        claims = self._claims(principal.id, principal.generation, self.service, now, lifetime) | {
            "account": principal.account,
            "at": principal.issued,
            "ends": principal.expires,
            "everywhere": sorted(principal.everywhere),
            "access": [
                {"type": s.kind, "name": s.name, "actions": list(s.actions)} for s in principal.access
            ],
        }
        return self._encode(claims), now

    def lifetime(self, expires: int | None) -> int:
        """Seconds, of a token that is issued now to a credential that expires then."""
        left = LIFETIME_SECONDS if expires is None else expires - int(self.clock())
        return min(LIFETIME_SECONDS, left)

    def verify(self, token: str) -> Principal | None:
        """What the token is good for, or None whatever is wrong with it."""
        claims = self._decode(token, self.service)
        return None if claims is None else _principal(claims)

    def issue_refresh(self, credential: Credential, secret: Secret) -> str:
        """What stands in for that secret at `/token`: `REFRESH_SECONDS`, while it and the generation last."""
        now = int(self.clock())
        ends = [one for one in (credential.expires, secret.expires) if one is not None]
        lifetime = min([REFRESH_SECONDS, *(end - now for end in ends)])
        audience = self._refresh_audience()
        claims = self._claims(credential.id, credential.generation, audience, now, lifetime)
        return self._encode({**claims, "secret": secret.id})

    def read_refresh(self, token: str) -> tuple[str, int, str] | None:
        """The credential's id and generation, and the id of the secret; None whatever is wrong."""
        claims = self._decode(token, self._refresh_audience())
        if claims is None:
            return None
        return str(claims["sub"]), int(claims["gen"]), str(claims.get("secret", ""))

    def _refresh_audience(self) -> str:
        return f"{self.service}/refresh"

    def _claims(
        self, subject: str, generation: int, audience: str, now: int, lifetime: int
    ) -> dict[str, Any]:
        return {
            "iss": self.service,
            "aud": audience,
            "sub": subject,
            "gen": generation,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "jti": secrets.token_hex(8),
        }

    def _encode(self, claims: dict[str, Any]) -> str:
        key = self.keys[0]
        return jwt.encode(claims, key, _ALGORITHM, headers={"kid": key_id(key)})

    def _decode(self, token: str, audience: str) -> dict[str, Any] | None:
        try:
            wanted = jwt.get_unverified_header(token).get("kid")
            key = next((key for key in self.keys if key_id(key) == wanted), None)
            if key is None:
                return None
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                audience=audience,
                issuer=self.service,
                leeway=_SKEW_SECONDS,
                options={"require": [*_REQUIRED, "gen"], "strict_aud": True},
            )
        except (jwt.InvalidTokenError, RecursionError):
            # A header nested a thousand deep is JSON, too.
            return None
        # The leeway is for a clock that is ahead; that a token ends is never put off.
        return claims if claims["exp"] > self.clock() else None


def key_id(key: bytes) -> str:
    """Tells keys apart, and nothing of the key."""
    return hashlib.sha256(b"kid\0" + key).hexdigest()[:16]


def _principal(claims: dict[str, Any]) -> Principal:
    return Principal(
        id=claims["sub"],
        account=claims["account"],
        access=tuple(Scope(e["type"], e["name"], tuple(e["actions"])) for e in claims["access"]),
        everywhere=frozenset(claims["everywhere"]),
        generation=int(claims["gen"]),
        issued=int(claims.get("at", 0)),
        expires=claims.get("ends"),
    )
