"""Sessions of direct uploads: `registry.stores.DirectStore` on DynamoDB, every write conditional."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pynamodb.exceptions import DeleteError, PutError, UpdateError

from chalicelib.aws.conditions import check_lost
from chalicelib.aws.reads import Reads
from chalicelib.aws.repeats import was_sent_again
from chalicelib.aws.tables import DirectModel, Tables
from chalicelib.registry.stores import OPEN, PUBLISHED, VERIFYING, DirectRow
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository


class DynamoDirectStore:
    """A session has a `writer` while it is verified, or until the lease of one that died runs out."""

    def __init__(self, tables: Tables, reads: Reads) -> None:
        self._table: Any = tables.direct
        self._reads = reads

    def create(self, row: DirectRow) -> None:
        self._model(row).save(condition=self._table.session.does_not_exist())

    def get(self, session: str) -> DirectRow | None:
        model = self._reads.get(self._table, session)
        return None if model is None else _row(model)

    def verifying(self, session: str, lease: int) -> bool:
        table = self._table
        actions = [table.state.set(VERIFYING), table.lease.set(lease)]
        try:
            table(session).update(actions, condition=table.state == OPEN)
        except UpdateError as error:
            check_lost(error)
            return False
        return True

    def acquire(self, session: str, writer: str, *, now: int, lease: int) -> DirectRow | None:
        table = self._table
        # Its own writer too: botocore may send again what took effect already.
        free = table.writer.does_not_exist() | (table.lease < now) | (table.writer == writer)
        model = table(session)
        actions = [table.writer.set(writer), table.lease.set(lease)]
        try:
            model.update(actions, condition=(table.state == VERIFYING) & free)
        except UpdateError as error:
            check_lost(error)
            return None
        return _row(model)

    def save(self, row: DirectRow, writer: str, lease: int = 0) -> bool:
        table = self._table
        model = self._model(row)
        if lease:
            model.writer, model.lease = writer, lease
        try:
            model.save(condition=table.writer == writer)
        except PutError as error:
            check_lost(error)
            if was_sent_again(error):
                raise
            return False
        return True

    def remove(self, session: str) -> DirectRow | None:
        table = self._table
        connection = table._get_connection()  # noqa: SLF001 - a model's own delete returns no attributes
        there = table.session.exists() & (table.state != PUBLISHED)
        try:
            answer = connection.delete_item(session, condition=there, return_values="ALL_OLD")
        except DeleteError as error:
            check_lost(error)
            return None
        return _row(table.from_raw_data(answer["Attributes"]))

    def _model(self, row: DirectRow) -> DirectModel:
        model: DirectModel = self._table(
            session=row.session,
            account=row.repository.account,
            repository=row.repository.name,
            digest=row.digest,
            size=row.size,
            key=row.key,
            is_final=row.is_final,
            multipart_id=row.multipart_id,
            part_size=row.part_size,
            state=row.state,
            verified=row.verified,
            hash_state=row.hash_state,
            detail=row.detail or None,
            expires=datetime.fromtimestamp(row.expires, UTC),
        )
        return model


def _row(model: DirectModel) -> DirectRow:
    return DirectRow(
        session=model.session,
        repository=Repository(model.account, model.repository),
        digest=Digest(model.digest),
        size=int(model.size),
        key=model.key,
        is_final=bool(model.is_final),
        multipart_id=model.multipart_id,
        part_size=int(model.part_size),
        state=model.state,
        verified=int(model.verified),
        hash_state=model.hash_state,
        detail=model.detail or "",
        expires=int(model.expires.timestamp()),
        lease=int(model.lease or 0),
    )
