"""Limits of accounts, registries and projects through the API: who sets them, and what holds then."""

from __future__ import annotations

import os

from chalicelib.identity.tenancy import FREE_BYTES
from chalicelib.spec.digest import Digest
from chalicelib.wiring import ADMINISTRATOR
from tests.access.caller import Caller, Reply
from tests.access.estate import Estate, pushed, put


def limited(estate: Estate, limit: int, **headers: str) -> Reply:
    return estate.caller(ADMINISTRATOR).api("PATCH", "/accounts/acme", {"limit_bytes": limit}, **headers)


def pushing(caller: Caller, size: int) -> int:
    blob = os.urandom(size)
    path = "/v2/dev/app/blobs/uploads/"
    return caller.v2("POST", path, {"digest": Digest.of(blob)}, blob).status


def test_an_account_shows_what_it_uses_of_its_limit(estate: Estate) -> None:
    owner = estate.caller("acme-owner")
    before = owner.api("GET", "/accounts/acme").document
    assert before["limit_bytes"] == FREE_BYTES
    pushed(owner, "dev/app", os.urandom(1000))
    after = owner.api("GET", "/accounts/acme").document
    assert after["used_bytes"] == before["used_bytes"] + 1000
    limited(estate, after["used_bytes"] * 2)
    assert owner.api("GET", "/accounts/acme").document["used_percent"] == 50
    assert [one["used_percent"] for one in owner.api("GET", "/accounts").document["items"]] == [50]


def test_a_limit_is_in_force_at_once_and_takes_no_pull_away(estate: Estate) -> None:
    owner = estate.caller("acme-owner")
    used = owner.api("GET", "/accounts/acme").document["used_bytes"]
    assert limited(estate, used + 100).document["limit_bytes"] == used + 100
    assert (pushing(owner, 101), pushing(owner, 100), pushing(owner, 1)) == (403, 201, 403)
    assert limited(estate, 1).document["used_percent"] > 100
    assert pushing(owner, 1) == 403
    assert owner.v2("GET", "/v2/dev/app/manifests/v1").status == 200
    assert limited(estate, used + 200).status == 200
    assert (pushing(owner, 101), pushing(owner, 100)) == (403, 201)


def test_operators_alone_set_limits_and_the_trail_tells(estate: Estate) -> None:
    owner = estate.caller("acme-owner")
    assert owner.api("PATCH", "/accounts/acme", {"limit_bytes": 2**50}).status == 403
    assert owner.api("PATCH", "/accounts/acme", {"title": "T"}).document["limit_bytes"] == FREE_BYTES
    assert limited(estate, 10**9, if_match='"99"').status == 412
    assert limited(estate, 10**9).document["title"] == "T"
    entries = estate.caller(ADMINISTRATOR).api("GET", "/audit").document["items"]
    detail = {"limit_bytes": 10**9, "limit_bytes_before": FREE_BYTES}
    assert detail in [one["detail"] for one in entries]


def test_an_account_can_be_made_with_a_limit(estate: Estate) -> None:
    document = {"id": "small", "owner": "small-owner", "limit_bytes": 5}
    made = estate.made(ADMINISTRATOR, "/accounts", document)
    assert (made["limit_bytes"], made["used_bytes"], made["used_percent"]) == (5, 0, 0)
    usage = estate.ground.deployment.quota.usages.get("small")
    assert usage is not None
    assert (usage.bytes, usage.limit) == (0, 5)


def test_a_push_beyond_a_soft_limit_is_taken_and_warned(estate: Estate) -> None:
    owner, raw = estate.caller("acme-owner"), estate.images["dev/app"].raw
    assert owner.api("PUT", "/registries/dev/soft-limit", {"bytes": 3}).document["used_bytes"] is None
    assert "warning" not in put(owner, "dev/app", "v2", raw).headers
    done = owner.api("POST", "/accounts/acme/reconciliation").document
    assert (done["drift_bytes"], done["repaired"], done["missing_objects"]) == (0, False, 0)
    found = owner.api("GET", "/registries/dev/soft-limit").document
    assert found["above"]
    said = f'299 - "the registry dev uses {found["used_bytes"]} bytes, its soft limit is 3"'
    assert put(owner, "dev/app", "v3", raw).headers["warning"] == said
    assert "warning" not in put(owner, "stage/app", "v3", estate.images["stage/app"].raw).headers
    assert owner.api("DELETE", "/registries/dev/soft-limit").status == 204
    assert owner.api("GET", "/registries/dev/soft-limit").status == 404
    owner.api("POST", "/accounts/acme/reconciliation")
    assert "warning" not in put(owner, "dev/app", "v4", raw).headers
