"""Accounts, projects and registries: what they are and how they come and go."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

from chalicelib.identity.names import check_name, check_registry_name
from chalicelib.identity.refusals import Reason, RefusedError, not_found, stale

FREE_BYTES: Final = 10 * 1024**3
DEFAULT_PROJECT: Final = "default"
RESERVED_SECONDS: Final = 30 * 24 * 3600

ACTIVE: Final = "active"
DELETING: Final = "deleting"
DELETED: Final = "deleted"

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Account:
    """`version` goes up with each change; times are epoch seconds."""

    id: str
    title: str = ""
    limit_bytes: int = FREE_BYTES
    created: int = 0
    version: int = 1


@dataclass(frozen=True, slots=True)
class Project:
    account: str
    name: str
    title: str = ""
    created: int = 0
    version: int = 1


@dataclass(frozen=True, slots=True)
class Registry:
    """Its name is unique in the deployment; once deleted, nobody else may have it until `reserved`.

    `incarnation` tells it from every other that had or will have the name: what was granted on those counts
    for nothing here.
    """

    name: str
    account: str
    project: str
    title: str = ""
    state: str = ACTIVE
    created: int = 0
    version: int = 1
    reserved: int = 0
    incarnation: int = 0


class TenancyStore(Protocol):
    """Each `put` holds if the row has the version before (`version` 1: if no row is there)."""

    def account(self, id_: str) -> Account | None: ...
    def accounts(self, after: str, limit: int) -> list[Account]: ...
    def put_account(self, account: Account) -> bool: ...
    def put_limit(self, account: Account, moved: int) -> bool:
        """With what is free of its usage, which is counted already, moved by as much as its limit."""
        ...

    def remove_account(self, account: Account) -> bool:
        """Its id stays taken."""
        ...

    def withdraw_account(self, account: Account) -> bool:
        """As if it had never been made."""
        ...

    def project(self, account: str, name: str) -> Project | None: ...
    def projects(self, account: str, after: str, limit: int) -> list[Project]: ...
    def put_project(self, project: Project) -> bool: ...
    def remove_project(self, project: Project) -> bool: ...
    def registry(self, name: str) -> Registry | None: ...
    def registries(self, account: str, after: str, limit: int) -> list[Registry]:
        """Of every project and in every state, sorted by name."""
        ...

    def put_registry(self, registry: Registry) -> bool: ...
    def take_registry(self, registry: Registry, now: int) -> bool:
        """Put it in place of a deleted one whose reservation ended before `now`, or of its own account's."""
        ...


@dataclass(frozen=True, slots=True)
class Tenancy:
    """Who may call what is decided before; here is only what is possible."""

    store: TenancyStore
    clock: Callable[[], float] = time.time
    # Takes away what tokens of before may have put under a name after its registry was deleted.
    clear: Callable[[Registry], object] = lambda _registry: None

    def create_account(self, id_: str, title: str = "", limit_bytes: int = FREE_BYTES) -> Account:
        """Raises RefusedError (INVALID, CONFLICT)."""
        account = Account(check_name("account", id_), title, limit_bytes, created=self._now())
        if not self.store.put_account(account):
            raise _there("account", id_)
        return account

    def account(self, id_: str) -> Account:
        """Raises RefusedError (NOT_FOUND)."""
        return _found(self.store.account(id_), "account", id_)

    def change_account(self, before: Account, *, title: str, limit_bytes: int | None = None) -> Account:
        """A limit below what is used refuses pushes, and no pull. Raises RefusedError (STALE)."""
        limit = before.limit_bytes if limit_bytes is None else limit_bytes
        account = replace(before, title=title, limit_bytes=limit, version=before.version + 1)
        moved = limit - before.limit_bytes
        if not (self.store.put_limit(account, moved) if moved else self.store.put_account(account)):
            raise stale("account", account.id)
        return account

    def withdraw_account(self, account: Account) -> None:
        """One that nobody could use yet. Raises RefusedError (STALE)."""
        if not self.store.withdraw_account(account):
            raise stale("account", account.id)

    def delete_account(self, account: Account) -> None:
        """Nobody gets its id again: the audit trail stays under it, for one.

        Raises RefusedError (CONFLICT while it has projects, STALE).
        """
        if self.store.projects(account.id, "", 1):
            raise _not_empty("account", account.id, "projects")
        if not self.store.remove_account(account):
            raise stale("account", account.id)

    def create_project(self, account: str, name: str, title: str = "") -> Project:
        """Raises RefusedError (INVALID, CONFLICT)."""
        project = Project(account, check_name("project", name), title, created=self._now())
        if not self.store.put_project(project):
            raise _there("project", name)
        return project

    def default_project(self, account: str) -> Project:
        """Where registries go that nobody put elsewhere."""
        found = self.store.project(account, DEFAULT_PROJECT)
        try:
            return found or self.create_project(account, DEFAULT_PROJECT, "Made with the first push")
        except RefusedError:
            # Two first pushes at once: the other one made it.
            return self.project(account, DEFAULT_PROJECT)

    def project(self, account: str, name: str) -> Project:
        """Raises RefusedError (NOT_FOUND)."""
        return _found(self.store.project(account, name), "project", name)

    def change_project(self, before: Project, *, title: str) -> Project:
        """Raises RefusedError (STALE)."""
        project = replace(before, title=title, version=before.version + 1)
        if not self.store.put_project(project):
            raise stale("project", project.name)
        return project

    def delete_project(self, project: Project) -> None:
        """Raises RefusedError (CONFLICT while it has registries, STALE)."""
        if self.registries(project.account, project.name):
            raise _not_empty("project", project.name, "registries")
        if not self.store.remove_project(project):
            raise stale("project", project.name)

    def create_registry(
        self,
        project: Project,
        name: str,
        title: str = "",
        may_follow: Callable[[Registry], bool] | None = None,
    ) -> Registry:
        """Where the account deleted one of that name in another project, what is kept of it comes along:
        `may_follow` says whether the caller may have that; nobody may where it is None.

        Raises RefusedError (INVALID; CONFLICT while the name is another's or reserved).
        """
        now = self._now()
        registry = Registry(
            check_registry_name(name),
            project.account,
            project.name,
            title,
            created=now,
            incarnation=int(self.clock() * 1000),
        )
        if self.store.put_registry(registry):
            return registry
        before = self.store.registry(name)
        if before is not None and _may_follow(before, registry, may_follow):
            # Later than the one before, whatever the clocks of two machines say.
            later = max(registry.incarnation, before.incarnation + 1)
            registry = replace(registry, incarnation=later)
            if before.state == DELETED and before.account == registry.account:
                self.clear(before)
            if self.store.take_registry(registry, now):
                self.clear(registry)
                return registry
        raise _taken("registry", name)

    def registry(self, account: str, name: str) -> Registry:
        """Raises RefusedError (NOT_FOUND), for another account's too."""
        registry = self.store.registry(name)
        if registry is None or registry.account != account or registry.state == DELETED:
            raise not_found("registry", name)
        return registry

    def registries(self, account: str, project: str | None = None) -> list[Registry]:
        """Those that are not deleted, sorted by name."""
        found: list[Registry] = []
        after = ""
        while page := self.store.registries(account, after, 1000):
            found += page
            after = page[-1].name
        return [one for one in found if one.state != DELETED and project in {None, one.project}]

    def change_registry(self, before: Registry, *, title: str, project: str) -> Registry:
        """Raises RefusedError (STALE)."""
        return self._put_registry(replace(before, title=title, project=project, version=before.version + 1))

    def begin_deletion(self, registry: Registry) -> Registry:
        """From here on nobody may push to it or pull from it. Raises RefusedError (STALE)."""
        if registry.state == DELETING:
            return registry
        return self._put_registry(replace(registry, state=DELETING, version=registry.version + 1))

    def end_deletion(self, registry: Registry) -> None:
        """Keep the name for `RESERVED_SECONDS`. Raises RefusedError (STALE)."""
        reserved = self._now() + RESERVED_SECONDS
        version = registry.version + 1
        self._put_registry(replace(registry, state=DELETED, reserved=reserved, version=version))

    def _put_registry(self, registry: Registry) -> Registry:
        if not self.store.put_registry(registry):
            raise stale("registry", registry.name)
        return registry

    def _now(self) -> int:
        return int(self.clock())


def _found(row: _Row | None, what: str, name: str) -> _Row:
    if row is None:
        raise not_found(what, name)
    return row


def _there(what: str, name: str) -> RefusedError:
    """Who may make one sees all of them."""
    return RefusedError(
        Reason.CONFLICT,
        f"there is {'an' if what == 'account' else 'a'} {what} {name!r} already: choose another name",
    )


def _may_follow(before: Registry, registry: Registry, may: Callable[[Registry], bool] | None) -> bool:
    is_other = before.account == registry.account and before.project != registry.project
    return not is_other or (may is not None and may(before))


def _taken(what: str, name: str) -> RefusedError:
    return RefusedError(Reason.CONFLICT, f"the name {name!r} cannot be had for a {what}: choose another")


def _not_empty(what: str, name: str, holds: str) -> RefusedError:
    return RefusedError(Reason.CONFLICT, f"the {what} {name!r} still has {holds}: delete those first")
