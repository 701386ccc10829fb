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


_SAID_LIMIT: Final = 200
_REASONS: Final = (
    (jwt.ExpiredSignatureError, "the token has expired"),
    (jwt.ImmatureSignatureError, "the token is not valid yet"),
    (jwt.InvalidSignatureError, "the signature is not the issuer's"),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The claims of a token that is trusted; or None, and why for the audit trail: never for the client."""

    claims: Mapping[str, object] | None
    reason: str = ""


class _DistrustError(Exception):
    """Its message is the reason."""


class KeySource(Protocol):
    def fetch(self, issuer: str) -> Mapping[str, Any]:
        """The JWKS of an issuer, found through its discovery document. Raises OSError, ValueError."""
        ...


@dataclass(slots=True)
class _Issuer:
    """What is known of one; the lock is its own, so that a slow one keeps no other waiting."""

    by_id: dict[str, dict[str, Any]] = field(default_factory=dict)
    problem: str = ""
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

    def verify(self, token: str, trust: Trust) -> Verdict:
        """Distrust is for whatever is wrong: signature, issuer, audience, time, subject, claims."""
        said: dict[str, Any] = {}
        try:
            # Not proved yet; but whoever does not even say the right thing makes nobody fetch anything.
            said = jwt.decode(token, options={"verify_signature": False})
            _check_trusted(said, trust)
            claims = self._proved(token, trust)
            _check_trusted(claims, trust)
            return Verdict(claims)
        except _DistrustError as error:
            return Verdict(None, str(error))
        except _WRONG as error:
            return Verdict(None, _reason(error, said))

    def _proved(self, token: str, trust: Trust) -> dict[str, Any]:
        key = self._key(trust.issuer, jwt.get_unverified_header(token))
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=trust.audience,
            issuer=trust.issuer,
            leeway=SKEW_SECONDS,
            options={"require": _REQUIRED},
        )
        return claims

    def _key(self, issuer: str, header: Mapping[str, Any]) -> jwt.PyJWK:
        """The key that the header names, for the algorithm that it names. Raises _DistrustError."""
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise _DistrustError(f"the token is signed with {_said(header, 'alg')}, which is not taken")
        entry = self._entry(issuer, header.get("kid", ""))
        if entry is None:
            problem = self._issuer(issuer).problem
            raise _DistrustError(problem or f"the issuer has no key {_said(header, 'kid')}")
        if entry.get("alg", algorithm) != algorithm:
            raise _DistrustError(f"the key {_said(header, 'kid')} of the issuer is for another algorithm")
        return jwt.PyJWK(entry, algorithm)

    def _entry(self, name: str, id_: str) -> dict[str, Any] | None:
        """None where the issuer has no such key, or does not say which it has."""
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
            issuer.fetched, wait, issuer.problem = self.clock(), AGAIN_SECONDS, ""
        except _WRONG as error:
            issuer.problem = f"the keys of the issuer cannot be fetched: {error}"[:_SAID_LIMIT]
        finally:
            issuer.again = self.clock() + wait


def _signing_keys(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By their id; one that cannot be read fails those alone who name it."""
    entries = [entry for entry in document["keys"][:KEYS] if isinstance(entry, dict)]
    return {str(entry.get("kid", "")): entry for entry in entries if entry.get("use", "sig") == "sig"}


def _check_trusted(claims: Mapping[str, Any], trust: Trust) -> None:
    """Raises _DistrustError; KeyError and TypeError for claims that are missing or none."""
    if claims.get("iss") != trust.issuer:
        raise _DistrustError(f"the token is of the issuer {_said(claims, 'iss')}")
    if not isinstance(claims["sub"], str):
        raise _DistrustError("the subject is no text")
    if claims["exp"] - claims["iat"] > LONGEST_SECONDS:
        raise _DistrustError(f"the token lives longer than {LONGEST_SECONDS // 3600} hours")
    # A token for several audiences is in the hands of each, and may name the one that it was made for.
    is_shared = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if is_shared and claims.get("azp", trust.audience) != trust.audience:
        raise _DistrustError(f"the token was made for {_said(claims, 'azp')}, beside its audience")
    for name, pattern in [("sub", trust.subject), *trust.claims.items()]:
        if not _is_like(claims.get(name), pattern):
            what = "the subject" if name == "sub" else f"the claim {name}"
            raise _DistrustError(
                f"{what} is {_said(claims, name)}, and not as {pattern!r}"[: 2 * _SAID_LIMIT]
            )


def _reason(error: Exception, said: Mapping[str, Any]) -> str:
    """Of what the library and the issuer's documents come to."""
    if isinstance(error, jwt.InvalidAudienceError):
        return f"the token is for the audience {_said(said, 'aud')}"
    if isinstance(error, jwt.MissingRequiredClaimError | KeyError):
        return f"the token has no {getattr(error, 'claim', error.args[0])}"
    known = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "")
    return known or ("the token or its key cannot be read" if said else "this is no ID token")


def _said(document: Mapping[str, Any], name: str) -> str:
    """What a stranger wrote, short enough for a record."""
    return repr(document.get(name))[:_SAID_LIMIT]


def _is_like(value: object, pattern: str) -> bool:
    """`*` is any text and nothing else is special. True and false are written so."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str):
        return False
    escaped = pattern.replace("[", "[[]").replace("?", "[?]")
    return fnmatch.fnmatchcase(value, escaped)
