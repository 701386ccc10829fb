"""The audit trail: `identity.audit.Trail` on DynamoDB, a partition for each account and day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from chalicelib.aws.keys import audit_day
from chalicelib.aws.tables import Tables
from chalicelib.identity.audit import KEEP_SECONDS, Record

_DAY: Final = 24 * 3600 * 1000


class DynamoTrail:
    """A record is written once and never changed."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def write(self, record: Record) -> None:
        audit_model(self._tables, record).save()

    def read(self, account: str, since: int, until: int, after: str) -> Iterator[Record]:
        table = self._tables.audit
        last = min(until, int(after.partition("-")[0])) if after else until
        for day in range(last // _DAY, since // _DAY - 1, -1):
            upper = after or f"{until:015d}~"
            condition = table.id.between(f"{since:015d}", upper)
            for model in table.query(audit_day(account, day * _DAY), condition, scan_index_forward=False):
                if model.id != after:
                    yield _record(account, model)


def audit_model(tables: Tables, record: Record) -> Any:
    document = {
        "actor": record.actor,
        "action": record.action,
        "target": record.target,
        "address": record.address,
        "result": record.result,
        "detail": record.detail,
    }
    return tables.audit(
        day=audit_day(record.account, record.at),
        id=record.id,
        document=json.dumps(document),
        expires=datetime.fromtimestamp(record.at / 1000 + KEEP_SECONDS, UTC),
    )


def _record(account: str, model: Any) -> Record:
    at, _, nonce = model.id.partition("-")
    return Record(account=account, at=int(at), nonce=nonce, **json.loads(model.document))
