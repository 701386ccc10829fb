"""Credentials: an id and a secret that is stored as a scrypt hash only."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from chalicelib.identity.grants import ACTIONS, Grant, Principal

# 16 MiB and about 40 ms each: two at a time, so that guessing costs the server little memory.
_COST: Final = {"n": 2**14, "r": 8, "p": 1}
_AT_ONCE: Final = 2
SECRET_LIMIT: Final = 1024
REMEMBERED: Final = 256
REMEMBERED_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Credential:
    """`expires` is in epoch seconds; None never does."""

    id: str
    account: str
    secret_hash: str = field(repr=False)
    grants: tuple[Grant, ...]
    expires: int | None = None

    def principal(self) -> Principal:
        everywhere = frozenset().union(*(g.actions for g in self.grants if g.pattern == "*"))
        return Principal(self.id, self.account, self.grants, may_list=True, everywhere=everywhere)


class CredentialStore(Protocol):
    def get(self, id_: str) -> Credential | None: ...
    def put(self, credential: Credential) -> None: ...


def administrator(id_: str, account: str, secret: str) -> Credential:
    """A credential that may do everything in its account."""
    return Credential(id_, account, hash_secret(secret), (Grant("*", frozenset(ACTIONS)),))


def hash_secret(secret: str) -> str:
    salt = secrets.token_bytes(16)
    return f"scrypt${_encode(salt)}${_encode(_derive(secret, salt))}"


@dataclass(slots=True)
class Verifier:
    """Checks secrets. The row is read every time; only the slow hash is remembered, for a minute."""

    store: CredentialStore
    clock: Callable[[], float] = time.time
    _remembered: OrderedDict[bytes, float] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def verify(self, id_: str, secret: str) -> Principal | None:
        """The principal, or None whatever the reason. One read."""
        if not id_ or len(id_.encode()) > SECRET_LIMIT or len(secret) > SECRET_LIMIT:
            return None
        credential = self.store.get(id_)
        stored = credential.secret_hash if credential else _NOBODY
        if not self._matches(secret, stored) or credential is None:
            return None
        if credential.expires is not None and credential.expires <= self.clock():
            return None
        return credential.principal()

    def _matches(self, secret: str, stored: str) -> bool:
        mark = hmac.digest(self._key, f"{stored}\0{secret}".encode(), "sha256")
        with self._lock:
            if self._remembered.get(mark, 0) > self.clock():
                return True
        _, salt, expected = stored.split("$")
        if not hmac.compare_digest(_derive(secret, _decode(salt)), _decode(expected)):
            return False
        with self._lock:
            self._remembered[mark] = self.clock() + REMEMBERED_SECONDS
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return True


def _derive(secret: str, salt: bytes) -> bytes:
    with _SLOTS:
        return hashlib.scrypt(secret.encode(), salt=salt, **_COST)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text)


_SLOTS: Final = threading.BoundedSemaphore(_AT_ONCE)
# Checked when no such credential exists, so that an unknown name takes as long as a wrong secret.
_NOBODY: Final = f"scrypt${_encode(bytes(16))}${_encode(bytes(64))}"
