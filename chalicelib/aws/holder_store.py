"""Who names a blob: `registry.holders.HolderStore` on DynamoDB. It reads partitions, so it is for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from chalicelib.aws.content_store import scopes_of
from chalicelib.aws.keys import repository_key, repository_of
from chalicelib.aws.reads import Reads
from chalicelib.aws.rows import link_row
from chalicelib.aws.tables import Tables
from chalicelib.registry.holders import Keeper, Naming
from chalicelib.registry.stores import LIVE, Link
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository


class DynamoHolderStore:
    """Reads are consistent, but for the list of repositories."""

    def __init__(self, tables: Tables, reads: Reads) -> None:
        self._tables, self._reads = tables, reads

    def repositories(self, account: str) -> Iterator[Repository]:
        return (repository_of(one) for one in sorted(scopes_of(self._tables, account)))

    def links(self, repositories: Sequence[Repository], digest: Digest) -> list[tuple[Repository, Link]]:
        asked = [(self._tables.links, repository_key(one), digest) for one in repositories]
        found = sorted(self._reads.get_many(asked), key=lambda model: str(model.repository))
        return [(repository_of(model.repository), link_row(model)) for model in found]

    def naming(self, repository: Repository, digest: Digest, *, is_manifest: bool) -> Iterator[Naming]:
        table: Any = self._tables.manifests
        line = f"{'m' if is_manifest else 'b'}{digest}"
        results = table.query(
            repository_key(repository),
            filter_condition=table.holds.contains(line) & (table.state == LIVE),
            consistent_read=True,
            attributes_to_get=["digest", "pushed"],
        )
        for model in results:
            yield Naming(Digest(model.digest), int(model.pushed.timestamp()) if model.pushed else 0)

    def keeping(self, repository: Repository, digest: Digest) -> Iterator[Keeper]:
        table: Any = self._tables.trash
        results = table.query(
            repository_key(repository),
            filter_condition=table.holds.contains(f"b{digest}"),
            consistent_read=True,
            attributes_to_get=["digest", "due"],
        )
        for model in results:
            yield Keeper(repository, Digest(model.digest), int(model.due))
