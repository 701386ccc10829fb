"""Deleted manifests: kept for a time with all of their bytes, then released.

What is kept holds blobs of the account, not links of the repository: those follow the deletion at once.
Every verb may be called again, by anybody, at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

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


# What to write where a deleted manifest lets go of some blobs of an account: for each of them one change,
# or two, and one for all.
LetGo = Callable[[str, Sequence[Digest]], list[Change]]


class Terms(NamedTuple):
    """How long what is deleted can be restored; what is not counted gives way to pushes meanwhile."""

    seconds: int = KEEP_SECONDS
    is_counted: bool = True


@dataclass(frozen=True, slots=True)
class Deletion:
    """Why and by whom a manifest goes, and the tags that go with it."""

    tags: tuple[str, ...] = ()
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Trash:
    """`terms` are those of what a repository deletes; with 0 seconds nothing of it is kept."""

    rows: TrashStore
    transactions: Transactions
    terms: Callable[[Repository], Terms] = lambda _: Terms()
    clock: Callable[[], float] = time.time

    def keep(
        self, repository: Repository, row: ManifestRow, deletion: Deletion, room: int
    ) -> list[Change] | None:
        """What to write in the transaction that deletes the manifest; at the most one change beyond `room`.

        What does not fit is written before. None: look at it all again.
        """
        there = self.rows.get(repository, row.digest)
        terms = self.terms(repository)
        if terms.seconds == 0 and there is None:
            return [BuryObject(row.storage_key)] if row.storage_key else []
        wanted = self._row(row, deletion, terms)
        is_other = there is not None and (there.state == RELEASING or there.blobs != wanted.blobs)
        if there is not None and (is_other or terms.seconds == 0):
            self.release(repository, there)
            return None
        if there is None:
            count = len(wanted.blobs)
            if 1 + count <= room:
                kept = PutTrash(repository, replace(wanted, state=KEPT, held=count))
                return [kept, *_keep(repository, wanted.blobs)]
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
        self,
        repository: Repository,
        row: TrashRow,
        due: int | None = None,
        guard: Change | None = None,
        *,
        to_push: LetGo | None = None,
    ) -> bool:
        """Give back everything it keeps, then forget it; `to_push` frees more than that, and takes nothing
        but what gives way.

        False: it is no longer as `row` and `due` say, or the condition of `guard` does not hold.
        """
        guards = [] if guard is None else [guard]
        let_go, gives_way = to_push or _let_go, to_push is not None
        if row.state != RELEASING and row.held <= _many(STEP - 1 - len(guards), to_push):
            removal = self._removal(repository, row, due, gives_way=gives_way)
            blobs = let_go(repository.account, row.blobs[: row.held])
            return not self.transactions.write([*removal, *blobs, *guards])
        if row.state != RELEASING:
            # While it is staged, its bytes are those of the manifest that still is there.
            left = replace(row, storage_key=None) if row.state == STAGING else None
            before, after = (row.state, row.held), (RELEASING, row.held)
            move = MoveTrash(repository, row.digest, before, after, row=left, due=due, gives_way=gives_way)
            if self.transactions.write([move, *guards]):
                return False
            row = replace(left or row, state=RELEASING)
        most = _many(STEP - 1, to_push)
        while row.held > most:
            after = (RELEASING, row.held - most)
            batch = row.blobs[after[1] : row.held]
            move = MoveTrash(repository, row.digest, (RELEASING, row.held), after)
            if self.transactions.write([move, *let_go(repository.account, batch)]):
                return False
            row = replace(row, held=after[1])
        rest = let_go(repository.account, row.blobs[: row.held])
        return not self.transactions.write([*self._removal(repository, row, None), *rest])

    def _removal(
        self, repository: Repository, row: TrashRow, due: int | None, *, gives_way: bool = False
    ) -> list[Change]:
        removal = RemoveTrash(repository, row.digest, (row.state, row.held), due, gives_way)
        # While it is staged, its bytes are those of the manifest that still is there.
        buried = [BuryObject(row.storage_key)] if row.storage_key and row.state != STAGING else []
        return [removal, *buried]

    def _hold(self, repository: Repository, row: TrashRow) -> bool:
        while row.held < len(row.blobs):
            batch = row.blobs[row.held : row.held + STEP]
            after = (STAGING, row.held + len(batch))
            move = MoveTrash(repository, row.digest, (STAGING, row.held), after)
            if self.transactions.write([move, *_keep(repository, batch)]):
                return False
            row = replace(row, held=after[1])
        return True

    def _row(self, row: ManifestRow, deletion: Deletion, terms: Terms) -> TrashRow:
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
            due=now + terms.seconds,
            deleted_by=deletion.actor,
            reason=deletion.reason,
            gives_way=not terms.is_counted,
        )


def _many(room: int, to_push: LetGo | None) -> int:
    """How many blobs are let go of in so many changes."""
    return room if to_push is None else (room - 1) // 2


def _let_go(account: str, blobs: Sequence[Digest]) -> list[Change]:
    return [CountBlob(account, digest, kept=-1) for digest in blobs]


def _keep(repository: Repository, blobs: Sequence[Digest]) -> list[Change]:
    return [CountBlob(repository.account, digest, kept=1) for digest in blobs]
