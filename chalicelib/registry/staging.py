"""Manifests that hold more than one transaction can count: in by steps, out by steps.

A row in `staging` or `releasing` cannot be pulled. Each step moves its `held` mark and the counts
of what it passes in one transaction, so any process can go on where another stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from chalicelib.registry.changes import (
    TRANSACTION_LIMIT,
    BuryObject,
    Change,
    MoveManifest,
    RemoveManifest,
    Transactions,
)
from chalicelib.registry.holding import hold_changes
from chalicelib.registry.stores import RELEASING, STAGING, ManifestRow, ManifestStore, ObjectStore
from chalicelib.spec.reference import Repository

STEP: Final = TRANSACTION_LIMIT - 1


@dataclass(frozen=True, slots=True)
class Staging:
    """Every verb may be called again, by anybody, at any time."""

    rows: ManifestStore
    objects: ObjectStore
    transactions: Transactions

    def hold(self, repository: Repository, row: ManifestRow) -> bool:
        """Count everything the staged row holds. False: look at it all again."""
        while row.held < len(row.holds):
            batch = row.holds[row.held : row.held + STEP]
            after = (STAGING, row.held + len(batch))
            move = MoveManifest(repository, row.digest, (STAGING, row.held), after)
            refused = self.transactions.write([move, *hold_changes(repository, batch)])
            if move in refused:
                return False
            if refused:
                self._unwind(repository, row)
                return False
            row = replace(row, held=after[1])
        return True

    def release(self, repository: Repository, row: ManifestRow) -> bool:
        """Give back everything that a row in `releasing` holds, then remove it. False: another is at it."""
        while row.held:
            batch = row.holds[max(0, row.held - STEP) : row.held]
            after = (RELEASING, row.held - len(batch))
            move = MoveManifest(repository, row.digest, (RELEASING, row.held), after)
            if self.transactions.write([move, *hold_changes(repository, batch, step=-1)]):
                return False  # from where it stands now
            row = replace(row, held=after[1])
        removal: list[Change] = [RemoveManifest(repository, row.digest, (RELEASING, 0), 0)]
        if row.storage_key:
            removal.append(BuryObject(row.storage_key))
        if self.transactions.write(removal):
            return False
        if row.storage_key:
            self.objects.delete(row.storage_key)
        return True

    def drop(self, repository: Repository, row: ManifestRow) -> bool:
        """Take away a row that cannot be pulled, whoever left it there and however far it had come."""
        return self._unwind(repository, row) if row.state == STAGING else self.release(repository, row)

    def _unwind(self, repository: Repository, row: ManifestRow) -> bool:
        """Something it names is gone: the push cannot succeed any more."""
        move = MoveManifest(repository, row.digest, (STAGING, row.held), (RELEASING, row.held))
        if self.transactions.write([move]):
            return False
        return self.release(repository, replace(row, state=RELEASING))
