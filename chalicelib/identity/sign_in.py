"""Signing in: a secret, an ID token or a refresh token against a credential, in one read."""

from __future__ import annotations

import hmac
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from chalicelib.identity.attempts import ADDRESS, CREDENTIAL, Attempts, after_failure, wait_seconds
from chalicelib.identity.audit import Record, Trail
from chalicelib.identity.credentials import Credential, Kind, Trust
from chalicelib.identity.secret import LIMIT, could_match, is_generated, matches, matches_nobody
from chalicelib.identity.tenancy import Registry

ID_LIMIT: Final = 128
USED_EVERY_SECONDS: Final = 300
REMEMBERED: Final = 256
REMEMBERED_SECONDS: Final = 60
LOCKED_ADDRESSES: Final = 10_000
NO_ACCOUNT: Final = "-"


@dataclass(frozen=True, slots=True)
class Found:
    """All that signing in needs to know, of one moment."""

    credential: Credential | None
    registries: Mapping[str, Registry] = field(default_factory=dict)
    by_credential: Attempts | None = None
    by_address: Attempts | None = None


class Directory(Protocol):
    """What signing in reads and leaves behind."""

    def look_up(self, id_: str, address: str, registries: Collection[str]) -> Found:
        """One BatchGetItem, consistent."""
        ...

    def failed(self, key: str, attempts: Attempts, now: int) -> None:
        """Add one failure under `key`, and lock it until `attempts.until`."""
        ...

    def used(self, credential: Credential, address: str, now: int) -> None:
        """Note the last use; forget the failures of the credential."""
        ...


class IdTokens(Protocol):
    def verify(self, token: str, trust: Trust) -> Mapping[str, object] | None:
        """The claims of an ID token that `trust` trusts; None whatever is wrong with it."""
        ...


@dataclass(slots=True)
class LockedError(Exception):
    """Too many failures: nothing is tried before `seconds` have passed."""

    seconds: int


@dataclass(frozen=True, slots=True)
class SignedIn:
    credential: Credential
    registries: Mapping[str, Registry]


@dataclass(slots=True)
class SignIn:
    """The row is read every time; only the slow hash of a password is remembered, for a minute."""

    directory: Directory
    id_tokens: IdTokens
    trail: Trail
    clock: Callable[[], float] = time.time
    _remembered: OrderedDict[bytes, float] = field(default_factory=OrderedDict, repr=False)
    _locked: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def by_secret(
        self, id_: str, secret: str, address: str, registries: Collection[str] = ()
    ) -> SignedIn | None:
        """None whatever the reason. One read, and a write for each failure. Raises LockedError."""
        if not id_ or len(id_.encode()) > ID_LIMIT or not secret or len(secret) > LIMIT:
            return None
        found = self._look_up(id_, address, registries)
        if self._proves(found.credential, secret):
            return self._signed_in(found, address)
        self._failed(id_, address, found)
        return None

    def by_generation(
        self, id_: str, generation: int, address: str, registries: Collection[str] = ()
    ) -> SignedIn | None:
        """For a refresh token that has been verified. One read. Raises LockedError."""
        found = self._look_up(id_, address, registries)
        if found.credential is None or found.credential.generation != generation:
            return None
        if not found.credential.lives(self.clock()):
            return None
        return self._signed_in(found, address)

    def _look_up(self, id_: str, address: str, registries: Collection[str]) -> Found:
        now = self.clock()
        if (until := self._locked.get(address, 0)) > now:
            raise LockedError(math.ceil(until - now))
        found = self.directory.look_up(id_, address, registries)
        wait = max(wait_seconds(found.by_credential, now), wait_seconds(found.by_address, now))
        if wait:
            self._remember_lock(address, found.by_address)
            raise LockedError(wait)
        return found

    def _proves(self, credential: Credential | None, secret: str) -> bool:
        now = self.clock()
        if credential is not None and credential.kind is Kind.TRUST:
            claims = self.id_tokens.verify(secret, credential.trust) if credential.trust else None
            if claims is None:
                matches_nobody(secret)
            return claims is not None and credential.lives(now)
        living = [one.hash for one in credential.secrets if one.lives(now)] if credential else []
        # Two of them, of another form, must not take twice as long as nobody's.
        living = [stored for stored in living if could_match(secret, stored)]
        if not living:
            matches_nobody(secret)
            return False
        proven = any(self._matches(secret, stored) for stored in living)
        return proven and credential is not None and credential.lives(now)

    def _matches(self, secret: str, stored: str) -> bool:
        if is_generated(secret):
            return matches(secret, stored)
        mark = hmac.digest(self._key, f"{stored}\0{secret}".encode(), "sha256")
        with self._lock:
            if self._remembered.get(mark, 0) > self.clock():
                return True
        if not matches(secret, stored):
            return False
        with self._lock:
            self._remembered[mark] = self.clock() + REMEMBERED_SECONDS
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return True

    def _signed_in(self, found: Found, address: str) -> SignedIn:
        credential, now = found.credential, int(self.clock())
        assert credential is not None  # noqa: S101 - narrows the type
        if now - credential.used > USED_EVERY_SECONDS or found.by_credential:
            self.directory.used(credential, address, now)
        return SignedIn(credential, found.registries)

    def _failed(self, id_: str, address: str, found: Found) -> None:
        now = int(self.clock())
        by_address = after_failure(found.by_address, ADDRESS, now)
        self.directory.failed(f"credential#{id_}", after_failure(found.by_credential, CREDENTIAL, now), now)
        self.directory.failed(f"address#{address}", by_address, now)
        self._remember_lock(address, by_address)
        # Also for a credential that is not there, so that a failure always costs the same.
        account = found.credential.account if found.credential else NO_ACCOUNT
        self.trail.write(Record(account, int(self.clock() * 1000), id_, "login", id_, address, "refused"))

    def _remember_lock(self, address: str, attempts: Attempts | None) -> None:
        if attempts is None or not attempts.until:
            return
        with self._lock:
            self._locked[address] = attempts.until
            while len(self._locked) > LOCKED_ADDRESSES:
                self._locked.popitem(last=False)
