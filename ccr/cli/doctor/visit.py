"""One examination: whom it is of, and what its checks have learnt for those that come after them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from ccr.cli.connection import Connection
from ccr.cli.doctor.aws_command import Stack
from ccr.cli.doctor.wire import Wire

NOT_LOGGED_IN: Final = "not logged in there: `ccr login URL -u ID`, or CCR_USERNAME and CCR_PASSWORD"
NO_REPOSITORY: Final = "reads alone without --repository: name one to push to and pull from"
# Under which checks ask where nothing is named: it need not be there.
PROBE: Final = "doctor/probe"
_PARAMETER: Final = re.compile(r'(\w+)="([^"]*)"')


@dataclass(slots=True)
class Pushed:
    """What a round trip has put into the repository: blobs by digest, and the way that each went."""

    tag: str
    blobs: dict[str, bytes] = field(default_factory=dict)
    ways: dict[str, str] = field(default_factory=dict)
    manifest: bytes = b""
    digest: str = ""
    subject: str = ""


@dataclass(slots=True)
class Visit:
    """`connection` is None where no credential is stored for `url`; `left` is what was not cleaned up."""

    url: str
    connection: Connection | None = None
    repository: str = ""
    wire: Wire = field(default_factory=Wire)
    challenge: Mapping[str, str] = field(default_factory=dict)
    token: str = field(default="", repr=False)
    pushed: Pushed = field(default_factory=lambda: Pushed(f"ccr-doctor-{secrets.token_hex(6)}"))
    left: list[str] = field(default_factory=list)
    stack: Stack | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def is_secure(self) -> bool:
        return urlsplit(self.url).scheme == "https"

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.wire.ask("GET", f"{self.url}{path}", **options)

    def basic(self) -> tuple[bytes, bytes]:
        """As bytes: requests would encode text as Latin-1. Only after `login` was found well."""
        if self.connection is None:
            raise AssertionError(NOT_LOGGED_IN)
        return self.connection.username.encode(), self.connection.password.encode()

    def of(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request about the repository, with the token."""
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        url = f"{self.url}/v2/{self.repository}/{path}"
        return self.wire.ask(method, url, headers=headers, **options)


def parameters(challenge: str) -> dict[str, str]:
    """Of `WWW-Authenticate: Bearer …`, as docker reads it: quoted, by name."""
    kind, _, rest = challenge.partition(" ")
    return dict(_PARAMETER.findall(rest)) if kind.lower() == "bearer" else {}


def said(answer: requests.Response) -> str:
    """Status, code and message of a refusal, in a line."""
    entries = envelope(answer)
    text = "; ".join(f"{one.get('code')} {one.get('message')}" for one in entries)
    return f"{answer.status_code} {text}".strip()


def envelope(answer: requests.Response) -> list[dict[str, Any]]:
    """The entries of the specification's envelope; none where it is another thing."""
    try:
        entries = answer.json()["errors"]
        return [one for one in entries if isinstance(one, dict) and one.get("code")]
    except (requests.exceptions.JSONDecodeError, LookupError, TypeError):
        return []


def codes(answer: requests.Response) -> list[str]:
    return [str(one["code"]) for one in envelope(answer)]
