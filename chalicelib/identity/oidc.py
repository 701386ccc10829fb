"""ID tokens of OpenID Connect issuers, against a trust: pinned algorithms, bounded clock skew, cached keys.

https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
"""

from __future__ import annotations

import fnmatch
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import jwt

from chalicelib.identity.credentials import Trust

# Asymmetric ones only: with HS256 the issuer's public key would do as the secret.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
SKEW_SECONDS: Final = 60
KEYS_SECONDS: Final = 600
AGAIN_SECONDS: Final = 30
# After an issuer has not answered; everybody who asks in between is refused.
RETRY_SECONDS: Final = 5
# An honest issuer has answered by then. Who waits holds a thread of the registry, so few do.
WAIT_SECONDS: Final = 1.0
WAITERS: Final = 8
ISSUERS: Final = 100
KEYS: Final = 100
LONGEST_SECONDS: Final = 24 * 3600
_REQUIRED: Final = ["exp", "iat", "iss", "aud", "sub"]
# All that a stranger's token and an issuer's documents can come to, in this library and in JSON.
_WRONG: Final = (
    jwt.PyJWTError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
)


class KeySource(Protocol):
    def fetch(self, issuer: str) -> Mapping[str, Any]:
        """The JWKS of an issuer, found through its discovery document. Raises OSError, ValueError."""
        ...


@dataclass(slots=True)
class _Issuer:
    """What is known of one; the lock is its own, so that a slow one keeps no other waiting."""

    by_id: dict[str, dict[str, Any]] = field(default_factory=dict)
    fetched: float = -math.inf
    again: float = -math.inf
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(slots=True)
class IdTokenVerifier:
    """Keys are kept for `KEYS_SECONDS`; an unknown key id asks again, `AGAIN_SECONDS` apart at the least."""

    source: KeySource
    clock: Callable[[], float] = time.time
    _issuers: OrderedDict[str, _Issuer] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _waiting: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(WAITERS))

    def verify(self, token: str, trust: Trust) -> Mapping[str, object] | None:
        """The claims, or None whatever is wrong: signature, issuer, audience, time, subject, claims."""
        try:
            # Not proved yet; but whoever does not even say the right thing makes nobody fetch anything.
            said = jwt.decode(token, options={"verify_signature": False})
            if said.get("iss") != trust.issuer or not _is_trusted(said, trust):
                return None
            key = self._key(trust.issuer, jwt.get_unverified_header(token))
            if key is None:
                return None
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=trust.audience,
                issuer=trust.issuer,
                leeway=SKEW_SECONDS,
                options={"require": _REQUIRED},
            )
            return claims if _is_trusted(claims, trust) else None
        except _WRONG:
            return None

    def _key(self, issuer: str, header: Mapping[str, Any]) -> jwt.PyJWK | None:
        """The key that the header names, for the algorithm that it names."""
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            return None
        entry = self._entry(issuer, header.get("kid", ""))
        if entry is None or entry.get("alg", algorithm) != algorithm:
            return None
        return jwt.PyJWK(entry, algorithm)

    def _entry(self, name: str, id_: str) -> dict[str, Any] | None:
        issuer = self._issuer(name)
        if (id_ not in issuer.by_id or self._is_old(issuer)) and self._takes(issuer.lock):
            try:
                if (id_ not in issuer.by_id or self._is_old(issuer)) and self.clock() >= issuer.again:
                    self._fetch(name, issuer)
            finally:
                issuer.lock.release()
        return None if self._is_old(issuer) else issuer.by_id.get(id_)

    def _takes(self, lock: threading.Lock) -> bool:
        """Not for as long as an issuer likes to take."""
        if lock.acquire(blocking=False):
            return True
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            return lock.acquire(timeout=WAIT_SECONDS)
        finally:
            self._waiting.release()

    def _issuer(self, name: str) -> _Issuer:
        with self._lock:
            issuer = self._issuers.setdefault(name, _Issuer())
            self._issuers.move_to_end(name)
            while len(self._issuers) > ISSUERS:
                self._issuers.popitem(last=False)
        return issuer

    def _is_old(self, issuer: _Issuer) -> bool:
        return self.clock() - issuer.fetched >= KEYS_SECONDS

    def _fetch(self, name: str, issuer: _Issuer) -> None:
        wait = RETRY_SECONDS
        try:
            issuer.by_id = _signing_keys(self.source.fetch(name))
            issuer.fetched, wait = self.clock(), AGAIN_SECONDS
        finally:
            issuer.again = self.clock() + wait


def _signing_keys(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By their id; one that cannot be read fails those alone who name it."""
    entries = [entry for entry in document["keys"][:KEYS] if isinstance(entry, dict)]
    return {str(entry.get("kid", "")): entry for entry in entries if entry.get("use", "sig") == "sig"}


def _is_trusted(claims: dict[str, Any], trust: Trust) -> bool:
    if not isinstance(claims["sub"], str) or claims["exp"] - claims["iat"] > LONGEST_SECONDS:
        return False
    # A token for several audiences is in the hands of each, and may name the one that it was made for.
    is_shared = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if is_shared and claims.get("azp", trust.audience) != trust.audience:
        return False
    wanted = [("sub", trust.subject), *trust.claims.items()]
    return all(_is_like(claims.get(name), pattern) for name, pattern in wanted)


def _is_like(value: object, pattern: str) -> bool:
    """`*` is any text and nothing else is special. True and false are written so."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str):
        return False
    escaped = pattern.replace("[", "[[]").replace("?", "[?]")
    return fnmatch.fnmatchcase(value, escaped)
