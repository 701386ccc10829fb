"""/event-bus: what the event bus of the deployment has not taken; for operators alone."""

from __future__ import annotations

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from pydantic import BaseModel, Field

from chalicelib.events.dead import DeadDeliveries
from chalicelib.events.drain import BUS
from chalicelib.management.deliveries import Cursor, DeliveryOut, ReplayIn, ReplayOut, backlog, page
from chalicelib.management.paging import Page, PageLimit
from chalicelib.management.services import answered, caller_of, services_of
from chalicelib.management.tenancy import require

router = Router()  # type: ignore[no-untyped-call]


class EventBusOut(BaseModel):
    name: str | None = Field(description="null: this deployment has none (CCR_EVENT_BUS)")
    waiting: int = Field(description="events of all accounts, in 100 lanes at the most")
    failing: int = Field(description="those lanes whose next event was refused, and is tried again")


@router.get("/event-bus", tags=["event-bus"])
def describe_event_bus() -> EventBusOut:
    """What waits for it."""
    waiting, failing = backlog(_dead().queues, BUS)
    name = services_of(router.context).event_bus or None
    return EventBusOut(name=name, waiting=waiting, failing=failing)


@router.get("/event-bus/dead", tags=["event-bus"])
def list_dead_of_event_bus(limit: PageLimit = 50, after: Cursor = "") -> Page[DeliveryOut]:
    """Those of all accounts that were given up in the last 30 days, newest event first."""
    return page(_dead().page(BUS, after, limit), limit)


@router.post("/event-bus/replays", tags=["event-bus"])
def replay_dead_of_event_bus(replay: ReplayIn) -> Response[ReplayOut]:
    """Put on the bus again what was given up: with its id, and before what waits in its lane."""
    revived = _dead().replay(BUS, replay.ids)
    caller_of(router.context).told["replayed"] = len(revived)
    return answered(ReplayOut(ids=revived))


def _dead() -> DeadDeliveries:
    """Raises RefusedError (FORBIDDEN)."""
    operator = caller_of(router.context).credential.is_operator
    require(operator, "see the event bus, which is of the whole deployment: ask an operator of this registry")
    return services_of(router.context).dead
