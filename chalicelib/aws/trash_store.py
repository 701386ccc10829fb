"""Deleted manifests and the history of tags: `registry.stores.TrashStore` and `HistoryStore` on DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chalicelib.aws.keys import repository_key
from chalicelib.aws.reads import Reads
from chalicelib.aws.rows import giving_row, tag_move, trash_row
from chalicelib.aws.tables import Tables
from chalicelib.registry.stores import STAGING, GivingRow, TagMove, TrashRow
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository

PAGE: Final = 100


class DynamoTrashStore:
    """Reads are consistent."""

    def __init__(self, tables: Tables, reads: Reads) -> None:
        self._tables, self._reads = tables, reads

    def get(self, repository: Repository, digest: Digest) -> TrashRow | None:
        model = self._reads.get(self._tables.trash, repository_key(repository), digest)
        return None if model is None else trash_row(model)

    def page(self, repository: Repository, after: str, limit: int) -> list[TrashRow]:
        table = self._tables.trash
        results = table.query(
            repository_key(repository),
            table.digest > after if after else None,
            consistent_read=True,
            # Of the bytes, a page could not be read at once.
            attributes_to_get=[name for name in table.get_attributes() if name != "raw"],
            limit=limit,
        )
        return [trash_row(model) for model in results]

    def giving(self, account: str) -> Iterator[GivingRow]:
        """An index: what just changed may be as it was."""
        found = self._tables.trash.by_giving.query(account, page_size=PAGE)
        return (giving_row(model) for model in found if model.state != STAGING)


class DynamoHistoryStore:
    """Reads are consistent."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def moves(self, repository: Repository, tag: str, until: int, limit: int) -> list[TagMove]:
        table = self._tables.history
        results = table.query(
            repository_key(repository),
            table.move.between(f"{tag}#", f"{tag}#{until:015d}~"),
            consistent_read=True,
            scan_index_forward=False,
            limit=limit,
        )
        return [tag_move(model) for model in results]
