"""Limits on guessing: each failed login makes the next wait longer, for the credential and the address."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

FORGET_SECONDS: Final = 3600
# What one customer gets of IPv6 at the least: whoever has one address of it has them all.
IPV6_PREFIX: Final = 64


@dataclass(frozen=True, slots=True)
class Limit:
    """`free` failures cost nothing; then the wait doubles, up to `longest` seconds."""

    free: int
    longest: int


# A credential is locked for a minute at most: a stranger who fails on purpose must not lock its owner out.
CREDENTIAL: Final = Limit(free=10, longest=60)
ADDRESS: Final = Limit(free=20, longest=15 * 60)


@dataclass(frozen=True, slots=True)
class Attempts:
    """Failures in a row, and until when (epoch seconds) nothing more is tried."""

    failures: int = 0
    until: int = 0


def after_failure(before: Attempts | None, limit: Limit, now: int) -> Attempts:
    failures = (before.failures if before else 0) + 1
    over = failures - limit.free
    wait = min(limit.longest, 2 ** min(over, 20)) if over > 0 else 0
    return Attempts(failures, now + wait if wait else 0)


def wait_seconds(attempts: Attempts | None, now: float) -> int:
    """How long until the next try; 0 is now."""
    return max(0, attempts.until - int(now)) if attempts else 0


def origin(address: str) -> str:
    """Who is counted together: one address of IPv4, however it is written, or one network of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), IPV6_PREFIX), strict=False))
