"""Repositories: `registry.stores.RepositoryStore` on DynamoDB."""

from __future__ import annotations

from typing import Any

from chalicelib.aws.tables import Tables
from chalicelib.spec.reference import Repository


class DynamoRepositoryStore:
    """`page` reads an index, which on AWS follows a push within about a second."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def exists(self, repository: Repository) -> bool:
        table = self._tables.repositories
        try:
            table.get(repository.registry, repository.name, consistent_read=True)
        except table.DoesNotExist:
            return False
        return True

    def page(self, account: str, after: str, limit: int) -> list[str]:
        index: Any = self._tables.repositories.account_name
        results = index.query(account, index.repository > after if after else None, limit=limit)
        return [model.repository for model in results]
