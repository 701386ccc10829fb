"""Out of the outbox into the queues: every event once for each who wants it, lane by lane in order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from chalicelib.events.stores import Outbox, Queue, Webhook
from chalicelib.spec.cloud_events import Event

# The target that is no webhook.
BUS: Final = "bus"
PAGE: Final = 100
_LOG: Final = logging.getLogger(__name__)


def wants(webhook: Webhook, event: Event) -> bool:
    """A repository pattern says nothing of what is about the account."""
    if webhook.is_disabled or not matches(webhook.events, event.type):
        return False
    return not event.repository or matches(webhook.repositories, event.repository)


@dataclass(frozen=True, slots=True)
class Drainer:
    """Any number may be at it at once, and die anywhere: what is moved is moved in one transaction."""

    outbox: Outbox
    webhooks_of: Callable[[str], list[Webhook]]
    clock: Callable[[], float]
    has_bus: bool = False

    def drain(self, lanes: Iterable[tuple[str, str]] | None = None) -> list[Queue]:
        """Of `lanes` up to the order given with each, or of all; the queues with something new in them."""
        filled: dict[Queue, None] = {}
        webhooks: dict[str, list[Webhook]] = {}
        for lane, until in self.outbox.lanes() if lanes is None else lanes:
            account = lane.partition("/")[0]
            try:
                if account not in webhooks:
                    webhooks[account] = self.webhooks_of(account)
                self._drain(lane, until, webhooks[account], filled)
            except Exception:  # noqa: BLE001 - whatever it is, the other lanes go on
                _LOG.warning("the lane %s is drained another time", lane, exc_info=True)
        return list(filled)

    def _drain(self, lane: str, until: str, webhooks: list[Webhook], filled: dict[Queue, None]) -> None:
        while events := self.outbox.read(lane, until, PAGE):
            for event in events:
                filled |= dict.fromkeys(self._move(event, webhooks))
            if len(events) < PAGE:
                return

    def _move(self, event: Event, webhooks: list[Webhook]) -> list[Queue]:
        targets = [one.key for one in webhooks if wants(one, event)]
        targets += [BUS] if self.has_bus else []
        if not self.outbox.move(event, targets, int(self.clock())):
            return []
        return [Queue(target, event.lane) for target in targets]


def matches(patterns: Iterable[str], text: str) -> bool:
    """Whether one of them is `text`, when * is any text."""
    return any(fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]")) for pattern in patterns)
