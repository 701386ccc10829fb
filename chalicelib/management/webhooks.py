"""/webhooks: who is told of what happens in an account, for its owners."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from chalicelib.events.stores import Webhook
from chalicelib.events.webhook_desk import Change, WebhookDesk
from chalicelib.identity.roles import EVERY_PROJECT, WRITE_PROJECT
from chalicelib.management.deliveries import Cursor, DeliveryOut, ReplayIn, ReplayOut, backlog, page
from chalicelib.management.forms import NAME
from chalicelib.management.paging import Page, PageLimit
from chalicelib.management.services import Caller, answered, caller_of, moment, pages, services_of
from chalicelib.management.tenancy import require
from chalicelib.management.webhook_models import (
    WebhookChange,
    WebhookIn,
    WebhookMade,
    WebhookOut,
    WebhookRotationIn,
    WebhookTestOut,
)

router = Router()  # type: ignore[no-untyped-call]
WebhookPath = Annotated[str, Path(min_length=1, max_length=63, pattern=NAME)]


@router.get("/webhooks", tags=["webhooks"])
def list_webhooks(
    limit: PageLimit = 50, after: Annotated[str, Query(max_length=63)] = ""
) -> Page[WebhookOut]:
    """Sorted by name."""
    desk, caller = _desk()
    found = [one for one in desk.of(caller.credential.account) if one.name > after]
    kept, following = pages(found, "name", limit)
    return Page(items=[_webhook(desk, one) for one in kept], next=following)


@router.post("/webhooks", tags=["webhooks"], responses={201: {"description": "made"}})
def create_webhook(webhook: WebhookIn) -> Response[WebhookMade]:
    """It is told of what is committed from now on; its secret is shown this once."""
    desk, caller = _desk()
    caller.told.update(webhook.model_dump(mode="json", exclude={"url"}, exclude_unset=True))
    made, secret = desk.create(
        caller.credential.account, webhook.name, _change(webhook), caller.credential.id
    )
    return answered(_made(desk, made, secret), status=201, version=made.version)


@router.get("/webhooks/<webhook>", tags=["webhooks"])
def describe_webhook(webhook: WebhookPath) -> Response[WebhookOut]:
    desk, _, found = _found(webhook)
    return answered(_webhook(desk, found), version=found.version)


@router.patch("/webhooks/<webhook>", tags=["webhooks"])
def change_webhook(webhook: WebhookPath, change: WebhookChange) -> Response[WebhookOut]:
    """While it is disabled nothing is put in its queues; what waits there fails, and is dead in the end."""
    desk, caller, before = _found(webhook)
    caller.told.update(change.model_dump(mode="json", exclude={"url"}, exclude_unset=True))
    caller.check_version("webhook", webhook, before.version)
    after = desk.change(before, _change(change))
    return answered(_webhook(desk, after), version=after.version)


@router.post("/webhooks/<webhook>/rotation", tags=["webhooks"], responses={201: {"description": "rotated"}})
def rotate_webhook(webhook: WebhookPath, rotation: WebhookRotationIn) -> Response[WebhookMade]:
    """A new secret; what is sent in the overlap is signed with both."""
    desk, caller, before = _found(webhook)
    caller.check_version("webhook", webhook, before.version)
    after, secret = desk.rotate(before, rotation.overlap_seconds)
    return answered(_made(desk, after, secret), status=201, version=after.version)


@router.delete("/webhooks/<webhook>", tags=["webhooks"], responses={204: {"description": "deleted"}})
def delete_webhook(webhook: WebhookPath) -> Response[None]:
    """What waits for it is told to nobody."""
    desk, caller, before = _found(webhook)
    caller.check_version("webhook", webhook, before.version)
    desk.remove(before)
    return Response(204)


@router.post("/webhooks/<webhook>/test", tags=["webhooks"])
def test_webhook(webhook: WebhookPath) -> Response[WebhookTestOut]:
    """Send a `ccr.webhook.test`, now and once, within 3 seconds; a disabled one gets it too."""
    desk, caller, found = _found(webhook)
    event, outcome = desk.try_out(found, caller.credential.id)
    caller.told.update(status=outcome.status, error=outcome.error)
    out = WebhookTestOut(
        id=event.order, delivered=outcome.is_delivered, status=outcome.status, error=outcome.error
    )
    return answered(out)


@router.get("/webhooks/<webhook>/deliveries", tags=["webhooks"])
def list_deliveries(webhook: WebhookPath, limit: PageLimit = 50, after: Cursor = "") -> Page[DeliveryOut]:
    """Those of the last 7 days that arrived, by the time of their events, newest first."""
    desk, _, found = _found(webhook)
    return page(desk.deliveries(found, after, limit), limit)


@router.get("/webhooks/<webhook>/dead", tags=["webhooks"])
def list_dead(webhook: WebhookPath, limit: PageLimit = 50, after: Cursor = "") -> Page[DeliveryOut]:
    """Those that were given up in the last 30 days, by the time of their events, newest first."""
    _, _, found = _found(webhook)
    return page(services_of(router.context).dead.page(found.key, after, limit), limit)


@router.post("/webhooks/<webhook>/replays", tags=["webhooks"])
def replay_dead(webhook: WebhookPath, replay: ReplayIn) -> Response[ReplayOut]:
    """Deliver again what was given up: with its id, and before what waits in its lane."""
    _, caller, found = _found(webhook)
    revived = services_of(router.context).dead.replay(found.key, replay.ids)
    caller.told["replayed"] = len(revived)
    return answered(ReplayOut(ids=revived))


def _desk() -> tuple[WebhookDesk, Caller]:
    """Raises RefusedError (FORBIDDEN)."""
    caller = caller_of(router.context)
    require(caller.credential.may(WRITE_PROJECT, EVERY_PROJECT), "see or change webhooks")
    return services_of(router.context).webhooks, caller


def _found(name: str) -> tuple[WebhookDesk, Caller, Webhook]:
    """Raises RefusedError (FORBIDDEN, NOT_FOUND)."""
    desk, caller = _desk()
    return desk, caller, desk.get(caller.credential.account, name)


def _change(asked: WebhookIn | WebhookChange) -> Change:
    return Change(
        url=asked.url,
        events=None if asked.events is None else tuple(asked.events),
        repositories=None if asked.repositories is None else tuple(asked.repositories),
        format=asked.format,
        is_disabled=asked.disabled,
    )


def _webhook(desk: WebhookDesk, webhook: Webhook) -> WebhookOut:
    now = desk.clock()
    waiting, failing = backlog(desk.queues, webhook.key)
    return WebhookOut(
        name=webhook.name,
        url=webhook.url,
        events=list(webhook.events),
        repositories=list(webhook.repositories),
        format=webhook.format,
        disabled=webhook.is_disabled,
        secrets=[
            None if one.expires is None else moment(one.expires)
            for one in webhook.secrets
            if one.expires is None or one.expires > now
        ],
        waiting=waiting,
        failing=failing,
        created=moment(webhook.created),
        created_by=webhook.created_by,
    )


def _made(desk: WebhookDesk, webhook: Webhook, secret: str) -> WebhookMade:
    shown = _webhook(desk, webhook).model_dump()
    return WebhookMade(**shown, secret=secret, authorization=desk.token(webhook))
