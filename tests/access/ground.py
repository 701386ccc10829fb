"""An empty deployment on moto whose clock the tests set, and its rows read past its code."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from moto import mock_aws
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from chalicelib import wiring
from chalicelib.config import Settings
from chalicelib.identity.attempts import Attempts
from chalicelib.identity.audit import Record
from chalicelib.identity.oidc import IdTokenVerifier
from chalicelib.identity.revocations import FRESH_SECONDS
from chalicelib.identity.sign_in import Directory
from chalicelib.wiring import Deployment
from tests.access.remembered_reads import remembering

SETTINGS = Settings(
    token_keys=(b"key of the tests".ljust(32),),
    create_on_push=False,
    show_backend_calls=True,
    head_carries_body=False,
)
ISSUER = "https://issuer.test"
BEHIND_SECONDS = 200


@dataclass
class Clock:
    """Wall clock and monotonic clock in one.

    It is behind, because tokens are checked against the machine's own clock: those made after a small advance
    must not come from the future, and what has expired here must have expired there.
    """

    now: float = field(default_factory=lambda: time.time() - BEHIND_SECONDS)

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Issuer:
    """An OpenID Connect issuer with one key, which it hands out without a network."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def fetch(self, issuer: str) -> Mapping[str, Any]:
        assert issuer == ISSUER
        return {"keys": [{**ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True), "kid": "1"}]}

    def id_token(self, subject: str, audience: str, **claims: Any) -> str:
        now = int(time.time())
        said = {"iss": ISSUER, "sub": subject, "aud": audience, "iat": now, "exp": now + 600, **claims}
        return jwt.encode(said, self.key, "ES256", headers={"kid": "1"})


@dataclass
class Ground:
    """A deployment, its clock, and the issuer that it trusts."""

    deployment: Deployment
    clock: Clock
    issuer: Issuer

    def forgive(self) -> None:
        """Forget every failed login, so that the next refusal is about the credential alone."""
        next(rows for name, rows in tables().items() if name.endswith("attempts")).items.clear()
        self.deployment.sign_in._locked.clear()

    def let_revocations_arrive(self) -> None:
        self.clock.advance(FRESH_SECONDS + 1)

    def begin_anew(self) -> None:
        """As a process that has just started: nothing is remembered."""
        services = self.deployment.services
        self.clock.now = Clock().now
        services.sign_in._locked.clear()
        services.sign_in._remembered.clear()
        self.deployment.quota._seen.clear()
        self.deployment.soft_limits._seen.clear()
        services.revocations._known, services.revocations._read = {}, None


@dataclass(frozen=True)
class Lenient:
    """Reads as the directory does, and forgets failed logins: those have tests of their own."""

    directory: Directory

    def __getattr__(self, name: str) -> Any:
        return getattr(self.directory, name)

    def failed(self, _key: str, _attempts: Attempts, _now: int) -> None:
        """Not counted."""


class NoTrail:
    """A write of 10 ms on moto for each call, which says nothing about access."""

    def write(self, record: Record) -> None:
        """Not kept."""

    def read(self, *_: object) -> Iterator[Record]:
        return iter(())


def lay(clock: Clock | None = None, *, quick: bool = False, **changes: Any) -> Ground:
    """A deployment on the tables that are there, with clocks of its own.

    `quick`: it remembers what it reads, keeps no audit trail, and counts no failed logins.
    """
    clock = clock or Clock()
    issuer = Issuer()
    with pytest.MonkeyPatch.context() as patch:
        if quick:
            patch.setattr(wiring, "row_reads", remembering)
        deployment = Deployment(replace(SETTINGS, **changes))
    before = deployment.services
    deployment.tenancy = replace(deployment.tenancy, clock=clock)
    deployment.desk = replace(deployment.desk, tenancy=deployment.tenancy, clock=clock)
    deployment.sign_in.clock = clock
    deployment.sign_in.id_tokens = IdTokenVerifier(issuer, clock)
    before.revocations.clock = clock
    deployment.services = replace(
        before,
        tenancy=deployment.tenancy,
        opening=replace(before.opening, tenancy=deployment.tenancy),
        tokens=replace(before.tokens, clock=clock),
        capabilities=replace(before.capabilities, clock=clock),
        uploads=replace(before.uploads, clock=clock),
        trail=NoTrail() if quick else before.trail,
    )
    if quick:
        deployment.sign_in.directory = Lenient(deployment.sign_in.directory)
        deployment.sign_in.trail = NoTrail()
    return Ground(deployment, clock, issuer)


@contextmanager
def aws() -> Iterator[None]:
    """Tables take a second to make: once, and each test clears them."""
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        Deployment(SETTINGS).prepare()
        yield


def clear() -> None:
    """Rows alone: what they do not name in the bucket, nobody finds."""
    for table in tables().values():
        table.items.clear()


def tables() -> Any:
    return get_backend("dynamodb")[DEFAULT_ACCOUNT_ID]["us-east-1"].tables


CONTENT = ("manifests", "tags", "links", "blobs", "uploads", "repositories", "registries", "projects")


def content() -> dict[str, Any]:
    """Every row that says what is stored and where, by table and key."""
    return {name: dict(_rows(table)) for name, table in tables().items() if name.endswith(CONTENT)}


def _rows(table: Any) -> Iterator[tuple[str, Any]]:
    for hash_key, found in table.items.items():
        items = found.items() if isinstance(found, dict) else [(None, found)]
        for range_key, item in items:
            key = f"{hash_key.value} {range_key.value if range_key else ''}"
            yield key, item.to_json()["Attributes"]
