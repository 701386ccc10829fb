"""Promotion copies each manifest once, and no more of them than others can wait for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.registry import promotion
from chalicelib.spec.digest import Digest
from tests.access.caller import Caller, Reply
from tests.access.estate import Estate, manifest, pushed
from tests.access.ground import content

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
WIDTH, LEVELS = 2, 7


def put(caller: Caller, raw: bytes, media_type: str, reference: str = "") -> dict[str, Any]:
    """Its descriptor."""
    path = f"/v2/dev/lattice/manifests/{reference or Digest.of(raw)}"
    reply = caller.v2("PUT", path, body=raw, content_type=media_type)
    assert reply.status == 201, reply
    return {"mediaType": media_type, "digest": Digest.of(raw), "size": len(raw)}


def lattice(caller: Caller) -> int:
    """Tagged `v1`: every index names everything one level below. How many manifests that are."""
    pushed(caller, "dev/lattice", b"{}")
    images = [manifest(b"{}", annotations={"of": str(number)}) for number in range(WIDTH)]
    level = [put(caller, raw, IMAGE) for raw in images]
    for height in range(LEVELS):
        level = [put(caller, index(level, f"{height}-{number}"), INDEX) for number in range(WIDTH)]
    put(caller, index(level, "top"), INDEX, "v1")
    return WIDTH * (LEVELS + 1) + 1


def index(children: list[dict[str, Any]], name: str) -> bytes:
    document = {"schemaVersion": 2, "mediaType": INDEX, "annotations": {"of": name}, "manifests": children}
    return json.dumps(document).encode()


def promoted(caller: Caller) -> Reply:
    return caller.api("POST", "/promotions", {"source": "dev/lattice:v1", "target": "stage/lattice:v1"})


def test_each_manifest_is_copied_once_however_many_paths_lead_to_it(estate: Estate) -> None:
    caller = estate.caller("acme-owner")
    count = lattice(caller)
    reply = promoted(caller)
    assert (reply.status, reply.document["manifests"]) == (201, count)
    assert caller.v2("GET", "/v2/stage/lattice/manifests/v1").status == 200


def test_a_promotion_of_more_than_the_limit_is_refused_whole(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = estate.caller("acme-owner")
    count = lattice(caller)
    monkeypatch.setattr(promotion, "MANIFESTS_LIMIT", count - 1)
    before = content()
    assert promoted(caller).status == 422
    assert content() == before
    monkeypatch.setattr(promotion, "MANIFESTS_LIMIT", count)
    assert promoted(caller).status == 201


def test_signatures_count_towards_the_limit(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = estate.caller("acme-owner")
    asked = {"source": "dev/app:v1", "target": "stage/other:v1"}
    before = content()
    monkeypatch.setattr(promotion, "MANIFESTS_LIMIT", 1)
    assert caller.api("POST", "/promotions", asked).status == 422
    assert content() == before
    monkeypatch.setattr(promotion, "MANIFESTS_LIMIT", 2)
    assert caller.api("POST", "/promotions", asked).document["manifests"] == 2
