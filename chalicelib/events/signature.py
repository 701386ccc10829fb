"""Signatures by the Standard Webhooks specification, with secrets that are stored nowhere.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from chalicelib.events.stores import Webhook, WebhookSecret

PREFIX: Final = "whsec_"


class LostKeyError(Exception):
    """The key that a secret was derived from is gone from the settings."""


class WebhookKeys:
    """Derives the secret of each webhook; the first of the keys makes new ones."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._keys = {hashlib.sha256(key).hexdigest()[:16]: key for key in keys}

    def fresh(self, nonce: str) -> WebhookSecret:
        return WebhookSecret(nonce, next(iter(self._keys)))

    def secret(self, webhook: Webhook, secret: WebhookSecret) -> bytes:
        """32 bytes. Raises LostKeyError."""
        key = self._keys.get(secret.key_id)
        if key is None:
            raise LostKeyError
        return hmac.digest(key, f"webhook\0{webhook.key}\0{secret.nonce}".encode(), "sha256")

    def shown(self, webhook: Webhook) -> str:
        """The current secret, as whoever checks signatures is given it. Raises LostKeyError."""
        return PREFIX + base64.b64encode(self.secret(webhook, webhook.secrets[0])).decode()

    def token(self, webhook: Webhook) -> str:
        """What receivers that know no signatures compare with; nobody gets the secret from it.

        Raises LostKeyError.
        """
        mac = hmac.digest(self.secret(webhook, webhook.secrets[0]), b"authorization", "sha256")
        return base64.urlsafe_b64encode(mac).decode().rstrip("=")

    def headers(self, webhook: Webhook, message: str, at: int, body: bytes) -> dict[str, str]:
        """One signature for each secret that is in force at `at` (epoch seconds).

        One before the current that cannot be derived any more is left out. Raises LostKeyError.
        """
        current, *before = webhook.secrets
        living = [one for one in before if (one.expires or 0) > at and one.key_id in self._keys]
        signatures = [_signature(self.secret(webhook, one), message, at, body) for one in (current, *living)]
        return {
            "webhook-id": message,
            "webhook-timestamp": str(at),
            "webhook-signature": " ".join(signatures),
        }


def rotated(webhook: Webhook, fresh: WebhookSecret, now: int, overlap: int) -> Webhook:
    """With the secret before in force for `overlap` seconds more; at most two are."""
    before = (replace(webhook.secrets[0], expires=now + overlap),) if overlap else ()
    return replace(webhook, secrets=(fresh, *before), version=webhook.version + 1)


def _signature(secret: bytes, message: str, at: int, body: bytes) -> str:
    mac = hmac.digest(secret, f"{message}.{at}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(mac).decode()}"
