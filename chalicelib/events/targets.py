"""Those who are told: webhooks by a signed POST, and the event bus of the deployment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from chalicelib.events.courier import Outcome
from chalicelib.events.drain import BUS
from chalicelib.events.payloads import CLOUDEVENTS, Payloads
from chalicelib.events.signature import LostKeyError, WebhookKeys
from chalicelib.events.stores import Webhook, Webhooks
from chalicelib.spec.cloud_events import Event

# "Gone": the receiver wants no more. https://github.com/standard-webhooks/standard-webhooks
_GONE: Final = 410
Post = Callable[[str, Mapping[str, str], bytes], int]
Put = Callable[[Event], str]


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """`post` answers the status, and raises OSError or ValueError."""

    webhooks: Webhooks
    payloads: Payloads
    keys: WebhookKeys
    post: Post
    clock: Callable[[], float]

    def send(self, target: str, event: Event) -> Outcome:
        account, name, incarnation = target.split("/")
        webhook = self.webhooks.get(account, name)
        if webhook is None or webhook.incarnation != incarnation:
            return Outcome(is_gone=True)
        if webhook.is_disabled:
            return Outcome(error="the webhook is disabled", is_unreachable=True)
        return self.tell(webhook, event)

    def tell(self, webhook: Webhook, event: Event) -> Outcome:
        """Whatever state it is in. What its format has no word for counts as delivered, with the status 0."""
        payload = self.payloads.of(event, webhook.format)
        if payload is None:
            return Outcome()
        try:
            signed = self.keys.headers(webhook, event.order, int(self.clock()), payload.body)
            if webhook.format != CLOUDEVENTS:
                signed["Authorization"] = self.keys.token(webhook)
        except LostKeyError:
            error = "its secret was derived from a key that is gone from CCR_TOKEN_KEY: rotate the secret"
            return Outcome(error=error, is_unreachable=True)
        headers = {"Content-Type": payload.content_type, **signed}
        try:
            status = self.post(webhook.url, headers, payload.body)
        except (OSError, ValueError) as error:
            # Without the number: whoever reads it is on another machine.
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            return Outcome(error=said, is_unreachable=True)
        if 200 <= status < 300:
            return Outcome(status)
        hint = ": the receiver wants no more" if status == _GONE else ""
        return Outcome(status, f"the receiver answers {status}{hint}")


@dataclass(frozen=True, slots=True)
class Targets:
    """`Target` for every queue; `put` is the bus, and answers '' or what is wrong."""

    webhook: WebhookTarget
    put: Put | None = None

    def send(self, target: str, event: Event) -> Outcome:
        if target != BUS:
            return self.webhook.send(target, event)
        if self.put is None:
            return Outcome(is_gone=True)
        error = self.put(event)
        return Outcome(error=error, is_unreachable=bool(error))
