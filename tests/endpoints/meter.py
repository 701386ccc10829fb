"""DynamoDB's request units of what a process sends, from the rows: moto's own leave out the indexes.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from ccr.cli.cost.requests import READ_BYTES, WRITE_BYTES
from chalicelib.aws.clients import session
from chalicelib.wiring import Deployment

Row = dict[str, Any]


@dataclass
class Meter:
    """Counts while it is `metered`."""

    client: Any
    reads: float = 0
    writes: float = 0
    s3: list[str] = field(default_factory=list)
    _before: list[tuple[str, Row, Row | None]] = field(default_factory=list)
    _schemas: dict[str, Any] = field(default_factory=dict)

    def asked(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self._before = []
        if model.name in {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"}:
            request = json.loads(params["body"])
            items = [next(iter(item.values())) for item in request.get("TransactItems", [{"only": request}])]
            self._before = [self._row(item["TableName"], self._key(item)) for item in items]

    def answered(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        if "Error" in parsed:
            return
        factor = 2 if model.name == "TransactWriteItems" else 1
        for table, key, before in self._before:
            self._wrote(table, before, self._row(table, key)[2], factor)
        if model.name == "GetItem":
            self.reads += _blocks(_size(parsed.get("Item")), READ_BYTES)
        elif model.name in {"Query", "Scan"}:
            # None of them that is scheduled reads consistently.
            self.reads += _blocks(sum(map(_size, parsed["Items"])), READ_BYTES) / 2

    def asked_many(self, params: dict[str, Any], **_: Any) -> None:
        for request in json.loads(params["body"])["RequestItems"].values():
            self.reads += len(request["Keys"])

    def _key(self, item: Row) -> Row:
        if "Key" in item:
            return dict(item["Key"])
        names = [one["AttributeName"] for one in self._schema(item["TableName"])["KeySchema"]]
        return {name: item["Item"][name] for name in names}

    def _row(self, table: str, key: Row) -> tuple[str, Row, Row | None]:
        return table, key, self.client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")

    def _schema(self, table: str) -> Any:
        if table not in self._schemas:
            self._schemas[table] = self.client.describe_table(TableName=table)["Table"]
        return self._schemas[table]

    def _wrote(self, table: str, before: Row | None, after: Row | None, factor: int) -> None:
        self.writes += factor * _blocks(max(_size(before), _size(after)), WRITE_BYTES)
        schema = self._schema(table)
        primary = {one["AttributeName"] for one in schema["KeySchema"]}
        for index in [*schema.get("GlobalSecondaryIndexes", ()), *schema.get("LocalSecondaryIndexes", ())]:
            keys = {one["AttributeName"] for one in index["KeySchema"]}
            more = set(index["Projection"].get("NonKeyAttributes", ()))
            names = primary | keys | more if index["Projection"]["ProjectionType"] != "ALL" else None
            old, new = _projected(before, keys, names), _projected(after, keys, names)
            if old == new:
                continue
            is_moved = old and new and any(old[name] != new[name] for name in keys)
            self.writes += 2 if is_moved else 1


def _projected(row: Row | None, keys: set[str], names: set[str] | None) -> Row | None:
    if row is None or not keys <= row.keys():
        return None
    return {name: value for name, value in row.items() if names is None or name in names}


def _blocks(size: int, block: int) -> int:
    return max(1, ceil(size / block))


def _size(row: Row | None) -> int:
    return sum(len(name) + _value_size(value) for name, value in (row or {}).items())


def _value_size(value: dict[str, Any]) -> int:
    ((kind, said),) = value.items()
    if kind == "N":
        return len(said) // 2 + 1
    return len(said.encode()) if isinstance(said, str) else len(said) if isinstance(said, bytes) else 1


@contextmanager
def metered(deployment: Deployment) -> Iterator[Meter]:
    meter = Meter(session(deployment.settings).client("dynamodb"))
    own, s3 = deployment.dynamodb.meta.events, deployment._s3.meta.events

    def to_s3(model: Any, **_: Any) -> None:
        meter.s3.append(model.name)

    hooks = [
        (own, "before-call.dynamodb", meter.asked),
        (own, "before-call.dynamodb.BatchGetItem", meter.asked_many),
        (own, "after-call.dynamodb", meter.answered),
        (s3, "before-call.s3", to_s3),
    ]
    for events, name, hook in hooks:
        events.register(name, hook)
    try:
        yield meter
    finally:
        for events, name, hook in hooks:
            events.unregister(name, hook)
