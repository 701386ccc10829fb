"""Steps of the collector: as many in one transaction as fit, each with all of its changes or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.registry.changes import TRANSACTION_LIMIT, Change, Charge, CountBlob, Transactions


@dataclass(frozen=True, slots=True)
class Step:
    """`changes` hold together; those of several steps on one row become one. `subject` is what goes."""

    subject: Any
    changes: tuple[Change, ...]


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
            if len(_merged([*batch, step])) > TRANSACTION_LIMIT:
                refused += self._write(batch, made)
                batch = []
            batch.append(step)
        return refused + self._write(batch, made)

    def _write(self, batch: Sequence[Step], made: Callable[[Any], None]) -> list[Any]:
        """Without those that are refused, until the others are made."""
        waiting, left = list(batch), list[Any]()
        opened: set[str] = set()
        while waiting:
            merged = _merged(waiting)
            refused = self.transactions.write([change for change, _ in merged])
            if not refused:
                break
            closed = {change.account for change in refused if isinstance(change, Charge)} - opened
            if closed:
                for account in closed:
                    self.open_account(account)
                opened |= closed
                continue
            out = {index for change, indexes in merged if change in refused for index in indexes}
            left += [waiting[index].subject for index in sorted(out)]
            waiting = [step for index, step in enumerate(waiting) if index not in out]
        for step in waiting:
            made(step.subject)
        return left


def _merged(steps: Sequence[Step]) -> list[tuple[Change, list[int]]]:
    """One change for each row, with the numbers of the steps that it is for."""
    merged: dict[object, tuple[Change, list[int]]] = {}
    for index, step in enumerate(steps):
        for change in step.changes:
            key = _summed_by(change)
            if key in merged:
                before, indexes = merged[key]
                merged[key] = _sum(before, change), [*indexes, index]
            else:
                merged[key] = change, [index]
    return list(merged.values())


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
