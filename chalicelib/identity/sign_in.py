"""Signing in: a secret, an ID token or a refresh token against a credential, in one read."""

from __future__ import annotations

import hmac
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from chalicelib.identity.attempts import ADDRESS, CREDENTIAL, Attempts, after_failure, origin, wait_seconds
from chalicelib.identity.audit import Record, Trail
from chalicelib.identity.credentials import Credential, Kind, Secret, Trust
from chalicelib.identity.grants import Principal, Scope
from chalicelib.identity.names import check_credential_id
from chalicelib.identity.oidc import Verdict
from chalicelib.identity.refusals import RefusedError
from chalicelib.identity.secret import LIMIT, BusyError, could_match, is_generated, matches, matches_nobody
from chalicelib.identity.tenancy import Registry

USED_EVERY_SECONDS: Final = 300
REMEMBERED: Final = 256
REMEMBERED_SECONDS: Final = 60
LOCKED_ADDRESSES: Final = 10_000
NO_ACCOUNT: Final = "-"
# Whether the credential is there or not: its id is locked.
_LOCKED_CREDENTIAL: Final = "too many failed logins with this id, which is locked from every address"
_LOCKED_ADDRESS: Final = "too many failed logins from this address, which is locked for every id"
# Of refusals, in one process: locks bound what one address and one credential can fill, this all together.
RECORDED_A_MINUTE: Final = 300


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
    def verify(self, token: str, trust: Trust) -> Verdict:
        """The claims of an ID token that `trust` trusts; or what is wrong with it."""
        ...


@dataclass(slots=True)
class LockedError(Exception):
    """Nothing is tried before `seconds` have passed."""

    seconds: int
    why: str

    @property
    def message(self) -> str:
        return f"{self.why}: try again in {self.seconds} seconds"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """`secret` is the one that proved it, or that a refresh token was given for; a trust has none.

    `at` (epoch milliseconds) is before the read: what is revoked later may not be in it.
    """

    credential: Credential
    registries: Mapping[str, Registry]
    secret: Secret | None = None
    at: int = 0

    def principal(self, access: tuple[Scope, ...]) -> Principal:
        return replace(self.credential.principal(access), issued=self.at, expires=self.expires)

    @property
    def expires(self) -> int | None:
        """When that proof ends, with the credential or with a secret on its way out."""
        ends = [self.credential.expires, self.secret.expires if self.secret else None]
        return min((one for one in ends if one is not None), default=None)


@dataclass(slots=True)
class SignIn:
    """The row is read every time; only the slow hash of a password is remembered, for a minute.

    The lock of a credential is against guesses at a password. What cannot be guessed is tried all the same:
    else any stranger who fails on purpose would keep a robot or a trust out, minute for minute.

    Every refusal of somebody who is named is counted, so that locks end it, and told in the trail, up to
    `RECORDED_A_MINUTE`; how many were not is told with the next one.
    """

    directory: Directory
    id_tokens: IdTokens
    trail: Trail
    clock: Callable[[], float] = time.time
    _remembered: OrderedDict[bytes, float] = field(default_factory=OrderedDict, repr=False)
    _locked: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _minute: int = 0
    _recorded: int = 0
    _unrecorded: int = 0

    def by_secret(
        self,
        id_: str,
        secret: str,
        address: str,
        registries: Collection[str] = (),
        *,
        is_exchange: bool = False,
    ) -> SignedIn | None:
        """None whatever the reason. One read, and a write for each failure. Raises LockedError.

        `is_exchange`: only an ID token will do.
        """
        if not _is_id(id_) or not secret or len(secret) > LIMIT:
            return None
        began = self.clock()
        found = self._look_up(id_, address, registries)
        credential, wait = found.credential, wait_seconds(found.by_credential, began)
        detail = {"by": "id_token"} if is_exchange else {}
        if credential is not None and (credential.kind is Kind.TRUST or is_exchange):
            reason = self._distrust(credential, secret)
            if not reason:
                return self._signed_in(found, None, address, began)
            detail = {"by": "id_token", "reason": reason}
        elif is_generated(secret) or not wait:
            proof = self._proof(credential, secret)
            if proof is not None:
                return self._signed_in(found, proof, address, began)
        if wait:
            raise LockedError(wait, _LOCKED_CREDENTIAL)
        self._failed(id_, address, found, detail)
        return None

    def by_generation(
        self, id_: str, generation: int, secret: str, address: str, registries: Collection[str] = ()
    ) -> SignedIn | None:
        """For a refresh token that has been verified, given for the secret of that id. Raises LockedError.

        One read, and a write for each failure, which is the address's alone: nobody guesses such a token.
        """
        now = self.clock()
        found = self._look_up(id_, address, registries)
        credential = found.credential
        if credential is not None and credential.generation == generation and credential.lives(now):
            for one in credential.secrets:
                if one.id == secret and one.lives(now):
                    return self._signed_in(found, one, address, now)
        self._failed(id_, address, found, {"by": "refresh_token"}, counts_for_credential=False)
        return None

    def by_token(self, principal: Principal, address: str) -> SignedIn | None:
        """The credential behind a registry token that stands. One read. Raises LockedError."""
        now = self.clock()
        found = self._look_up(principal.id, address, ())
        credential = found.credential
        if credential is None or credential.generation != principal.generation or not credential.lives(now):
            return None
        return self._signed_in(found, None, address, now)

    def _look_up(self, id_: str, address: str, registries: Collection[str]) -> Found:
        """Raises LockedError for the address."""
        now, source = self.clock(), origin(address)
        if (until := self._locked.get(source, 0)) > now:
            raise LockedError(math.ceil(until - now), _LOCKED_ADDRESS)
        found = self.directory.look_up(id_, source, registries)
        if wait := wait_seconds(found.by_address, now):
            self._remember_lock(source, found.by_address)
            raise LockedError(wait, _LOCKED_ADDRESS)
        return found

    def _distrust(self, credential: Credential, token: str) -> str:
        """Why the ID token does not sign in as it; '' where it does. Told to nobody but the trail."""
        if credential.trust is None:
            return f"an ID token for a {credential.kind}, which takes none"
        verdict = self.id_tokens.verify(token, credential.trust)
        if verdict.claims is None:
            return verdict.reason
        return "" if credential.lives(self.clock()) else "the trust is disabled or has expired"

    def _proof(self, credential: Credential | None, secret: str) -> Secret | None:
        """The living secret of the credential that this is. Raises LockedError."""
        now = self.clock()
        living = [one for one in credential.secrets if one.lives(now)] if credential else []
        # Two of them, of another form, must not take twice as long as nobody's.
        living = [one for one in living if could_match(secret, one.hash)]
        if not living:
            matches_nobody(secret)
        try:
            proven = next((one for one in living if self._matches(secret, one.hash)), None)
        except BusyError as error:
            raise LockedError(1, "too many logins with a password at once") from error
        return proven if credential is not None and credential.lives(now) else None

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

    def _signed_in(self, found: Found, secret: Secret | None, address: str, began: float) -> SignedIn:
        credential, now = found.credential, int(self.clock())
        assert credential is not None  # noqa: S101 - narrows the type
        if now - credential.used > USED_EVERY_SECONDS or found.by_credential:
            self.directory.used(credential, address, now)
        return SignedIn(credential, found.registries, secret, int(began * 1000))

    def _failed(
        self,
        id_: str,
        address: str,
        found: Found,
        detail: Mapping[str, str],
        *,
        counts_for_credential: bool = True,
    ) -> None:
        now, source = int(self.clock()), origin(address)
        by_address = after_failure(found.by_address, ADDRESS, now)
        if counts_for_credential:
            by_credential = after_failure(found.by_credential, CREDENTIAL, now)
            self.directory.failed(f"credential#{id_}", by_credential, now)
        self.directory.failed(f"address#{source}", by_address, now)
        self._remember_lock(source, by_address)
        # Also for a credential that is not there, so that a failure always costs the same.
        account = found.credential.account if found.credential else NO_ACCOUNT
        if (told := self._may_record(now)) is not None:
            at = int(self.clock() * 1000)
            record = Record(account, at, id_, "login", id_, address, "refused", {**detail, **told})
            self.trail.write(record)

    def _may_record(self, now: int) -> dict[str, int] | None:
        """What the next record tells of those that are missing; None where it is to be missing, too."""
        with self._lock:
            if self._minute != now // 60:
                self._minute, self._recorded = now // 60, 0
            if self._recorded >= RECORDED_A_MINUTE:
                self._unrecorded += 1
                return None
            self._recorded += 1
            missing, self._unrecorded = self._unrecorded, 0
        return {"unrecorded": missing} if missing else {}

    def _remember_lock(self, source: str, attempts: Attempts | None) -> None:
        if attempts is None or not attempts.until:
            return
        with self._lock:
            self._locked[source] = attempts.until
            while len(self._locked) > LOCKED_ADDRESSES:
                self._locked.popitem(last=False)


def _is_id(text: str) -> bool:
    """What can be nobody's id is often a secret in the wrong field, and then no record must show it."""
    try:
        check_credential_id(text)
    except RefusedError:
        return False
    return True
