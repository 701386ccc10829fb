"""Capabilities: the right to write to one upload, in its URL, signed and short-lived."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

LIFETIME_SECONDS: Final = 3600
_MAC_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class Capabilities:
    """`<expiry in hex>-<mac>`; each answer carries a fresh one, so that a slow push goes on."""

    key: bytes = field(repr=False)
    clock: Callable[[], float] = time.time

    def issue(self, repository: str, session: str) -> str:
        expiry = f"{int(self.clock()) + LIFETIME_SECONDS:x}"
        return f"{expiry}-{self._mac(expiry, repository, session)}"

    def verify(self, capability: str, repository: str, session: str) -> bool:
        expiry, _, mac = capability.partition("-")
        expected = self._mac(expiry, repository, session)
        if not hmac.compare_digest(mac.encode(errors="surrogatepass"), expected.encode()):
            return False
        return int(expiry, 16) > self.clock()

    def _mac(self, expiry: str, repository: str, session: str) -> str:
        text = f"upload\0{expiry}\0{repository}\0{session}"
        digest = hmac.digest(self.key, text.encode(errors="surrogatepass"), "sha256")
        return base64.urlsafe_b64encode(digest[:_MAC_BYTES]).decode()


def derive_key(secret: bytes, purpose: str) -> bytes:
    """Keys of different purposes from one secret: what signs tokens never signs capabilities."""
    return hmac.digest(secret, purpose.encode(), "sha256")
