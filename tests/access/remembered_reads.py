"""Reads of moto remembered until the table is written to, and its tables put back to what they were.

moto takes ten times as long to answer a read as all of our code does, and a matrix reads the same few rows.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.aws.calls import count
from chalicelib.aws.reads import Key, PynamoReads, Reads

WRITES = ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem")


class RememberedReads:
    """`chalicelib.aws.reads.Reads`; each read counts as a call, whether it is made or remembered."""

    def __init__(self, client: Any, reads: Reads) -> None:
        self._reads = reads
        self._known: dict[str, dict[Any, Any]] = {}
        self.written: set[str] = set()
        client.meta.events.register("before-send.dynamodb", self._written)

    def get(self, model: Any, hash_key: str, range_key: str | None = None) -> Any | None:
        known = self._known.setdefault(model.Meta.table_name, {})
        key = (model, hash_key, range_key)
        if key in known:
            count("dynamodb")
        else:
            known[key] = self._reads.get(model, hash_key, range_key)
        return known[key]

    def get_many(self, keys: Sequence[Key]) -> list[Any]:
        named = [(key[0].Meta.table_name, key) for key in keys]
        if all(key in self._known.setdefault(table, {}) for table, key in named):
            count("dynamodb")
        else:
            found = self._reads.get_many(keys)
            for table, key in named:
                self._known.setdefault(table, {})[key] = next((row for row in found if _is(row, key)), None)
        rows = [self._known[table].get(key) for table, key in named]
        return [row for row in rows if row is not None]

    def _written(self, request: Any, **_: object) -> None:
        if request.headers["X-Amz-Target"].decode().endswith(WRITES):
            for table in _tables(json.loads(request.body)):
                self.forget(table)

    def forget(self, table: str) -> None:
        self.written.add(table)
        self._known.pop(table, None)


def remembering(_settings: object, _session: object, connection: Any) -> RememberedReads:
    """In place of `chalicelib.aws.clients.row_reads`."""
    return RememberedReads(connection.client, PynamoReads(connection))


def _is(row: Any, key: Key) -> bool:
    model, hash_key, range_key = key
    own_range = model._range_key_attribute()
    return (
        isinstance(row, model)
        and getattr(row, model._hash_key_attribute().attr_name) == hash_key
        and (own_range is None or getattr(row, own_range.attr_name) == range_key)
    )


def _tables(request: dict[str, Any]) -> list[str]:
    if "TableName" in request:
        return [request["TableName"]]
    if "RequestItems" in request:
        return list(request["RequestItems"])
    return [next(iter(item.values()))["TableName"] for item in request["TransactItems"]]


class Snapshot:
    """What all tables held at one moment; with `reads`, `restore` costs only as much as was written since."""

    def __init__(self, tables: Mapping[str, Any], reads: RememberedReads | None = None) -> None:
        self._tables, self._reads = tables, reads
        self._kept = {name: copy.deepcopy(table.items) for name, table in tables.items()}
        if reads is not None:
            reads.written.clear()

    @property
    def holds(self) -> bool:
        """Whether nothing has been written to them since."""
        return self._reads is not None and not self._reads.written

    def restore(self) -> None:
        for name in list(self._tables if self._reads is None else self._reads.written):
            self._tables[name].items = copy.deepcopy(self._kept[name])
            if self._reads is not None:
                self._reads.forget(name)
        if self._reads is not None:
            self._reads.written.clear()
