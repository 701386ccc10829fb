"""Rows of sessions that have one writer at a time, whatever else is in them: every write is conditional."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pynamodb.exceptions import DeleteError, PutError, UpdateError
from pynamodb.expressions.condition import Condition

from chalicelib.aws.conditions import check_lost
from chalicelib.aws.reads import Reads
from chalicelib.aws.repeats import was_sent_again

# The collector ends sessions as they expire, with all that is theirs; DynamoDB would take the row alone.
_LATER: Final = timedelta(days=7)


def session_ttl(expires: int) -> datetime:
    return datetime.fromtimestamp(expires, UTC) + _LATER


class SessionRows:
    """Of one table, keyed by `session`. A `writer` has a row until it lets go or its `lease` runs out."""

    def __init__(self, table: Any, reads: Reads) -> None:
        self._table = table
        self._reads = reads

    def create(self, model: Any) -> None:
        try:
            model.save(condition=self._table.session.does_not_exist())
        except PutError as error:
            check_lost(error)
            # Nobody else has made this session: its id is random.
            if not was_sent_again(error):
                raise

    def get(self, session: str) -> Any | None:
        return self._reads.get(self._table, session)

    def acquire(self, session: str, writer: str, *, now: int, lease: int, where: Condition) -> Any | None:
        """None where `where` does not hold, or another writer has it."""
        table = self._table
        # Its own writer too: botocore may send again what took effect already.
        free = table.writer.does_not_exist() | (table.lease < now) | (table.writer == writer)
        return self.change(session, [table.writer.set(writer), table.lease.set(lease)], where & free)

    def change(self, session: str, actions: list[Any], where: Condition) -> Any | None:
        """The row as it is then; None where `where` does not hold."""
        model = self._table(session)
        try:
            model.update(actions, condition=where)
        except UpdateError as error:
            check_lost(error)
            return None
        return model

    def save(self, model: Any, writer: str) -> bool:
        """False where another writer has it. Raises PutError where that may be this call, sent before."""
        try:
            model.save(condition=self._table.writer == writer)
        except PutError as error:
            check_lost(error)
            if was_sent_again(error):
                raise
            return False
        return True

    def remove(self, session: str, where: Condition) -> Any | None:
        """The row as it was when it went, with all the bytes that somebody has to delete now."""
        connection = self._table._get_connection()  # noqa: SLF001 - a model's own delete returns no attributes
        try:
            answer = connection.delete_item(session, condition=where, return_values="ALL_OLD")
        except DeleteError as error:
            check_lost(error)
            return None
        return self._table.from_raw_data(answer["Attributes"])
