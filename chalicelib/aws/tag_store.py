"""Tags: `registry.stores.TagStore` on DynamoDB."""

from __future__ import annotations

from chalicelib.aws.keys import repository_key
from chalicelib.aws.reads import Reads
from chalicelib.aws.rows import tag_row
from chalicelib.aws.tables import Tables
from chalicelib.registry.stores import TagRow
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository


class DynamoTagStore:
    """Reads are consistent."""

    def __init__(self, tables: Tables, reads: Reads) -> None:
        self._tables, self._reads = tables, reads

    def get(self, repository: Repository, tag: str) -> TagRow | None:
        model = self._reads.get(self._tables.tags, repository_key(repository), tag)
        return None if model is None else tag_row(model)

    def page(self, repository: Repository, after: str, limit: int) -> list[str]:
        table = self._tables.tags
        results = table.query(
            repository_key(repository),
            table.tag > after if after else None,
            consistent_read=True,
            limit=limit,
            attributes_to_get=["tag"],
        )
        return [model.tag for model in results]

    def naming(self, repository: Repository, digest: Digest) -> list[str]:
        table = self._tables.tags
        results = table.by_digest.query(
            repository_key(repository), table.digest == digest, consistent_read=True
        )
        return [model.tag for model in results]
