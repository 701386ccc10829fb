"""Upload sessions: `registry.stores.UploadStore` on DynamoDB, every write conditional."""

from __future__ import annotations

import json
from typing import Any

from chalicelib.aws.keys import shard_of
from chalicelib.aws.reads import Reads
from chalicelib.aws.rows import upload_row
from chalicelib.aws.session_rows import SessionRows, session_ttl
from chalicelib.aws.tables import Tables, UploadModel
from chalicelib.registry.stores import UploadRow


class DynamoUploadStore:
    """A session has a `writer` from `acquire` to `save`, or until its lease runs out."""

    def __init__(self, tables: Tables, reads: Reads) -> None:
        self._table: Any = tables.uploads
        self._rows = SessionRows(self._table, reads)

    def create(self, row: UploadRow) -> None:
        self._rows.create(self._model(row))

    def get(self, session: str) -> UploadRow | None:
        return _row(self._rows.get(session))

    def acquire(self, session: str, writer: str, *, now: int, lease: int) -> UploadRow | None:
        there = self._table.session.exists()
        return _row(self._rows.acquire(session, writer, now=now, lease=lease, where=there))

    def renew(self, session: str, writer: str, lease: int) -> bool:
        table = self._table
        return self._rows.change(session, [table.lease.set(lease)], table.writer == writer) is not None

    def save(self, row: UploadRow, writer: str) -> bool:
        return self._rows.save(self._model(row), writer)

    def remove(self, session: str) -> UploadRow | None:
        return _row(self._rows.remove(session, self._table.session.exists()))

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
            expires=row.expires,
            ttl=session_ttl(row.expires),
            shard=shard_of(row.session),
            verified_digest=row.verified.digest if row.verified else None,
            verified_key=row.verified.storage_key if row.verified else None,
        )
        return model


def _row(model: UploadModel | None) -> UploadRow | None:
    return None if model is None else upload_row(model)
