"""The stores of identity in memory, with the same conditions as on DynamoDB, and a clock that is set."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.identity.attempts import Attempts
from chalicelib.identity.audit import Record
from chalicelib.identity.credentials import Credential, Trust
from chalicelib.identity.oidc import Verdict
from chalicelib.identity.revocations import registry_id
from chalicelib.identity.sign_in import Found
from chalicelib.identity.tenancy import DELETED, Account, Project, Registry
from chalicelib.spec.cloud_events import Event

NOW = 1_800_000_000


@dataclass
class Clock:
    """Stands still until told."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Credentials:
    """`CredentialStore`, `Directory` and `RevocationStore` at once."""

    rows: dict[str, Credential] = field(default_factory=dict)
    registries: dict[str, Registry] = field(default_factory=dict)
    attempts: dict[str, Attempts] = field(default_factory=dict)
    revocations: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    told: list[Event] = field(default_factory=list)

    def get(self, id_: str) -> Credential | None:
        return self.rows.get(id_)

    def page(self, account: str, after: str, limit: int) -> list[Credential]:
        of_account = (self.rows[id_] for id_ in sorted(self.rows) if self.rows[id_].account == account)
        return [one for one in of_account if one.id > after][:limit]

    def put(
        self,
        credential: Credential,
        *,
        revoke: bool = False,
        witness: Credential | None = None,
        told: Event | None = None,
    ) -> bool:
        if not _follows(self.rows.get(credential.id), credential.version) or not self._has(witness):
            return False
        self.rows[credential.id] = credential
        if revoke:
            self.revocations[credential.id] = credential.generation
        self.told += [told] if told else []
        return True

    def remove(
        self, credential: Credential, *, witness: Credential | None = None, told: Event | None = None
    ) -> bool:
        if self.rows.get(credential.id) != credential or not self._has(witness):
            return False
        del self.rows[credential.id]
        self.revocations[credential.id] = credential.generation + 1
        self.told += [told] if told else []
        return True

    def _has(self, witness: Credential | None) -> bool:
        return witness is None or self.rows.get(witness.id) == witness

    def revoke_registry(self, name: str, at: int) -> None:
        self.revocations[registry_id(name)] = at

    def revoked(self) -> Mapping[str, int]:
        self.calls.append("revoked")
        return dict(self.revocations)

    def look_up(self, id_: str, address: str, registries: Collection[str]) -> Found:
        self.calls.append("look_up")
        found = {name: self.registries[name] for name in registries if name in self.registries}
        by_credential = self.attempts.get(f"credential#{id_}")
        return Found(self.rows.get(id_), found, by_credential, self.attempts.get(f"address#{address}"))

    def failed(self, key: str, attempts: Attempts, now: int) -> None:  # noqa: ARG002 - nothing expires here
        self.calls.append("failed")
        self.attempts[key] = attempts

    def used(self, credential: Credential, address: str, now: int) -> None:
        self.calls.append("used")
        self.rows[credential.id] = replace(credential, used=now, used_from=address)
        self.attempts.pop(f"credential#{credential.id}", None)


@dataclass
class Tenants:
    """`TenancyStore`; `before_put` runs before each new row, as another writer would."""

    accounts_: dict[str, Account] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    projects_: dict[tuple[str, str], Project] = field(default_factory=dict)
    registries_: dict[str, Registry] = field(default_factory=dict)
    before_put: Callable[[Any], None] = lambda _row: None

    def account(self, id_: str) -> Account | None:
        return self.accounts_.get(id_)

    def accounts(self, after: str, limit: int) -> list[Account]:
        return [self.accounts_[id_] for id_ in sorted(self.accounts_) if id_ > after][:limit]

    def put_account(self, account: Account) -> bool:
        return account.id not in self.deleted and self._put(self.accounts_, account.id, account)

    def put_limit(self, account: Account, moved: int) -> bool:
        assert moved == account.limit_bytes - self.accounts_[account.id].limit_bytes
        return self.put_account(account)

    def remove_account(self, account: Account) -> bool:
        removed = self.withdraw_account(account)
        self.deleted |= {account.id} if removed else set()
        return removed

    def withdraw_account(self, account: Account) -> bool:
        return _remove(self.accounts_, account.id, account)

    def project(self, account: str, name: str) -> Project | None:
        return self.projects_.get((account, name))

    def projects(self, account: str, after: str, limit: int) -> list[Project]:
        of_account = (self.projects_[key] for key in sorted(self.projects_) if key[0] == account)
        return [one for one in of_account if one.name > after][:limit]

    def put_project(self, project: Project) -> bool:
        return self._put(self.projects_, (project.account, project.name), project)

    def remove_project(self, project: Project) -> bool:
        return _remove(self.projects_, (project.account, project.name), project)

    def registry(self, name: str) -> Registry | None:
        return self.registries_.get(name)

    def registries(self, account: str, after: str, limit: int) -> list[Registry]:
        rows = (self.registries_[name] for name in sorted(self.registries_) if name > after)
        return [one for one in rows if one.account == account][:limit]

    def put_registry(self, registry: Registry) -> bool:
        return self._put(self.registries_, registry.name, registry)

    def take_registry(self, registry: Registry, now: int) -> bool:
        before = self.registries_.get(registry.name)
        if before is None or before.state != DELETED:
            return False
        if before.reserved >= now and before.account != registry.account:
            return False
        self.registries_[registry.name] = registry
        return True

    def _put(self, rows: dict[Any, Any], key: Any, row: Any) -> bool:
        self.before_put(row)
        if not _follows(rows.get(key), row.version):
            return False
        rows[key] = row
        return True


@dataclass
class Trail:
    """Every record, in the order they came."""

    records: list[Record] = field(default_factory=list)

    def write(self, record: Record) -> None:
        self.records.append(record)

    def read(self, account: str, since: int, until: int, after: str) -> Iterator[Record]:
        raise NotImplementedError("signing in reads no trail")


@dataclass
class IdTokens:
    """Takes the tokens that it was given."""

    good: dict[str, Mapping[str, object]] = field(default_factory=dict)

    def verify(self, token: str, trust: Trust) -> Verdict:  # noqa: ARG002
        return Verdict(self.good.get(token), "not among the good ones")


def _follows(before: Any, version: int) -> bool:
    return version == 1 if before is None else before.version == version - 1


def _remove(rows: dict[Any, Any], key: Any, row: Any) -> bool:
    if rows.get(key) != row:
        return False
    del rows[key]
    return True
