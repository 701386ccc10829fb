"""Events on Amazon EventBridge, as CloudEvents in `detail`.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.spec.cloud_events import Event, cloud_event

SOURCE: Final = "ccr"
_LOG: Final = logging.getLogger(__name__)


class EventBus:
    """One entry a call: an entry that is refused is one event, and holds up its own lane alone."""

    def __init__(self, client: Any, name: str, service: str) -> None:
        self._client, self._name, self._service = client, name, service

    def put(self, event: Event) -> str:
        """'' where it was taken, or what is wrong. Never raises for what EventBridge answers."""
        entry = {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": str(event.type),
            "Time": datetime.fromtimestamp(event.at / 1_000_000, UTC),
            "Resources": [event.lane],
            "Detail": json.dumps(cloud_event(event, self._service)),
        }
        try:
            answer = self._client.put_events(Entries=[entry])
        except (BotoCoreError, ClientError) as error:
            _LOG.warning("the event bus %s takes nothing", self._name, exc_info=True)
            return f"EventBridge: {error}"
        if answer["FailedEntryCount"]:
            failed = answer["Entries"][0]
            return f"EventBridge: {failed.get('ErrorCode')}: {failed.get('ErrorMessage')}"
        return ""
