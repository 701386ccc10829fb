"""Events from and to the rows of the outbox and the queues."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from chalicelib.aws.tables import Tables
from chalicelib.events.stores import Delivery, Queue
from chalicelib.spec.cloud_events import Event, event_from, order_key


def new_order(at: float) -> str:
    """`at` in epoch seconds."""
    return order_key(at, secrets.token_hex(8))


def newest_of(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of what an event of the outbox's stream says was put there: each lane, and its last order.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html
    """
    newest: dict[str, str] = {}
    for record in event["Records"]:
        if record["eventName"] != "REMOVE":
            key = record["dynamodb"]["Keys"]
            lane, order = key["lane"]["S"], key["order"]["S"]
            newest[lane] = max(newest.get(lane, ""), order)
    return list(newest.items())


def outbox_model(tables: Tables, event: Event) -> Any:
    return tables.outbox(lane=event.lane, order=event.order, document=event.to_text())


def waiting_key(queue: Queue) -> str:
    return f"wait#{queue.target}#{queue.lane}"


def delivery_model(tables: Tables, key: str, delivery: Delivery, expires: Any = None) -> Any:
    return tables.deliveries(
        queue=key,
        order=delivery.event.order,
        document=delivery.event.to_text(),
        attempts=delivery.attempts,
        at=delivery.at,
        status=delivery.status,
        error=delivery.error or None,
        expires=expires,
    )


def delivery_of(model: Any) -> Delivery:
    return Delivery(
        event_from(model.document),
        int(model.attempts or 0),
        int(model.at or 0),
        int(model.status or 0),
        model.error or "",
    )
