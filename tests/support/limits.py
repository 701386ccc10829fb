"""What an account may store, as a test wants it: the row of its usage alone, whatever its own row says."""

from __future__ import annotations

from chalicelib.registry.stores import UsageStore


def limited(usages: UsageStore, account: str, limit: int) -> None:
    """From now on. What a process remembers of the usage is left as it is."""
    while True:
        seen = usages.get(account)
        assert seen is not None, f"nobody counts what {account} uses"
        if seen.limit == limit or usages.repair(account, seen, seen.bytes, limit):
            return
