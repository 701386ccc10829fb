"""Everything a deployment on moto holds, read past its code: rows, objects, open multipart uploads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

KEPT = "credentials"


@dataclass(frozen=True)
class Inventory:
    """Rows by table and key; object keys with the sizes of their bytes; keys of multipart uploads."""

    rows: dict[str, dict[str, Any]]
    objects: dict[str, int]
    multiparts: list[str]

    @property
    def visible(self) -> Inventory:
        """All but upload sessions, which only their holder can name."""
        rows = {table: kept for table, kept in self.rows.items() if not table.endswith("uploads")}
        return Inventory(rows, self.objects, self.multiparts)

    @property
    def lasting(self) -> Inventory:
        """All but what a failed login leaves on purpose: its count, and its entry in the audit trail."""
        rows = {table: kept for table, kept in self.rows.items() if not table.endswith(("attempts", "audit"))}
        return Inventory(rows, self.objects, self.multiparts)

    @property
    def sessions(self) -> dict[str, Any]:
        return next(rows for table, rows in self.rows.items() if table.endswith("uploads"))


def take() -> Inventory:
    """But when a link was last relied on: whoever looks at one that no manifest names renews that."""
    rows = {name: dict(_rows(table)) for name, table in _tables().items()}
    for name, found in rows.items():
        if name.endswith("links"):
            rows[name] = {key: _unmarked(row) for key, row in found.items()}
    bucket = _bucket()
    objects = {key: bucket.keys[key].size for key in bucket.keys}
    return Inventory(rows, objects, sorted(part.key_name for part in bucket.multiparts.values()))


def _unmarked(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in {"idle", "version"}}


def wipe() -> None:
    """Forget everything but the credentials, a hundred times faster than new tables are made."""
    for name, table in _tables().items():
        if not name.endswith(KEPT):
            table.items.clear()
    _bucket().keys.clear()
    _bucket().multiparts.clear()


def _rows(table: Any) -> Any:
    for hash_key, found in table.items.items():
        if not isinstance(found, dict):
            yield str(hash_key.value), found.to_json()["Attributes"]
            continue
        for range_key, item in found.items():
            yield f"{hash_key.value} {range_key.value}", item.to_json()["Attributes"]


def _tables() -> Any:
    return get_backend("dynamodb")[DEFAULT_ACCOUNT_ID]["us-east-1"].tables


def _bucket() -> Any:
    return get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"].buckets["ccr"]
