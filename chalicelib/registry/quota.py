"""What an account may store: charged with each blob's first copy, given back with its last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.registry.stores import Usage, UsageStore
from chalicelib.spec.errors import ErrorCode, RegistryError


@dataclass(frozen=True, slots=True)
class Quota:
    """`limit_of` is what an account may store, for one whose usage nobody has counted yet."""

    usages: UsageStore
    limit_of: Callable[[str], int]

    def usage(self, account: str) -> Usage:
        found = self.usages.get(account)
        if found is not None:
            return found
        self.usages.open(account, self.limit_of(account))
        return self.usages.get(account) or Usage(0, 0)

    def make_room(self, account: str, size: int) -> None:
        """After a charge of `size` bytes was refused: return where it may be tried again.

        Raises DENIED (403).
        """
        usage = self.usage(account)
        if size > usage.free:
            raise exceeded(usage, size)


def exceeded(usage: Usage, needed: int) -> RegistryError:
    message = (
        f"the account has no room: it uses {usage.bytes} of {usage.limit} bytes, and this needs {needed} "
        "more; delete images, or have the limit raised"
    )
    detail = {"used": usage.bytes, "limit": usage.limit, "needed": needed}
    return RegistryError(ErrorCode.DENIED, message, (detail,), status=403)
