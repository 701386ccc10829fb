"""Sessions of direct uploads: `registry.stores.DirectStore` on DynamoDB, every write conditional."""

from __future__ import annotations

from typing import Any

from chalicelib.aws.keys import shard_of
from chalicelib.aws.reads import Reads
from chalicelib.aws.session_rows import SessionRows, session_ttl
from chalicelib.aws.tables import DirectModel, Tables
from chalicelib.registry.stores import OPEN, PUBLISHED, VERIFYING, DirectRow
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository


class DynamoDirectStore:
    """A session has a `writer` while it is verified, or until the lease of one that died runs out."""

    def __init__(self, tables: Tables, reads: Reads) -> None:
        self._table: Any = tables.direct
        self._rows = SessionRows(self._table, reads)

    def create(self, row: DirectRow) -> None:
        self._rows.create(self._model(row))

    def get(self, session: str) -> DirectRow | None:
        return _row(self._rows.get(session))

    def verifying(self, session: str, lease: int) -> bool:
        table = self._table
        actions = [table.state.set(VERIFYING), table.lease.set(lease)]
        return self._rows.change(session, actions, table.state == OPEN) is not None

    def acquire(self, session: str, writer: str, *, now: int, lease: int) -> DirectRow | None:
        verifying = self._table.state == VERIFYING
        return _row(self._rows.acquire(session, writer, now=now, lease=lease, where=verifying))

    def save(self, row: DirectRow, writer: str, lease: int = 0) -> bool:
        model = self._model(row)
        if lease:
            model.writer, model.lease = writer, lease
        return self._rows.save(model, writer)

    def remove(self, session: str) -> DirectRow | None:
        there = self._table.session.exists() & (self._table.state != PUBLISHED)
        return _row(self._rows.remove(session, there))

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
            expires=row.expires,
            ttl=session_ttl(row.expires),
            shard=shard_of(row.session),
        )
        return model


def _row(model: DirectModel | None) -> DirectRow | None:
    if model is None:
        return None
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
        expires=int(model.expires),
        lease=int(model.lease or 0),
    )
