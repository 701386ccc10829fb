"""The first credential of a deployment: the owner of everything, who may make accounts."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace
from typing import Final

from chalicelib.identity.credential_desk import CredentialStore
from chalicelib.identity.credentials import administrator, rotated
from chalicelib.identity.secret import hash_secret, matches

ADMINISTRATOR: Final = "admin"
_BYTES: Final = 18


@dataclass(frozen=True, slots=True)
class Administrators:
    """Of the first account, `account`."""

    credentials: CredentialStore
    account: str

    def exists(self) -> bool:
        return self.credentials.get(ADMINISTRATOR) is not None

    def make(self) -> str:
        """With a password that is made here, and that nobody can be shown again; '' where there is one."""
        if self.exists():
            return ""
        password = secrets.token_urlsafe(_BYTES)
        self.put(password)
        return password

    def put(self, password: str) -> None:
        """Make the administrator, or give it this password and life where it has another or none."""
        before = self.credentials.get(ADMINISTRATOR)
        if before is None:
            self.credentials.put(administrator(ADMINISTRATOR, self.account, password, time.time()))
            return
        living = replace(before, is_disabled=False, expires=None)
        if not any(secret.expires is None and matches(password, secret.hash) for secret in before.secrets):
            self.credentials.put(rotated(living, hash_secret(password), now=0, overlap=0), revoke=True)
        elif living != before:
            self.credentials.put(replace(living, version=before.version + 1))
