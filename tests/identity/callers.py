"""Credentials of a deployment on moto, and how their holders sign in and use what they get."""

from __future__ import annotations

import base64
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from chalicelib.identity.administrators import ADMINISTRATOR
from chalicelib.identity.credentials import Credential, Trust
from chalicelib.identity.grants import Grant
from chalicelib.identity.tenancy import Project
from chalicelib.wiring import Deployment
from tests.endpoints.driver import Answer, Driver

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


def basic(id_: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{id_}:{secret}".encode()).decode()


@dataclass
class Caller:
    """At one address, as whoever a request says."""

    deployment: Deployment
    address: str = field(default_factory=lambda: f"203.0.113.{os.urandom(4).hex()}")

    def send(self, method: str, path: str, query: Any = (), body: bytes = b"", **headers: str) -> Answer:
        driver = Driver(self.deployment)
        event = driver.event(method, path, dict(query), body, headers)
        event["requestContext"]["http"]["sourceIp"] = self.address
        return driver.deliver(event)

    def get(self, id_: str, secret: str, *scopes: str, **query: str) -> Answer:
        """`/token` as Docker asks it."""
        asked = {"service": "ccr", "scope": list(scopes), **query}
        return self.send("GET", "/token", asked, authorization=basic(id_, secret))

    def post(self, grant_type: str, *scopes: str, **form: str) -> Answer:
        """`/token` as OAuth2 has it."""
        body = urlencode({"grant_type": grant_type, "scope": list(scopes), **form}, doseq=True)
        return self.send(
            "POST", "/token", body=body.encode(), content_type="application/x-www-form-urlencoded"
        )

    def exchange(self, id_: str, token: str, *scopes: str) -> Answer:
        """RFC 8693."""
        return self.post(
            TOKEN_EXCHANGE, *scopes, client_id=id_, subject_token=token, subject_token_type=ID_TOKEN
        )

    def bearing(self, token: str, method: str, path: str) -> Answer:
        return self.send(method, path, authorization=f"Bearer {token}")


@dataclass
class Tenant:
    """The account of the administrator with one project and its registries, under names of its own."""

    deployment: Deployment
    account: str = "default"

    def __post_init__(self) -> None:
        self.suffix = os.urandom(4).hex()
        self.project: Project = self.deployment.tenancy.create_project(self.account, f"p-{self.suffix}")
        self.dev = self.registry("dev")
        self.prod = self.registry("prod")

    @property
    def admin(self) -> Credential:
        found = self.deployment.credentials.get(ADMINISTRATOR)
        assert found is not None
        return found

    def registry(self, kind: str) -> str:
        return self.deployment.tenancy.create_registry(self.project, f"{kind}-{self.suffix}").name

    def robot(self, *grants: tuple[str, str], name: str = "ci") -> tuple[Credential, str]:
        """Grants as (pattern, actions with commas)."""
        return self.deployment.desk.create_robot(
            self.admin, f"{name}-{self.suffix}", self.project.name, _grants(grants)
        )

    def trust(self, trust: Trust, *grants: tuple[str, str], name: str = "gh") -> Credential:
        return self.deployment.desk.create_trust(
            self.admin, f"{name}-{self.suffix}", self.project.name, _grants(grants), trust
        )


def _grants(grants: tuple[tuple[str, str], ...]) -> list[Grant]:
    return [Grant(pattern, frozenset(actions.split(","))) for pattern, actions in grants]


@contextmanager
def operations(deployment: Deployment) -> Iterator[Counter[str]]:
    """What is sent to DynamoDB meanwhile, by the name of the operation, as botocore sends it."""
    seen: Counter[str] = Counter()
    events = deployment.credentials._connection.client.meta.events

    def sent(model: Any, **_: object) -> None:
        seen[model.name] += 1

    events.register("before-call.dynamodb", sent)
    try:
        yield seen
    finally:
        events.unregister("before-call.dynamodb", sent)
