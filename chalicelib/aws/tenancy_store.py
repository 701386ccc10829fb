"""Accounts, projects and registries: `identity.tenancy.TenancyStore` on DynamoDB."""

from __future__ import annotations

from typing import Any

from pynamodb.exceptions import DeleteError, PutError

from chalicelib.aws.conditions import check_lost
from chalicelib.aws.reads import Reads
from chalicelib.aws.tables import Tables
from chalicelib.aws.transactions import DynamoTransactions, Put, Update
from chalicelib.identity.tenancy import DELETED, Account, Project, Registry


class DynamoTenancyStore:
    """Reads are consistent, but for the registries of an account: an index, about a second behind on AWS."""

    def __init__(self, tables: Tables, reads: Reads, transactions: DynamoTransactions) -> None:
        self._tables, self._reads, self._transactions = tables, reads, transactions

    def account(self, id_: str) -> Account | None:
        model = self._reads.get(self._tables.accounts, id_)
        return None if model is None or model.deleted else _account(model)

    def accounts(self, after: str, limit: int) -> list[Account]:
        """A scan: there are few, and only operators ask."""
        models = (model for model in self._tables.accounts.scan() if not model.deleted)
        found = sorted((_account(model) for model in models), key=lambda one: one.id)
        return [one for one in found if one.id > after][:limit]

    def put_account(self, account: Account) -> bool:
        return _put(self._tables.accounts, self._account_model(account), account.version)

    def put_limit(self, account: Account, moved: int) -> bool:
        accounts, usage = self._tables.accounts, self._tables.usage
        put = Put(self._account_model(account), accounts.version == account.version - 1)
        # Added to, so that no push between a read and this write is lost.
        free = Update(usage(account.id), [usage.free.add(moved)], usage.account.exists())
        return not self._transactions.write_items([("account", put), ("usage", free)])

    def _account_model(self, account: Account) -> Any:
        return self._tables.accounts(
            id=account.id,
            title=account.title,
            limit_bytes=account.limit_bytes,
            created=account.created,
            version=account.version,
        )

    def remove_account(self, account: Account) -> bool:
        table = self._tables.accounts
        model = table(
            id=account.id,
            limit_bytes=account.limit_bytes,
            created=account.created,
            version=account.version + 1,
            deleted=True,
        )
        return _save(model, table.version == account.version)

    def withdraw_account(self, account: Account) -> bool:
        return _remove(self._tables.accounts(account.id), self._tables.accounts.version == account.version)

    def project(self, account: str, name: str) -> Project | None:
        model = self._reads.get(self._tables.projects, account, name)
        return None if model is None else _project(model)

    def projects(self, account: str, after: str, limit: int) -> list[Project]:
        table = self._tables.projects
        following = table.name > after if after else None
        results = table.query(account, following, limit=limit, consistent_read=True)
        return [_project(model) for model in results]

    def put_project(self, project: Project) -> bool:
        table = self._tables.projects
        model = table(
            account=project.account,
            name=project.name,
            title=project.title,
            created=project.created,
            version=project.version,
        )
        return _put(table, model, project.version)

    def remove_project(self, project: Project) -> bool:
        table = self._tables.projects
        return _remove(table(project.account, project.name), table.version == project.version)

    def registry(self, name: str) -> Registry | None:
        model = self._reads.get(self._tables.registries, name)
        return None if model is None else registry_row(model)

    def registries(self, account: str, after: str, limit: int) -> list[Registry]:
        table = self._tables.registries
        following = table.name > after if after else None
        return [registry_row(model) for model in table.account_name.query(account, following, limit=limit)]

    def put_registry(self, registry: Registry) -> bool:
        return _put(self._tables.registries, self._registry_model(registry), registry.version)

    def take_registry(self, registry: Registry, now: int) -> bool:
        table = self._tables.registries
        free = (table.reserved < now) | (table.account == registry.account)
        return _save(self._registry_model(registry), (table.state == DELETED) & free)

    def _registry_model(self, registry: Registry) -> Any:
        return self._tables.registries(
            name=registry.name,
            account=registry.account,
            project=registry.project,
            title=registry.title,
            state=registry.state,
            created=registry.created,
            version=registry.version,
            reserved=registry.reserved,
            incarnation=registry.incarnation,
        )


def registry_row(model: Any) -> Registry:
    return Registry(
        name=model.name,
        account=model.account,
        project=model.project,
        title=model.title or "",
        state=model.state,
        created=int(model.created),
        version=int(model.version),
        reserved=int(model.reserved or 0),
        incarnation=int(model.incarnation or 0),
    )


def _account(model: Any) -> Account:
    limit = int(model.limit_bytes)
    return Account(model.id, model.title or "", limit, int(model.created), int(model.version))


def _project(model: Any) -> Project:
    return Project(model.account, model.name, model.title or "", int(model.created), int(model.version))


def _put(table: Any, model: Any, version: int) -> bool:
    """The first version where there is no row, another in place of the one before."""
    is_new = version == 1
    return _save(model, table.version.does_not_exist() if is_new else table.version == version - 1)


def _save(model: Any, condition: Any) -> bool:
    try:
        model.save(condition=condition)
    except PutError as error:
        check_lost(error)
        return False
    return True


def _remove(model: Any, condition: Any) -> bool:
    try:
        model.delete(condition=condition)
    except DeleteError as error:
        check_lost(error)
        return False
    return True
