"""The desk where webhooks are made, changed, rotated, tried and taken away."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from chalicelib.events.courier import Outcome
from chalicelib.events.drain import matches
from chalicelib.events.payloads import CLOUDEVENTS, FORMATS
from chalicelib.events.signature import LostKeyError, WebhookKeys, rotated
from chalicelib.events.stores import Delivery, Queues, Webhook, Webhooks
from chalicelib.events.targets import WebhookTarget
from chalicelib.identity.names import check_name
from chalicelib.identity.refusals import Reason, RefusedError, not_found, stale
from chalicelib.spec.cloud_events import Event, EventType

WEBHOOKS_LIMIT: Final = 20
PATTERNS_LIMIT: Final = 20
OVERLAP_LIMIT_SECONDS: Final = 7 * 24 * 3600
# A test is sent when it is asked for, whatever the patterns are.
TYPES: Final = tuple(one.value for one in EventType if one is not EventType.WEBHOOK_TEST)


@dataclass(frozen=True, slots=True)
class Change:
    """What of a webhook changes; None stays as it is."""

    url: str | None = None
    events: tuple[str, ...] | None = None
    repositories: tuple[str, ...] | None = None
    format: str | None = None
    is_disabled: bool | None = None


@dataclass(frozen=True, slots=True)
class WebhookDesk:
    """Of one account at a time; who may ask is the caller's to check. Raises RefusedError."""

    store: Webhooks
    queues: Queues
    keys: WebhookKeys
    target: WebhookTarget
    check_url: Callable[[str], object]
    order: Callable[[], str]
    clock: Callable[[], float]

    def of(self, account: str) -> list[Webhook]:
        return self.store.of(account)

    def get(self, account: str, name: str) -> Webhook:
        """Raises RefusedError (NOT_FOUND)."""
        found = self.store.get(account, name)
        if found is None:
            raise not_found("webhook", name)
        return found

    def create(self, account: str, name: str, change: Change, actor: str) -> tuple[Webhook, str]:
        """A webhook and its secret, which is not to be had again. Raises RefusedError (INVALID, CONFLICT)."""
        self._check_room(account, WEBHOOKS_LIMIT - 1)
        made = Webhook(
            account=account,
            name=check_name("webhook", name),
            url="",
            incarnation=secrets.token_hex(8),
            secrets=(self.keys.fresh(secrets.token_hex(16)),),
            created=int(self.clock()),
            created_by=actor,
        )
        made = self._checked(replace(made, format=CLOUDEVENTS), change)
        if not self.store.put(made):
            raise RefusedError(Reason.CONFLICT, f"there is a webhook {name!r} already: choose another name")
        self._check_room(account, WEBHOOKS_LIMIT, made)
        return made, self.keys.shown(made)

    def change(self, before: Webhook, change: Change) -> Webhook:
        """What waits goes to the new URL. Raises RefusedError (INVALID, STALE)."""
        after = self._checked(replace(before, version=before.version + 1), change)
        return self._put(after)

    def rotate(self, before: Webhook, overlap: int) -> tuple[Webhook, str]:
        """A new secret; for `overlap` seconds, a week at most, what is sent is signed with both.

        Raises RefusedError (INVALID, STALE).
        """
        if not 0 <= overlap <= OVERLAP_LIMIT_SECONDS:
            raise RefusedError(Reason.INVALID, f"the overlap is 0 to {OVERLAP_LIMIT_SECONDS} seconds")
        try:
            self.keys.shown(before)
        except LostKeyError:
            # Nobody can sign with the one before.
            overlap = 0
        fresh = self.keys.fresh(secrets.token_hex(16))
        after = self._put(rotated(before, fresh, int(self.clock()), overlap))
        return after, self.keys.shown(after)

    def token(self, webhook: Webhook) -> str:
        """Of one that was just made or rotated."""
        return self.keys.token(webhook)

    def remove(self, webhook: Webhook) -> None:
        """What waits for it is told to nobody. Raises RefusedError (STALE)."""
        if not self.store.remove(webhook):
            raise stale("webhook", webhook.name)

    def try_out(self, webhook: Webhook, actor: str) -> tuple[Event, Outcome]:
        """Tell it of a test, at once and once."""
        data = {"account": webhook.account, "webhook": webhook.name, "actor": actor}
        event = Event(EventType.WEBHOOK_TEST, webhook.account, self.order(), webhook.name, data=data)
        return event, self.target.tell(webhook, event)

    def deliveries(self, webhook: Webhook, before: str, limit: int) -> list[Delivery]:
        return self.queues.delivered(webhook.key, before, limit)

    def _check_room(self, account: str, most: int, made: Webhook | None = None) -> None:
        """Of `made` too, which goes again: others may have been made since it was first looked.

        The events of an account with 50 would fit into no transaction. Raises RefusedError (CONFLICT).
        """
        if len(self.store.of(account)) > most:
            if made is not None:
                self.store.remove(made)
            raise RefusedError(Reason.CONFLICT, f"an account has {WEBHOOKS_LIMIT} webhooks at the most")

    def _put(self, after: Webhook) -> Webhook:
        if not self.store.put(after):
            raise stale("webhook", after.name)
        return after

    def _checked(self, webhook: Webhook, change: Change) -> Webhook:
        """Raises RefusedError (INVALID)."""
        told = {
            "url": change.url,
            "events": change.events,
            "repositories": change.repositories,
            "format": change.format,
            "is_disabled": change.is_disabled,
        }
        after = replace(webhook, **{name: value for name, value in told.items() if value is not None})  # type: ignore[arg-type]
        try:
            self.check_url(after.url)
        except ValueError as error:
            raise RefusedError(Reason.INVALID, str(error)) from error
        if after.format not in FORMATS:
            raise RefusedError(Reason.INVALID, f"a format is one of {', '.join(FORMATS)}")
        if not (0 < len(after.events) <= PATTERNS_LIMIT and 0 < len(after.repositories) <= PATTERNS_LIMIT):
            message = f"a webhook has 1 to {PATTERNS_LIMIT} patterns of events, and of repositories"
            raise RefusedError(Reason.INVALID, message)
        for pattern in change.events or ():
            if not any(matches([pattern], one) for one in TYPES):
                message = f"no event is of the type {pattern!r}: the types are {', '.join(TYPES)}"
                raise RefusedError(Reason.INVALID, message)
        return after
