"""What accounts use: `registry.stores.UsageStore` on DynamoDB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pynamodb.exceptions import PutError, UpdateError

from chalicelib.aws.conditions import check_lost
from chalicelib.aws.reads import Reads
from chalicelib.aws.tables import Tables
from chalicelib.registry.stores import Usage


class DynamoUsageStore:
    """`free` moves with the limit, and never without it."""

    def __init__(self, tables: Tables, reads: Reads) -> None:
        self._tables, self._reads = tables, reads

    def get(self, account: str) -> Usage | None:
        model = self._reads.get(self._tables.usage, account)
        return None if model is None else _usage(model)

    def open(self, account: str, limit: int) -> None:
        table = self._tables.usage
        stored = self._stored(account)
        try:
            model = table(account=account, bytes=stored, free=limit - stored, level=0, turn=0)
            model.save(condition=table.account.does_not_exist())
        except PutError as error:
            check_lost(error)

    def many(self, accounts: Sequence[str]) -> dict[str, Usage]:
        if not accounts:
            return {}
        found = self._reads.get_many([(self._tables.usage, account, None) for account in accounts])
        return {model.account: _usage(model) for model in found}

    def repair(self, account: str, seen: Usage, stored: int, limit: int) -> bool:
        table: Any = self._tables.usage
        # A blob comes and goes in the transaction that takes a turn: nothing did since `seen`.
        same = (table.turn == seen.turn) if seen.turn else (table.turn.does_not_exist() | (table.turn == 0))
        same &= (table.bytes == seen.bytes) & (table.free == seen.free)
        try:
            actions = [table.bytes.set(stored), table.free.set(limit - stored)]
            table(account).update(actions, condition=same)
        except UpdateError as error:
            check_lost(error)
            return False
        return True

    def _stored(self, account: str) -> int:
        table = self._tables.blobs
        results = table.query(account, consistent_read=True, attributes_to_get=["size"])
        return sum(int(model.size) for model in results)


def _usage(model: Any) -> Usage:
    counted, free = int(model.bytes), int(model.free)
    return Usage(counted, counted + free, int(model.level or 0), int(model.turn or 0))
