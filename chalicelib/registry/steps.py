"""Steps of the collector: as many in one transaction as fit, each with all of its changes or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from chalicelib.registry.changes import (
    TRANSACTION_LIMIT,
    BuryObject,
    Change,
    Charge,
    CountBlob,
    RemoveBlob,
    Transactions,
)
from chalicelib.registry.stores import Link

# Bytes stay so long after their last link: URLs that were given out for them are good for a third of it.
URL_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class Step:
    """`changes` hold together; those of several steps on one row become one. `subject` is what goes."""

    subject: Any
    changes: tuple[Change, ...]


def blob_removal(account: str, blob: Link, subject: object = None, *, kept: int = 0) -> Step:
    """Free a blob that nothing links, and nothing but `kept` that go in the same transaction keeps."""
    removal = RemoveBlob(account, blob.digest, blob.storage_key, blob.idle, kept)
    return Step(subject, (removal, Charge(account, -blob.size), BuryObject(blob.storage_key)))


@dataclass(frozen=True, slots=True)
class Steps:
    """`open_account` begins to count what an account uses, where nobody has yet."""

    transactions: Transactions
    open_account: Callable[[str], object]

    def write(self, steps: Iterable[Step], made: Callable[[Any], None]) -> list[Any]:
        """Tell `made` of each subject that went; return those that something changed meanwhile."""
        refused: list[Any] = []
        batch: list[Step] = []
        for step in steps:
            if len(merged([*batch, step])) > TRANSACTION_LIMIT:
                refused += self._write(batch, made)
                batch = []
            batch.append(step)
        return refused + self._write(batch, made)

    def _write(self, batch: Sequence[Step], made: Callable[[Any], None]) -> list[Any]:
        """Without those that are refused, until the others are made."""
        waiting, left = list(batch), list[Any]()
        opened: set[str] = set()
        while waiting:
            together = merged(waiting)
            refused = self.transactions.write([change for change, _ in together])
            if not refused:
                break
            closed = {change.account for change in refused if isinstance(change, Charge)} - opened
            if closed:
                for account in closed:
                    self.open_account(account)
                opened |= closed
                continue
            out = {index for change, indexes in together if change in refused for index in indexes}
            left += [waiting[index].subject for index in sorted(out)]
            waiting = [step for index, step in enumerate(waiting) if index not in out]
        for step in waiting:
            made(step.subject)
        return left


def merged(steps: Sequence[Step]) -> list[tuple[Change, list[int]]]:
    """One change for each row, with the numbers of the steps that it is for."""
    made: dict[object, tuple[Change, list[int]]] = {}
    for index, step in enumerate(steps):
        for change in step.changes:
            key = _summed_by(change)
            if key in made:
                before, indexes = made[key]
                made[key] = _sum(before, change), [*indexes, index]
            else:
                made[key] = change, [index]
    return list(made.values())


def _summed_by(change: Change) -> object:
    if isinstance(change, Charge):
        return Charge, change.account
    if isinstance(change, CountBlob):
        return CountBlob, change.account, change.digest
    return change


def _sum(first: Change, second: Change) -> Change:
    if isinstance(first, Charge) and isinstance(second, Charge):
        return replace(first, bytes=first.bytes + second.bytes)
    if isinstance(first, CountBlob) and isinstance(second, CountBlob):
        return replace(first, links=first.links + second.links)
    return first
