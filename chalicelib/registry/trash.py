"""Deleted manifests: kept for a time with all of their bytes, then released.

What is kept holds blobs of the account, not links of the repository: those follow the deletion at once.
Every verb may be called again, by anybody, at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from chalicelib.registry.changes import (
    TRANSACTION_LIMIT,
    BuryObject,
    Change,
    CountBlob,
    MoveTrash,
    PutTrash,
    RemoveTrash,
    Transactions,
)
from chalicelib.registry.stores import KEPT, RELEASING, STAGING, ManifestRow, TrashRow, TrashStore
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository

STEP: Final = TRANSACTION_LIMIT - 1
KEEP_SECONDS: Final = 7 * 24 * 3600
# How long what died half way is left to whoever may be at it still.
STAGE_SECONDS: Final = 3600
RELEASE_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Deletion:
    """Why and by whom a manifest goes, and the tags that go with it."""

    tags: tuple[str, ...] = ()
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Trash:
    """`seconds` is how long what a repository deletes can be restored; with 0 nothing of it is kept."""

    rows: TrashStore
    transactions: Transactions
    seconds: Callable[[Repository], int] = lambda _: KEEP_SECONDS
    clock: Callable[[], float] = time.time

    def keep(
        self, repository: Repository, row: ManifestRow, deletion: Deletion, room: int
    ) -> list[Change] | None:
        """What to write in the transaction that deletes the manifest; at the most one change beyond `room`.

        What does not fit is written before. None: look at it all again.
        """
        there = self.rows.get(repository, row.digest)
        seconds = self.seconds(repository)
        if seconds == 0 and there is None:
            return [BuryObject(row.storage_key)] if row.storage_key else []
        wanted = self._row(row, deletion, seconds)
        is_other = there is not None and (there.state == RELEASING or there.blobs != wanted.blobs)
        if there is not None and (is_other or seconds == 0):
            self.release(repository, there)
            return None
        if there is None:
            count = len(wanted.blobs)
            if 1 + count <= room:
                counts = [CountBlob(repository.account, digest, kept=1) for digest in wanted.blobs]
                return [PutTrash(repository, replace(wanted, state=KEPT, held=count)), *counts]
            there = replace(wanted, state=STAGING, due=wanted.deleted + STAGE_SECONDS)
            if self.transactions.write([PutTrash(repository, there)]):
                return None
        return self._over(repository, there, wanted, row)

    def _over(
        self, repository: Repository, there: TrashRow, wanted: TrashRow, row: ManifestRow
    ) -> list[Change] | None:
        """It is kept already, or begun to be."""
        if there.state == STAGING and not self._hold(repository, there):
            return None
        if there.state == KEPT and there.storage_key != row.storage_key:
            return self._renewed(repository, there, wanted, row)
        count = len(there.blobs)
        return [MoveTrash(repository, row.digest, (there.state, count), (KEPT, count), row=wanted)]

    def _renewed(
        self, repository: Repository, there: TrashRow, wanted: TrashRow, row: ManifestRow
    ) -> list[Change]:
        """It was deleted before, with another copy of its bytes: one of them is enough."""
        before = (KEPT, there.held)
        kept = replace(wanted, storage_key=there.storage_key)
        move = MoveTrash(repository, row.digest, before, before, row=kept)
        return [move, BuryObject(row.storage_key)] if row.storage_key else [move]

    def release(
        self, repository: Repository, row: TrashRow, due: int | None = None, guard: Change | None = None
    ) -> bool:
        """Give back everything it keeps, then forget it.

        False: it is no longer as `row` and `due` say, or the condition of `guard` does not hold.
        """
        guards = [] if guard is None else [guard]
        if row.held <= STEP - 1 - len(guards) and row.state != RELEASING:
            return not self.transactions.write([*self._removal(repository, row, due), *guards])
        if row.state != RELEASING:
            # While it is staged, its bytes are those of the manifest that still is there.
            left = replace(row, storage_key=None) if row.state == STAGING else None
            before, after = (row.state, row.held), (RELEASING, row.held)
            move = MoveTrash(repository, row.digest, before, after, row=left, due=due)
            if self.transactions.write([move, *guards]):
                return False
            row = replace(left or row, state=RELEASING)
        while row.held > STEP - 1:
            after = (RELEASING, row.held - (STEP - 1))
            batch = row.blobs[after[1] : row.held]
            move = MoveTrash(repository, row.digest, (RELEASING, row.held), after)
            if self.transactions.write([move, *_counts(repository, batch, -1)]):
                return False
            row = replace(row, held=after[1])
        return not self.transactions.write(self._removal(repository, row, None))

    def _removal(self, repository: Repository, row: TrashRow, due: int | None) -> list[Change]:
        removal = RemoveTrash(repository, row.digest, (row.state, row.held), due)
        # While it is staged, its bytes are those of the manifest that still is there.
        buried = [BuryObject(row.storage_key)] if row.storage_key and row.state != STAGING else []
        return [removal, *buried, *_counts(repository, row.blobs[: row.held], -1)]

    def _hold(self, repository: Repository, row: TrashRow) -> bool:
        while row.held < len(row.blobs):
            batch = row.blobs[row.held : row.held + STEP]
            after = (STAGING, row.held + len(batch))
            move = MoveTrash(repository, row.digest, (STAGING, row.held), after)
            if self.transactions.write([move, *_counts(repository, batch, 1)]):
                return False
            row = replace(row, held=after[1])
        return True

    def _row(self, row: ManifestRow, deletion: Deletion, seconds: int) -> TrashRow:
        now = int(self.clock())
        return TrashRow(
            digest=row.digest,
            media_type=row.media_type,
            size=row.size,
            state=KEPT,
            raw=row.raw,
            storage_key=row.storage_key,
            subject=row.subject,
            blobs=tuple(one.digest for one in row.holds if not one.is_manifest),
            children=tuple(one.digest for one in row.holds if one.is_manifest),
            tags=deletion.tags,
            deleted=now,
            due=now + seconds,
            deleted_by=deletion.actor,
            reason=deletion.reason,
        )


def _counts(repository: Repository, blobs: tuple[Digest, ...], step: int) -> list[Change]:
    return [CountBlob(repository.account, digest, kept=step) for digest in blobs]
