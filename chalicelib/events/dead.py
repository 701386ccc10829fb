"""What was given up, of a webhook or of the bus: seen for 30 days, and brought back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chalicelib.events.stores import Delivery, Queue, Queues
from chalicelib.identity.refusals import not_found

REPLAY_LIMIT: Final = 100


@dataclass(frozen=True, slots=True)
class DeadDeliveries:
    """`target` is `Webhook.key`, or the bus; who may ask is the caller's to check."""

    queues: Queues
    clock: Callable[[], float]

    def page(self, target: str, before: str, limit: int) -> list[Delivery]:
        """Newest first, older than the order `before`."""
        return self.queues.dead(target, before, limit)

    def replay(self, target: str, orders: list[str]) -> list[str]:
        """Those that wait again, with their ids as they were; of the newest 100 where `orders` names none.

        Raises RefusedError (NOT_FOUND).
        """
        orders = orders or [one.event.order for one in self.page(target, "", REPLAY_LIMIT)]
        revived = []
        for order in sorted(set(orders)):
            found = self.queues.dead_one(target, order)
            if found is None:
                raise not_found("dead delivery", order)
            if self.queues.revive(Queue(target, found.event.lane), found, int(self.clock())):
                revived.append(order)
        return revived
