"""Everything a repository holds: `registry.emptying.ContentStore` on DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.aws.keys import registry_key, repository_key
from chalicelib.aws.tables import Tables
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository


class DynamoContentStore:
    """Queries are consistent and read keys alone."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def repositories(self, account: str, registry: str) -> Iterator[Repository]:
        results = self._tables.repositories.query(registry_key(account, registry), consistent_read=True)
        yield from (Repository(account, model.repository) for model in results)

    def manifests(self, repository: Repository) -> Iterator[Digest]:
        table = self._tables.manifests
        for prefix in ("sha256:", "sha512:"):
            results = table.query(
                repository_key(repository),
                table.digest.startswith(prefix),
                consistent_read=True,
                attributes_to_get=["digest"],
            )
            yield from (Digest(model.digest) for model in results)

    def links(self, repository: Repository) -> Iterator[Digest]:
        table = self._tables.links
        results = table.query(repository_key(repository), consistent_read=True, attributes_to_get=["digest"])
        yield from (Digest(model.digest) for model in results)

    def forget(self, repository: Repository) -> None:
        hash_key = registry_key(repository.account, repository.registry)
        self._tables.repositories(hash_key, repository.name).delete()
