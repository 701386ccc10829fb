"""Repositories: `registry.stores.RepositoryStore` on DynamoDB."""

from __future__ import annotations

from chalicelib.aws.keys import registry_key
from chalicelib.aws.reads import Reads
from chalicelib.aws.tables import Tables
from chalicelib.spec.reference import Repository


class DynamoRepositoryStore:
    """`page` reads an index, which on AWS follows a push within about a second."""

    def __init__(self, tables: Tables, reads: Reads) -> None:
        self._tables, self._reads = tables, reads

    def exists(self, repository: Repository) -> bool:
        table = self._tables.repositories
        hash_key = registry_key(repository.account, repository.registry)
        return self._reads.get(table, hash_key, repository.name) is not None

    def page(self, account: str, after: str, limit: int) -> list[str]:
        table = self._tables.repositories
        following = table.repository > after if after else None
        results = table.account_name.query(account, following, limit=limit)
        return [model.repository for model in results]

    def in_registry(self, account: str, registry: str, after: str, limit: int) -> list[str]:
        """Sorted, consistent."""
        table = self._tables.repositories
        following = table.repository > after if after else None
        results = table.query(registry_key(account, registry), following, limit=limit, consistent_read=True)
        return [model.repository for model in results]
