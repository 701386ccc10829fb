"""Deliveries of events as the management API tells of them, to webhooks and to the event bus alike."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import BaseModel, Field, StringConstraints

from chalicelib.events.dead import REPLAY_LIMIT
from chalicelib.events.stores import Delivery, Queues
from chalicelib.management.forms import EVENT_CURSOR, EVENT_ID
from chalicelib.management.models import Strict
from chalicelib.management.paging import Page
from chalicelib.management.services import moment

Cursor = Annotated[str, Query(max_length=64, pattern=EVENT_CURSOR)]
EventId = Annotated[str, StringConstraints(pattern=EVENT_ID)]
# Of a target: few have more with something in them.
_LANES_LOOKED_AT: Final = 100


class DeliveryOut(BaseModel):
    id: str = Field(description="of the event, and the webhook-id")
    type: str
    subject: str
    lane: str = Field(description="what is kept in order: an account, or one of its repositories")
    attempts: int
    at: datetime
    status: int
    error: str
    event: dict[str, Any] = Field(description="what it tells of")


class ReplayIn(Strict):
    ids: Annotated[list[EventId], Field(max_length=REPLAY_LIMIT)] = Field(
        default=[], description="dead deliveries; none: the newest 100"
    )


class ReplayOut(BaseModel):
    ids: list[str] = Field(description="those that are delivered again, with the ids that they had")


def backlog(queues: Queues, target: str) -> tuple[int, int]:
    """How many events wait for it, and in how many lanes the next has failed; of 100 lanes at the most."""
    lanes = queues.waiting(target, _LANES_LOOKED_AT)
    return sum(pending for _, pending, _, _ in lanes), sum(failures > 0 for _, _, failures, _ in lanes)


def page(found: list[Delivery], limit: int) -> Page[DeliveryOut]:
    following = found[-1].event.order if len(found) == limit else ""
    return Page(items=[_delivery(one) for one in found], next=following)


def _delivery(one: Delivery) -> DeliveryOut:
    event = one.event
    return DeliveryOut(
        id=event.order,
        type=str(event.type),
        subject=event.subject,
        lane=event.lane,
        attempts=one.attempts,
        at=moment(one.at),
        status=one.status,
        error=one.error,
        event=dict(event.data),
    )
