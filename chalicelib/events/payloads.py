"""The body of a webhook: a CloudEvent, or what tools know that were made for other registries.

https://goharbor.io/docs/2.12.0/working-with-projects/project-configuration/configure-webhooks/
https://distribution.github.io/distribution/about/notifications/
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from chalicelib.spec.cloud_events import CONTENT_TYPE, Event, EventType, cloud_event

CLOUDEVENTS: Final = "cloudevents"
HARBOR: Final = "harbor"
DOCKER_DISTRIBUTION: Final = "docker-distribution"

_PUSHES: Final = (EventType.MANIFEST_PUSHED, EventType.MANIFEST_PROMOTED, EventType.TAG_MOVED)
_DELETES: Final = (
    EventType.MANIFEST_DELETED,
    EventType.MANIFEST_EXPIRED,
    EventType.TAG_DELETED,
    EventType.TAG_EXPIRED,
)
_HARBOR_TYPES: Final[dict[str, str]] = {
    **dict.fromkeys(_PUSHES, "PUSH_ARTIFACT"),
    **dict.fromkeys(_DELETES, "DELETE_ARTIFACT"),
    EventType.MANIFEST_PULLED: "PULL_ARTIFACT",
    EventType.QUOTA_REACHED: "QUOTA_WARNING",
    EventType.WEBHOOK_TEST: "PUSH_ARTIFACT",
}
_ACTIONS: Final[dict[str, str]] = {
    **dict.fromkeys(_PUSHES, "push"),
    **dict.fromkeys((*_DELETES, EventType.BLOB_DELETED), "delete"),
    EventType.MANIFEST_PULLED: "pull",
    EventType.WEBHOOK_TEST: "push",
}


@dataclass(frozen=True, slots=True)
class Payload:
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Payloads:
    """`service` names the deployment; `public_url` is where clients reach it, or ''."""

    service: str
    public_url: str = ""

    def of(self, event: Event, format_: str) -> Payload | None:
        """None where that format has no word for such an event."""
        return _FORMATS[format_](self, event)

    def cloudevents(self, event: Event) -> Payload:
        """Structured content mode, section 3.2.

        https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
        """
        return Payload(CONTENT_TYPE, _json(cloud_event(event, self.service)))

    def harbor(self, event: Event) -> Payload | None:
        kind = _HARBOR_TYPES.get(event.type)
        if kind is None:
            return None
        said: dict[str, Any] = {
            "type": kind,
            "occur_at": event.at // 1_000_000,
            "operator": event.data.get("actor", ""),
        }
        if event.type is EventType.QUOTA_REACHED:
            used, limit = event.data["used"], event.data["limit"]
            text = f"quota usage reach {event.data['threshold']}%: {used} of {limit} bytes"
            said["event_data"] = {"custom_attributes": {"Details": text}}
            return Payload("application/json", _json(said))
        namespace, _, name = event.repository.partition("/")
        said["event_data"] = {
            "resources": [self._resource(event, tag) for tag in _tags(event) or [""]],
            "repository": {
                "name": name,
                "namespace": namespace,
                "repo_full_name": event.repository,
                "repo_type": "private",
            },
        }
        return Payload("application/json", _json(said))

    def _resource(self, event: Event, tag: str) -> dict[str, Any]:
        """What has no tag has its digest for one, there."""
        digest = str(event.data.get("digest", ""))
        at = f":{tag}" if tag else f"@{digest}"
        url = f"{self._host}/{event.repository}{at}"
        return {"digest": digest, "tag": tag or digest, "resource_url": url}

    def docker_distribution(self, event: Event) -> Payload | None:
        action = _ACTIONS.get(event.type)
        if action is None:
            return None
        tags = _tags(event) or [""]
        entries = [self._entry(event, action, tag, number) for number, tag in enumerate(tags)]
        return Payload("application/vnd.docker.distribution.events.v2+json", _json({"events": entries}))

    def _entry(self, event: Event, action: str, tag: str, number: int) -> dict[str, Any]:
        data = event.data
        target: dict[str, Any] = {"digest": data.get("digest", ""), "repository": event.repository}
        kind = "blobs" if event.type is EventType.BLOB_DELETED else "manifests"
        if "media_type" in data:
            target |= {"mediaType": data["media_type"], "size": data["size"], "length": data["size"]}
        if action != "delete":
            target["url"] = f"{self.public_url}/v2/{event.repository}/{kind}/{target['digest']}"
        if tag:
            target["tag"] = tag
        return {
            "id": f"{event.order}-{number}",
            "timestamp": event.time,
            "action": action,
            "target": target,
            "request": {"host": self._host},
            "actor": {"name": data.get("actor", "")},
            "source": {"addr": self._host, "instanceID": self.service},
        }

    @property
    def _host(self) -> str:
        return urlsplit(self.public_url).netloc or self.service


def _tags(event: Event) -> list[str]:
    tags = event.data.get("tags", [])
    return [one["tag"] if isinstance(one, dict) else str(one) for one in tags]


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


_FORMATS: Final[dict[str, Callable[[Payloads, Event], Payload | None]]] = {
    CLOUDEVENTS: Payloads.cloudevents,
    HARBOR: Payloads.harbor,
    DOCKER_DISTRIBUTION: Payloads.docker_distribution,
}
FORMATS: Final = tuple(_FORMATS)
