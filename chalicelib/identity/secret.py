"""Secrets: made here and shown once, told by their form, stored as a hash only.

    ccr_<32 letters and digits><6 of the CRC-32 of what stands before, in base 62>

The checksum lets a secret scanner, and the token endpoint, tell a real secret from a typing error
without asking anybody. 190 random bits need no slow hash; a password that a person chose gets scrypt.
Only `admin` can have such a password, and everybody knows that name: that a guess at it takes longer tells
nothing, so no other guess has to take as long.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import string
import threading
import zlib
from typing import Final

PREFIX: Final = "ccr_"
LIMIT: Final = 8192
_RANDOM: Final = 32
_CHECKSUM: Final = 6
_DIGITS: Final = string.digits + string.ascii_letters
_FORM: Final = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM + _CHECKSUM}}}")
# 16 MiB and about 40 ms each: two at a time, so that guessing costs the server little memory.
_COST: Final = {"n": 2**14, "r": 8, "p": 1}
_SLOTS: Final = threading.BoundedSemaphore(2)
# About a third of a second's worth: who comes later is told to, and costs nothing.
WAITING: Final = 16
_QUEUE: Final = threading.BoundedSemaphore(2 + WAITING)


class BusyError(Exception):
    """As many passwords as may wait for their slow hash are waiting."""


def make_secret() -> str:
    body = PREFIX + "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM))
    return body + _checksum(body)


def is_generated(secret: str) -> bool:
    """Whether it has the form and the checksum of one made here."""
    return _FORM.fullmatch(secret) is not None and secret[-_CHECKSUM:] == _checksum(secret[:-_CHECKSUM])


def hash_secret(secret: str) -> str:
    salt = secrets.token_bytes(16)
    kind = "sha256" if is_generated(secret) else "scrypt"
    return f"{kind}${_encode(salt)}${_encode(_derive(kind, secret, salt))}"


def could_match(secret: str, stored: str) -> bool:
    """Whether `stored` is the hash of a secret of that form."""
    return stored.startswith("sha256$") == is_generated(secret)


def matches(secret: str, stored: str) -> bool:
    """Whether `stored` is the hash of `secret`: slow only where both are of a password. Raises BusyError."""
    kind, salt, expected = stored.split("$")
    if not could_match(secret, stored):
        matches_nobody(secret)
        return False
    return hmac.compare_digest(_derive(kind, secret, _decode(salt)), _decode(expected))


def matches_nobody(secret: str) -> None:
    """Take as long as `matches` does for a secret made here, where there is none to compare with."""
    _derive("sha256", secret, bytes(16))


def _derive(kind: str, secret: str, salt: bytes) -> bytes:
    if kind == "sha256":
        return hmac.digest(salt, secret.encode(), "sha256")
    if not _QUEUE.acquire(blocking=False):
        raise BusyError
    try:
        with _SLOTS:
            return hashlib.scrypt(secret.encode(), salt=salt, **_COST)
    finally:
        _QUEUE.release()


def _checksum(body: str) -> str:
    number, text = zlib.crc32(body.encode()), ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text.rjust(_CHECKSUM, _DIGITS[0])


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text)
