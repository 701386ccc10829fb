"""What an account may store: charged with each blob's first copy, given back with its last. See ADR 17."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from chalicelib.registry.changes import AuditAccount, Change, MoveLevel, Transactions
from chalicelib.registry.eviction import PURGES_LIMIT, Eviction, Plan
from chalicelib.registry.stores import Usage, UsageStore
from chalicelib.spec.errors import ErrorCode, RegistryError

THRESHOLDS: Final = (80, 90, 100)
REMEMBER_SECONDS: Final = 5
# What was read lately is good for as long as it leaves that many times what is needed.
MARGIN: Final = 2
_LOG: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Quota:
    """`limit_of` is what an account may store, for one whose usage nobody has counted yet. `eviction` takes
    what gives way to pushes.

    What it read is remembered for `REMEMBER_SECONDS`: to let in, far from the limit, and never to refuse.
    """

    usages: UsageStore
    limit_of: Callable[[str], int]
    clock: Callable[[], float] = time.time
    eviction: Eviction | None = None
    _seen: dict[str, tuple[float, Usage]] = field(default_factory=dict)

    def usage(self, account: str) -> Usage:
        """Counted from now on, where it was not."""
        found = self._read(account)
        if found is not None:
            return found
        self.usages.open(account, self.limit_of(account))
        return self._read(account) or Usage(0, 0)

    def check_room(self, account: str, needed: int) -> int:
        """How much is free, or can be. Raises DENIED (403) for more, which is refused in the end too."""
        seen = self._remembered(account)
        if seen is not None and needed * MARGIN <= seen.free:
            return seen.free
        usage = self._read(account)
        if usage is None:
            return sys.maxsize  # the first charge counts it
        if needed and needed > usage.free:
            usage, plan = self._planned(account, usage, needed)
            if needed > usage.free + plan.bytes:
                raise exceeded(usage, needed, plan.bytes)
        return max(usage.free, needed)

    def gives_way(self, account: str) -> int:
        """How many of the bytes that it uses would go, were they needed."""
        return 0 if self.eviction is None else self.eviction.plan(account).bytes

    def make_room(self, account: str, size: int) -> None:
        """After a charge of `size` bytes was refused: return where it may be tried again.

        What gives way goes, the oldest first, until it fits; nothing where all of it would be too little.
        Raises DENIED (403), and TOOMANYREQUESTS (429) where more has to go than one request takes away.
        """
        usage = self.usage(account)
        if size <= usage.free:
            return
        usage, plan = self._planned(account, usage, size)
        if size > usage.free + plan.bytes:
            raise exceeded(usage, size, plan.bytes)
        for row in plan.rows[:PURGES_LIMIT]:
            # Others make room too, and take it.
            if self.eviction is None or size <= self.usage(account).free:
                return
            self.eviction.purge(row)
        if len(plan.rows) > PURGES_LIMIT and size > self.usage(account).free:
            raise _more_has_to_go(size)

    def _planned(self, account: str, usage: Usage, needed: int) -> tuple[Usage, Plan]:
        """What would go, and the usage as it is after that look where it is too little: what went in between
        is free by then.
        """
        if self.eviction is None:
            return usage, Plan()
        plan = self.eviction.plan(account, needed - usage.free)
        if needed > usage.free + plan.bytes:
            usage = self._read(account) or usage
        return usage, plan

    def charged(self, account: str, size: int, transactions: Transactions) -> None:
        """After a charge: the audit trail is told which thresholds were crossed, once for each.

        No call where what is remembered says that none is near.
        """
        seen = self._remembered(account)
        if seen is not None:
            seen = replace(seen, bytes=seen.bytes + size)
            self._seen[account] = self._seen[account][0], seen
            if seen.reached < THRESHOLDS[0]:
                return
        self.settle(account, transactions)

    def settle(self, account: str, transactions: Transactions) -> None:
        """Bring its level in line with what it uses now. Never raises: what was charged or freed is done."""
        try:
            usage = self._read(account)
            if usage is not None:
                settle_level(account, usage, transactions)
        except Exception:  # noqa: BLE001 - whatever is wrong here, the scheduled reconciliation settles it
            _LOG.exception("the level of the account %s is not settled", account)

    def forget(self, account: str) -> None:
        """What is remembered: its limit moves."""
        self._seen.pop(account, None)

    def _remembered(self, account: str) -> Usage | None:
        at, usage = self._seen.get(account, (0.0, None))
        return usage if 0 <= self.clock() - at < REMEMBER_SECONDS else None

    def _read(self, account: str) -> Usage | None:
        usage = self.usages.get(account)
        if usage is not None:
            self._seen[account] = self.clock(), usage
        return usage


def level_of(usage: Usage) -> int:
    """The highest of `THRESHOLDS` that is reached; 0 for none."""
    return max((one for one in THRESHOLDS if usage.reached >= one), default=0)


def settle_level(account: str, usage: Usage, transactions: Transactions) -> list[int]:
    """Bring the level in line with what `usage` says; the thresholds that this call told of.

    Who loses the race to it says nothing: another has told. Below a threshold, it may be crossed again.
    """
    level = level_of(usage)
    if level == usage.level:
        return []
    crossed = [one for one in THRESHOLDS if usage.level < one <= level]
    changes: list[Change] = [MoveLevel(account, usage.level, level)]
    for threshold in crossed:
        detail = {"threshold": threshold, "used": usage.bytes, "limit": usage.limit}
        changes.append(AuditAccount(account, "quota-threshold", account, detail))
    return [] if transactions.write(changes) else crossed


def exceeded(usage: Usage, needed: int, gives_way: int = 0) -> RegistryError:
    """`gives_way`: of what it uses, what goes where that is enough."""
    giving = f", of which {gives_way} can give way," if gives_way else ","
    message = (
        f"the account has no room: it uses {usage.bytes} of {usage.limit} bytes{giving} and this needs "
        f"{needed} more; delete images, or have the limit raised"
    )
    detail = {"used": usage.bytes, "limit": usage.limit, "needed": needed}
    if gives_way:
        detail["gives_way"] = gives_way
    return RegistryError(ErrorCode.DENIED, message, (detail,), status=403)


def _more_has_to_go(needed: int) -> RegistryError:
    message = (
        f"{PURGES_LIMIT} deleted images gave way, and for {needed} bytes more of them have to: push again, "
        "and they will"
    )
    return RegistryError(ErrorCode.TOOMANYREQUESTS, message, headers={"Retry-After": "1"})


def is_exceeded(error: BaseException) -> bool:
    """Whether an upload was refused for want of room: nothing of it is kept then."""
    return isinstance(error, RegistryError) and error.code is ErrorCode.DENIED
