"""Upload sessions: `registry.stores.UploadStore` on DynamoDB, every write conditional."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from pynamodb.exceptions import DeleteError, PutError, UpdateError

from chalicelib.aws.conditions import check_lost
from chalicelib.aws.reads import Reads
from chalicelib.aws.repeats import was_sent_again
from chalicelib.aws.rows import upload_row
from chalicelib.aws.tables import Tables, UploadModel
from chalicelib.registry.stores import UploadRow


class DynamoUploadStore:
    """A session has a `writer` from `acquire` to `save`, or until its lease runs out."""

    def __init__(self, tables: Tables, reads: Reads) -> None:
        self._table: Any = tables.uploads
        self._reads = reads

    def create(self, row: UploadRow) -> None:
        try:
            self._model(row).save(condition=self._table.session.does_not_exist())
        except PutError as error:
            check_lost(error)
            # Nobody else has made this session: its id is random.
            if not was_sent_again(error):
                raise

    def get(self, session: str) -> UploadRow | None:
        model = self._reads.get(self._table, session)
        return None if model is None else upload_row(model)

    def acquire(self, session: str, writer: str, *, now: int, lease: int) -> UploadRow | None:
        table = self._table
        # Its own writer too: botocore may send again what took effect already.
        free = table.writer.does_not_exist() | (table.lease < now) | (table.writer == writer)
        model = table(session)
        actions = [table.writer.set(writer), table.lease.set(lease)]
        try:
            model.update(actions, condition=table.session.exists() & free)
        except UpdateError as error:
            check_lost(error)
            return None
        return upload_row(model)

    def renew(self, session: str, writer: str, lease: int) -> bool:
        table = self._table
        try:
            table(session).update([table.lease.set(lease)], condition=table.writer == writer)
        except UpdateError as error:
            check_lost(error)
            return False
        return True

    def save(self, row: UploadRow, writer: str) -> bool:
        try:
            self._model(row).save(condition=self._table.writer == writer)
        except PutError as error:
            check_lost(error)
            if was_sent_again(error):
                raise
            return False
        return True

    def remove(self, session: str) -> UploadRow | None:
        """The row as it was when it went, with all the bytes that somebody has to delete now."""
        table = self._table
        connection = table._get_connection()  # noqa: SLF001 - a model's own delete returns no attributes
        try:
            answer = connection.delete_item(
                session, condition=table.session.exists(), return_values="ALL_OLD"
            )
        except DeleteError as error:
            check_lost(error)
            return None
        return upload_row(table.from_raw_data(answer["Attributes"]))

    def _model(self, row: UploadRow) -> UploadModel:
        model: UploadModel = self._table(
            session=row.session,
            account=row.repository.account,
            repository=row.repository.name,
            offset=row.offset,
            algorithm=row.algorithm,
            hash_state=row.hash_state,
            multipart_key=row.multipart_key,
            multipart_id=row.multipart_id,
            parts=json.dumps([[part.etag, part.size] for part in row.parts]),
            tail_key=row.tail_key,
            tail_size=row.tail_size,
            expires=datetime.fromtimestamp(row.expires, UTC),
            verified_digest=row.verified.digest if row.verified else None,
            verified_key=row.verified.storage_key if row.verified else None,
        )
        return model
