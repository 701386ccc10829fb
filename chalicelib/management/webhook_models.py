"""What the management API takes and gives of webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints

from chalicelib.management.forms import (
    EVENT_PATTERN,
    REPOSITORY_PATTERN,
    WEBHOOK_URL,
    as_whole,
)
from chalicelib.management.models import Name, Strict

Url = Annotated[str, StringConstraints(min_length=8, max_length=2048, pattern=WEBHOOK_URL)]
EventPattern = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=EVENT_PATTERN)]
RepositoryPattern = Annotated[
    str, StringConstraints(min_length=1, max_length=255, pattern=REPOSITORY_PATTERN)
]
EventPatterns = Annotated[list[EventPattern], Field(min_length=1, max_length=20)]
RepositoryPatterns = Annotated[list[RepositoryPattern], Field(min_length=1, max_length=20)]
Format = Literal["cloudevents", "harbor", "docker-distribution"]


class WebhookIn(Strict):
    name: Name
    url: Url = Field(description="https://, without a user; it is shown to owners of the account alone")
    events: EventPatterns = Field(default=["*"], description="types of events; * is any text")
    repositories: RepositoryPatterns = Field(default=["*"], description="repositories; * is any text")
    format: Format = "cloudevents"
    disabled: bool = False


class WebhookChange(Strict):
    url: Url | None = None
    events: EventPatterns | None = None
    repositories: RepositoryPatterns | None = None
    format: Format | None = None
    disabled: bool | None = None


class WebhookOut(BaseModel):
    name: str
    url: str
    events: list[str]
    repositories: list[str]
    format: str
    disabled: bool
    secrets: list[datetime | None] = Field(description="when each ends that is in force; null: it does not")
    waiting: int = Field(description="deliveries that are still to come, of its first 100 lanes")
    failing: int = Field(description="how many of these lanes have failed the last time")
    created: datetime
    created_by: str


class WebhookMade(WebhookOut):
    secret: str | None = Field(
        description="whsec_..., of the Standard Webhooks specification; shown this once"
    )
    authorization: str | None = Field(
        description="the Authorization header of deliveries in the other formats, for receivers that know no "
        "signatures; shown this once"
    )


class WebhookRotationIn(Strict):
    overlap_seconds: Annotated[int, Field(ge=0, le=604_800), BeforeValidator(as_whole)] = Field(
        default=86_400, description="how long deliveries are signed with the secret before, too"
    )


class WebhookTestOut(BaseModel):
    id: str = Field(description="the webhook-id of what was sent")
    delivered: bool
    status: int = Field(description="of HTTP; 0 where there was no answer")
    error: str
