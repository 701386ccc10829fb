"""Compares what is counted with what is stored, in the tables and in the bucket, and repairs the count.

At any time, beside any push: the count is put right only if nothing was charged since it was read.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, Protocol

from chalicelib.registry.changes import AuditAccount, Transactions
from chalicelib.registry.quota import Quota, settle_level
from chalicelib.registry.stores import Usage, UsageStore

TRIES: Final = 5
NAMED: Final = 20
_LOG: Final = logging.getLogger(__name__)

Sized = tuple[str, int]


class StoredContent(Protocol):
    """What an account has: keys with sizes, sorted by key."""

    def counted(self, account: str) -> tuple[int, int]:
        """How many blobs its rows are, and their bytes; consistent."""
        ...

    def rows(self, account: str) -> Iterator[Sized]:
        """Of its blobs, by storage key; what was just written may be missing."""
        ...

    def objects(self, account: str) -> Iterator[Sized]: ...
    def holds(self, key: str) -> bool:
        """Whether the bucket has such an object now."""
        ...

    def names(self, account: str, key: str) -> bool:
        """Whether a row names that object now; consistent for what has been there a while."""
        ...


@dataclass(slots=True)
class Drift:
    """`counted` is what usage said, `stored` what the rows of blobs add up to; None: no moment was quiet.

    `unnamed` objects are named by no row: uploads under way, and what the collector is to free.
    """

    account: str
    counted: int
    stored: int | None = None
    limit: int = 0
    blobs: int = 0
    is_repaired: bool = False
    objects: int = 0
    object_bytes: int = 0
    unnamed: int = 0
    unnamed_bytes: int = 0
    missing: list[str] = field(default_factory=list)
    missing_count: int = 0

    @property
    def drift(self) -> int | None:
        return None if self.stored is None else self.counted - self.stored


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """`limit_of` is what an account may store by its own row, which has the last word."""

    quota: Quota
    content: StoredContent
    transactions: Transactions
    limit_of: Callable[[str], int]

    @property
    def usages(self) -> UsageStore:
        return self.quota.usages

    def run(self, account: str, *, is_bucket_listed: bool = True) -> Drift:
        drift = self._count(account)
        if is_bucket_listed:
            self._compare(drift)
        settle_level(account, self.quota.usage(account), self.transactions)
        if drift.is_repaired:
            detail = {"counted": drift.counted, "stored": drift.stored, "limit": drift.limit}
            self.transactions.write([AuditAccount(account, "quota-repair", account, detail)])
        return drift

    def _count(self, account: str) -> Drift:
        drift = Drift(account, self.quota.usage(account).bytes)
        for _ in range(TRIES):
            seen = self.quota.usage(account)
            # After it: where the limit moves in between, what is free is another than was seen.
            limit = self.limit_of(account)
            blobs, stored = self.content.counted(account)
            if not self._settle(account, seen, stored, limit):
                continue
            drift.counted, drift.stored, drift.limit, drift.blobs = seen.bytes, stored, limit, blobs
            drift.is_repaired = (seen.bytes, seen.limit) != (stored, limit)
            self.quota.forget(account)
            break
        return drift

    def _settle(self, account: str, seen: Usage, stored: int, limit: int) -> bool:
        """Whether the sum is that of the moment at which `seen` was read, and usage says so by now."""
        if (seen.bytes, seen.limit) == (stored, limit):
            now = self.usages.get(account)
            return now is not None and (now.turn, now.free) == (seen.turn, seen.free)
        return self.usages.repair(account, seen, stored, limit)

    def _compare(self, drift: Drift) -> None:
        """Both sorted by key, side by side, so that neither has to fit in memory."""
        account = drift.account
        for key, row, stored in _side_by_side(self.content.rows(account), self.content.objects(account)):
            if stored is not None:
                drift.objects += 1
                drift.object_bytes += stored
            if row is None and stored is not None and not self.content.names(account, key):
                drift.unnamed += 1
                drift.unnamed_bytes += stored
            # Published while this was listed, or deleted: look at both again.
            if stored is None and not self.content.holds(key) and self.content.names(account, key):
                drift.missing_count += 1
                drift.missing = [*drift.missing, key][:NAMED]


def in_turn(accounts: Sequence[str], reconcile: Callable[[str], Drift], seconds: float) -> Iterator[Drift]:
    """One account after the other while there are `seconds`, from another one on each time.

    An account that fails is left to the next time.
    """
    until = time.monotonic() + seconds
    first = random.randrange(len(accounts)) if accounts else 0  # noqa: S311 - no secret
    for account in [*accounts[first:], *accounts[:first]]:
        if time.monotonic() >= until:
            return
        try:
            drift = reconcile(account)
        except Exception:  # noqa: BLE001 - whatever it is, the next account has its turn
            _LOG.exception("the account %s could not be reconciled", account)
            continue
        _LOG.info("reconciled %s", asdict(drift))
        yield drift


def _side_by_side(
    first: Iterator[Sized], second: Iterator[Sized]
) -> Iterator[tuple[str, int | None, int | None]]:
    """Each key with its size in either."""
    left, right = next(first, None), next(second, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            assert left is not None  # noqa: S101 - one of the two is there
            yield left[0], left[1], None
            left = next(first, None)
        elif left is None or right[0] < left[0]:
            yield right[0], None, right[1]
            right = next(second, None)
        else:
            yield left[0], left[1], right[1]
            left, right = next(first, None), next(second, None)
