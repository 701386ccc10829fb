"""What was given out and comes back as it was: HMAC-SHA-256 with a key of this deployment."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

# Of a cursor once it is inflated: nobody else makes one, and a broken one must not fill the memory.
STATE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Seals:
    """The first key seals; all of them are recognised."""

    keys: Sequence[bytes]

    def of(self, document: Any) -> str:
        return self._seal(self.keys[0], _canonical(document))

    def is_of(self, seal: str, document: Any) -> bool:
        plain = _canonical(document)
        return any(hmac.compare_digest(self._seal(key, plain).encode(), seal.encode()) for key in self.keys)

    def packed(self, state: Any) -> str:
        """As text that `unpacked` takes again."""
        packed = base64.urlsafe_b64encode(zlib.compress(_canonical(state))).decode()
        return f"{packed}.{self.of(packed)}"

    def unpacked(self, text: str) -> Any:
        """None for what was not packed here."""
        packed, _, seal = text.partition(".")
        if not self.is_of(seal, packed):
            return None
        try:
            plain = zlib.decompressobj().decompress(base64.urlsafe_b64decode(packed), STATE_BYTES)
        except (binascii.Error, zlib.error):
            return None
        return json.loads(plain)

    @staticmethod
    def _seal(key: bytes, plain: bytes) -> str:
        return hmac.new(key, plain, hashlib.sha256).hexdigest()


def _canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
