"""Answers to creates, kept for a day under the caller's key: `management.idempotency.AnswerStore`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from pynamodb.exceptions import PutError

from chalicelib.aws.conditions import check_lost
from chalicelib.aws.reads import Reads
from chalicelib.aws.tables import Tables

KEPT: Final = timedelta(days=1)


class DynamoAnswerStore:
    def __init__(self, tables: Tables, reads: Reads) -> None:
        self._table, self._reads = tables.idempotency, reads

    def begin(self, key: str, fingerprint: str) -> bool:
        """False: another request has that key, now or since a day."""
        table, now = self._table, datetime.now(UTC)
        model = table(key=key, fingerprint=fingerprint, expires=now + KEPT)
        try:
            model.save(condition=table.key.does_not_exist() | (table.expires < now))
        except PutError as error:
            check_lost(error)
            return False
        return True

    def get(self, key: str) -> tuple[str, str | None] | None:
        """The fingerprint of the request and its answer, None while it is being made."""
        model = self._reads.get(self._table, key)
        return None if model is None else (model.fingerprint, model.answer)

    def keep(self, key: str, answer: str) -> None:
        self._table(key).update([self._table.answer.set(answer)])

    def drop(self, key: str) -> None:
        self._table(key).delete()
