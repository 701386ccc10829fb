"""Capabilities: the right to write to one upload, in its URL, signed and short-lived."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from chalicelib.identity.grants import Principal

LIFETIME_SECONDS: Final = 3600
_MAC_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class Capabilities:
    """`<bearer>.<mac>`; each answer carries a fresh one, so that a slow push goes on.

    The bearer is who opened the upload, of which account, with which generation of the credential, until
    when, when it was looked at whether they may, and when the credential expires.
    `keys`: the first signs, all verify.
    """

    keys: Sequence[bytes] = field(repr=False)
    clock: Callable[[], float] = time.time

    def issue(self, principal: Principal, repository: str, session: str) -> str:
        expiry, ends = int(self.clock()) + LIFETIME_SECONDS, principal.expires
        if ends is not None:
            expiry = min(expiry, ends)
        told = [principal.account, principal.id, principal.generation, expiry, principal.issued, ends]
        bearer = _encode(json.dumps(told).encode())
        return f"{bearer}.{_mac(self.keys[0], bearer, repository, session)}"

    def verify(self, capability: str, repository: str, session: str) -> Principal | None:
        """Whoever may write to that session, or None whatever is wrong."""
        bearer, _, mac = capability.partition(".")
        if not any(
            hmac.compare_digest(
                mac.encode(errors="surrogatepass"), _mac(key, bearer, repository, session).encode()
            )
            for key in self.keys
        ):
            return None
        account, id_, generation, expiry, issued, *ends = json.loads(_decode(bearer))
        if expiry <= self.clock():
            return None
        # One that was given out before this was told in it has none.
        return Principal(
            id_, account, generation=generation, issued=issued, expires=ends[0] if ends else None
        )


def derive_key(secret: bytes, purpose: str) -> bytes:
    """Keys of different purposes from one secret: what signs tokens never signs capabilities."""
    return hmac.digest(secret, purpose.encode(), "sha256")


def capability_keys(token_keys: Iterable[bytes]) -> list[bytes]:
    """All that whoever only checks capabilities is given of the keys that sign tokens."""
    return [derive_key(key, "capability") for key in token_keys]


def _mac(key: bytes, bearer: str, repository: str, session: str) -> str:
    text = f"upload\0{bearer}\0{repository}\0{session}"
    return _encode(hmac.digest(key, text.encode(errors="surrogatepass"), "sha256")[:_MAC_BYTES])


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return b""
