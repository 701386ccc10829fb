"""Rows of blobs in the order of their storage keys, and how far the sweep is: `registry.sweep.SweepStore`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chalicelib.aws.reads import Reads
from chalicelib.aws.tables import Tables
from chalicelib.registry.sweep import StoredBlob
from chalicelib.spec.digest import Digest

_SCOPE: Final = "sweep"
_KIND: Final = "cursor"


class DynamoSweepStore:
    """The cursor is a row beside the policies, whose scopes begin with an account."""

    def __init__(self, tables: Tables, reads: Reads) -> None:
        self._tables, self._reads = tables, reads

    def blobs(self, account: str, kind: str, after: str) -> Iterator[StoredBlob]:
        table: Any = self._tables.blobs
        last = f"{kind}\U0010ffff"
        found = table.by_storage_key.query(account, table.storage_key.between(after or kind, last))
        for model in found:
            if model.storage_key != after:
                yield StoredBlob(account, Digest(model.digest), model.storage_key)

    def cursor(self) -> str:
        model = self._reads.get(self._tables.policies, _SCOPE, _KIND)
        return "" if model is None else str(model.document)

    def remember(self, cursor: str) -> None:
        self._tables.policies(_SCOPE, _KIND, document=cursor, version=1).save()
