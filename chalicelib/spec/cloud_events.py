"""What is told of: events as CloudEvents 1.0, structured JSON.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"


class EventType(StrEnum):
    """Each has a schema in docs/schemas/events.json."""

    MANIFEST_PUSHED = "ccr.manifest.pushed"
    MANIFEST_PULLED = "ccr.manifest.pulled"
    MANIFEST_PROMOTED = "ccr.manifest.promoted"
    MANIFEST_DELETED = "ccr.manifest.deleted"
    MANIFEST_EXPIRED = "ccr.manifest.expired"
    MANIFEST_PURGED = "ccr.manifest.purged"
    TAG_MOVED = "ccr.tag.moved"
    TAG_DELETED = "ccr.tag.deleted"
    TAG_EXPIRED = "ccr.tag.expired"
    BLOB_DELETED = "ccr.blob.deleted"
    QUOTA_REACHED = "ccr.quota.reached"
    SOFT_LIMIT_EXCEEDED = "ccr.soft-limit.exceeded"
    CREDENTIAL_CREATED = "ccr.credential.created"
    CREDENTIAL_CHANGED = "ccr.credential.changed"
    CREDENTIAL_ROTATED = "ccr.credential.rotated"
    CREDENTIAL_DELETED = "ccr.credential.deleted"
    WEBHOOK_TEST = "ccr.webhook.test"


@dataclass(frozen=True, slots=True)
class Event:
    """`order` sorts within a lane, by the time (`<epoch microseconds>-<random>`); it is the id too.

    `repository` is '' for what is about the account. `data` is what the schema of its type says.
    """

    type: EventType
    account: str
    order: str
    subject: str
    repository: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lane(self) -> str:
        """What is kept in order: a repository, or what is about the account."""
        return f"{self.account}/{self.repository}" if self.repository else self.account

    @property
    def at(self) -> int:
        """Epoch microseconds."""
        return int(self.order.partition("-")[0])

    @property
    def time(self) -> str:
        """RFC 3339."""
        return datetime.fromtimestamp(self.at / 1_000_000, UTC).isoformat(timespec="microseconds")

    def to_text(self) -> str:
        """JSON, as `event_from` reads it."""
        return json.dumps(asdict(self))


def order_key(at: float, nonce: str) -> str:
    """`at` in epoch seconds."""
    return f"{int(at * 1_000_000):017d}-{nonce}"


def event_from(text: str) -> Event:
    document = json.loads(text)
    return Event(**{**document, "type": EventType(document["type"])})


def source_of(service: str, account: str) -> str:
    """A URI-reference, unique to one account of one deployment."""
    return f"urn:ccr:{service}:{account}"


def cloud_event(event: Event, service: str) -> dict[str, Any]:
    """With the extensions `partitionkey` and `sequence`: what is in order, and by what.

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/partitioning.md
    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/sequence.md
    """
    return {
        "specversion": "1.0",
        "id": event.order,
        "source": source_of(service, event.account),
        "type": str(event.type),
        "subject": event.subject,
        "time": event.time,
        "datacontenttype": "application/json",
        "partitionkey": event.lane,
        "sequence": event.order,
        "data": dict(event.data),
    }
