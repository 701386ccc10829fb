"""The audit trail: who did what to which reference, from where, with what result."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

KEEP_SECONDS: Final = 400 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Record:
    """One entry. `at` is in epoch milliseconds; `result` is `ok` or the reason of a refusal."""

    account: str
    at: int
    actor: str
    action: str
    target: str
    address: str = ""
    result: str = "ok"
    detail: dict[str, Any] = field(default_factory=dict)
    nonce: str = field(default_factory=lambda: secrets.token_hex(4))

    @property
    def id(self) -> str:
        """Sorts by time; two of one millisecond differ."""
        return f"{self.at:015d}-{self.nonce}"


class Trail(Protocol):
    def write(self, record: Record) -> None: ...
    def read(self, account: str, since: int, until: int, after: str) -> Iterator[Record]:
        """Newest first, of `since` to `until` (epoch milliseconds), from below the id `after` on."""
        ...
