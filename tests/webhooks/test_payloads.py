"""The bodies of webhooks, as tools that were made for other registries read them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.events.payloads import FORMATS, Payloads
from chalicelib.spec.cloud_events import Event, EventType

DIGEST = "sha256:" + "a" * 64
PAYLOADS = Payloads("ccr", "https://registry.example.id")
BASE = {"account": "acme", "registry": "prod", "repository": "prod/team/app", "actor": "ci", "digest": DIGEST}
ORDER = "01700000000123456-0123456789abcdef"


def event(type_: EventType, **data: Any) -> Event:
    return Event(type_, "acme", ORDER, f"prod/team/app@{DIGEST}", "prod/team/app", {**BASE, **data})


PUSH = event(
    EventType.MANIFEST_PUSHED,
    action="push",
    tags=[{"tag": "1.0", "previous": None}, {"tag": "latest", "previous": DIGEST}],
    media_type="application/vnd.oci.image.manifest.v1+json",
    size=1234,
    source="",
)
DELETION = event(EventType.MANIFEST_DELETED, tags=["1.0"], reason="")
QUOTA = Event(
    EventType.QUOTA_REACHED,
    "acme",
    ORDER,
    "acme",
    data={"account": "acme", "target": "acme", "threshold": 80, "used": 8, "limit": 10},
)


def body(of: Event, format_: str) -> Any:
    payload = PAYLOADS.of(of, format_)
    assert payload is not None
    return json.loads(payload.body)


def test_a_cloudevent_has_what_the_specification_requires() -> None:
    payload = PAYLOADS.of(PUSH, "cloudevents")
    assert payload is not None
    assert payload.content_type.startswith("application/cloudevents+json")
    document = json.loads(payload.body)
    assert document["specversion"] == "1.0"
    assert document["id"] == document["sequence"] == ORDER
    assert document["source"] == "urn:ccr:ccr:acme"
    assert document["time"] == "2023-11-14T22:13:20.123456+00:00"
    assert document["partitionkey"] == "acme/prod/team/app"
    # Names of attributes: lower-case letters and digits alone (section 3.1.1.1).
    assert all(name.isalnum() and name.islower() for name in document)


def test_harbor_has_one_resource_for_each_tag() -> None:
    """As its page on webhooks has it: payloads.py names it."""
    assert body(PUSH, "harbor") == {
        "type": "PUSH_ARTIFACT",
        "occur_at": 1700000000,
        "operator": "ci",
        "event_data": {
            "resources": [
                {
                    "digest": DIGEST,
                    "tag": tag,
                    "resource_url": f"registry.example.id/prod/team/app:{tag}",
                }
                for tag in ("1.0", "latest")
            ],
            "repository": {
                "name": "team/app",
                "namespace": "prod",
                "repo_full_name": "prod/team/app",
                "repo_type": "private",
            },
        },
    }


def test_harbor_gives_what_has_no_tag_its_digest_for_one() -> None:
    (resource,) = body(event(EventType.MANIFEST_PUSHED, tags=[]), "harbor")["event_data"]["resources"]
    assert resource["tag"] == DIGEST
    assert resource["resource_url"] == f"registry.example.id/prod/team/app@{DIGEST}"


@pytest.mark.parametrize(
    ("type_", "harbor", "docker"),
    [
        (EventType.MANIFEST_PUSHED, "PUSH_ARTIFACT", "push"),
        (EventType.MANIFEST_PROMOTED, "PUSH_ARTIFACT", "push"),
        (EventType.TAG_MOVED, "PUSH_ARTIFACT", "push"),
        (EventType.MANIFEST_PULLED, "PULL_ARTIFACT", "pull"),
        (EventType.MANIFEST_DELETED, "DELETE_ARTIFACT", "delete"),
        (EventType.MANIFEST_EXPIRED, "DELETE_ARTIFACT", "delete"),
        (EventType.TAG_DELETED, "DELETE_ARTIFACT", "delete"),
        (EventType.TAG_EXPIRED, "DELETE_ARTIFACT", "delete"),
        (EventType.BLOB_DELETED, None, "delete"),
        (EventType.CREDENTIAL_ROTATED, None, None),
        (EventType.SOFT_LIMIT_EXCEEDED, None, None),
    ],
)
def test_what_a_format_has_no_word_for_is_not_said(
    type_: EventType, harbor: str | None, docker: str | None
) -> None:
    of = event(type_, tags=["1.0"])
    assert (body(of, "harbor")["type"] if PAYLOADS.of(of, "harbor") else None) == harbor
    payload = PAYLOADS.of(of, "docker-distribution")
    actions = {one["action"] for one in json.loads(payload.body)["events"]} if payload else {None}
    assert actions == {docker}


def test_harbor_is_warned_of_a_quota() -> None:
    document = body(QUOTA, "harbor")
    assert document["type"] == "QUOTA_WARNING"
    assert "80%" in document["event_data"]["custom_attributes"]["Details"]


def test_the_envelope_of_docker_distribution() -> None:
    """As https://distribution.github.io/distribution/about/notifications/ has it."""
    payload = PAYLOADS.of(PUSH, "docker-distribution")
    assert payload is not None
    assert payload.content_type == "application/vnd.docker.distribution.events.v2+json"
    first, second = json.loads(payload.body)["events"]
    assert first == {
        "id": f"{ORDER}-0",
        "timestamp": "2023-11-14T22:13:20.123456+00:00",
        "action": "push",
        "target": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "size": 1234,
            "length": 1234,
            "digest": DIGEST,
            "repository": "prod/team/app",
            "url": f"https://registry.example.id/v2/prod/team/app/manifests/{DIGEST}",
            "tag": "1.0",
        },
        "request": {"host": "registry.example.id"},
        "actor": {"name": "ci"},
        "source": {"addr": "registry.example.id", "instanceID": "ccr"},
    }
    assert (second["id"], second["target"]["tag"]) == (f"{ORDER}-1", "latest")


def test_a_deletion_says_no_url() -> None:
    (entry,) = body(DELETION, "docker-distribution")["events"]
    assert entry["target"] == {"digest": DIGEST, "repository": "prod/team/app", "tag": "1.0"}


def test_every_format_has_a_word_for_a_test() -> None:
    test = Event(EventType.WEBHOOK_TEST, "acme", ORDER, "hook", data={"account": "acme", "webhook": "hook"})
    assert all(PAYLOADS.of(test, one) for one in FORMATS)
