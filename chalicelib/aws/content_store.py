"""Everything a repository holds: `registry.emptying.ContentStore` on DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chalicelib.aws.keys import SHARDS, registry_key, repository_key
from chalicelib.aws.tables import ManifestModel, Tables, TagModel
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository


def manifest_models(
    tables: Tables, repository: Repository, attributes: Sequence[str]
) -> Iterator[ManifestModel]:
    """Every manifest of a repository, in any state, with these attributes alone; consistent."""
    table = tables.manifests
    # The edges of referrers are in the same partition.
    for prefix in ("sha256:", "sha512:"):
        yield from table.query(
            repository_key(repository),
            table.digest.startswith(prefix),
            consistent_read=True,
            attributes_to_get=list(attributes),
        )


def tag_models(tables: Tables, repository: Repository) -> Iterator[TagModel]:
    """Every tag of a repository: what it names, and since when; consistent."""
    attributes = ["tag", "digest", "moved"]
    return tables.tags.query(repository_key(repository), consistent_read=True, attributes_to_get=attributes)


def scopes_of(tables: Tables, account: str) -> set[str]:
    """The keys of all repositories of an account that have anything.

    One is listed once it had a manifest. Before, its links are in the collector's work list, as no manifest
    names them; afterwards, what was deleted of it and can be restored is in that of the trash.
    """
    listed = tables.repositories.account_name.query(account)
    found = {f"{account}/{model.repository}" for model in listed}
    for shard in SHARDS:
        for index in (tables.trash.by_due, tables.links.by_idle):
            keys = (model.repository for model in index.query(shard))
            found |= {key for key in keys if key.startswith(f"{account}/")}
    return found


class DynamoContentStore:
    """Queries are consistent and read keys alone."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def repositories(self, account: str, registry: str) -> Iterator[Repository]:
        results = self._tables.repositories.query(registry_key(account, registry), consistent_read=True)
        yield from (Repository(account, model.repository) for model in results)

    def manifests(self, repository: Repository) -> Iterator[Digest]:
        return (Digest(model.digest) for model in manifest_models(self._tables, repository, ["digest"]))

    def links(self, repository: Repository) -> Iterator[Digest]:
        table = self._tables.links
        results = table.query(repository_key(repository), consistent_read=True, attributes_to_get=["digest"])
        yield from (Digest(model.digest) for model in results)

    def forget(self, repository: Repository) -> None:
        hash_key = registry_key(repository.account, repository.registry)
        self._tables.repositories(hash_key, repository.name).delete()
