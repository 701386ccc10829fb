"""Lifecycle policies by the API and the adapters: set, preview, run, the schedule, and what races them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from chalicelib.registry.lifecycle import DAY
from chalicelib.registry.lifecycle_run import Lifecycle
from chalicelib.registry.policies import IMMUTABLE_TAGS, Policy, repository_scope
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import LIFECYCLE_RESERVE_SECONDS, Deployment
from tests.access.caller import Caller, Reply
from tests.management.direct_client import House

IMAGE: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
NEWEST: Final = {"name": "newest", "action": "keep-newest", "priority": 1, "tags": ["v*"], "count": 1}
UNTAGGED: Final = {"name": "untagged", "action": "expire-untagged", "priority": 1, "after": "7d"}
UNPULLED: Final = {"name": "unpulled", "action": "expire-unpulled", "priority": 1, "after": "30d"}


def policy(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"rules": list(rules)}


@dataclass
class Clock:
    ahead: float = 0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def pass_days(self, days: float) -> None:
        self.ahead += days * DAY


@dataclass
class Shop:
    """A repository of its own, by an owner of its account."""

    deployment: Deployment
    owner: Caller
    clock: Clock
    name: str = field(default_factory=lambda: f"shop/app-{os.urandom(4).hex()}")

    @property
    def repository(self) -> Repository:
        return Repository("acme", self.name)

    @property
    def path(self) -> str:
        return f"/repositories/{self.name.replace('/', '%2F')}/lifecycle"

    def ask(self, method: str, below: str = "", document: Any = None, **headers: str) -> Reply:
        return self.owner.api(method, self.path + below, document, **headers)

    def keep(self, *rules: dict[str, Any]) -> None:
        reply = self.ask("PUT", document=policy(*rules))
        assert reply.status == 200, reply

    def push(self, tag: str = "", seed: str = "", media_type: str = IMAGE, **more: Any) -> Digest:
        """A manifest of nothing but what tells it apart."""
        fields = {"schemaVersion": 2, "mediaType": media_type, "annotations": {"seed": seed or tag}, **more}
        raw = json.dumps(fields).encode()
        digest = Digest.of(raw)
        path = f"/v2/{self.name}/manifests/{tag or digest}"
        reply = self.owner.v2("PUT", path, body=raw, content_type=media_type)
        assert reply.status == 201, reply
        return digest

    def pull(self, reference: str, method: str = "GET") -> int:
        return self.owner.v2(method, f"/v2/{self.name}/manifests/{reference}").status

    def has(self, *references: str) -> list[bool]:
        """Without pulling them."""
        return [self.pull(one, "HEAD") == 200 for one in references]

    def previewed(self, document: Any = None) -> list[str]:
        reply = self.ask("POST", "/preview", document or {})
        assert reply.status == 200, reply
        return [one["tag"] or one["digest"] for one in reply.document["items"]]

    def run(self) -> dict[str, Any]:
        reply = self.ask("POST", "/run")
        assert reply.status == 200, reply
        return dict(reply.document)

    def gone(self) -> list[str]:
        return [one["tag"] or one["digest"] for one in self.run()["gone"]]


@pytest.fixture
def shop(house: House) -> Shop:
    clock = Clock()
    deployment = Deployment(house.deployment.settings, clock)
    owner = house.client("acme-owner").caller
    return Shop(deployment, Caller(deployment, owner.authorization), clock)


def test_a_policy_is_set_shown_changed_and_removed_from_the_version_seen(shop: Shop) -> None:
    shop.push("v1")
    assert shop.ask("GET").status == 404
    assert shop.ask("PUT", document=policy(NEWEST), if_match='"1"').status == 412
    made = shop.ask("PUT", document=policy(NEWEST))
    assert (made.status, made.headers["etag"]) == (200, '"1"')
    assert made.document["scope"] == shop.name
    assert not made.document["inherited"]
    assert shop.ask("GET").document["rules"] == made.document["rules"]
    assert shop.ask("PUT", document=policy(UNTAGGED), if_match='"2"').status == 412
    assert shop.ask("PUT", document=policy(UNTAGGED), if_match='"1"').headers["etag"] == '"2"'
    assert shop.ask("DELETE", if_match='"1"').status == 412
    assert shop.ask("DELETE", if_match='"2"').status == 204
    assert shop.ask("DELETE").status == 404
    assert shop.ask("POST", "/preview", {}).status == 404


def test_a_repository_has_the_policy_of_its_registry_until_it_has_its_own(shop: Shop) -> None:
    shop.push("v1")
    shop.push("v2")
    assert shop.owner.api("PUT", "/registries/shop/lifecycle", policy(NEWEST)).status == 200
    found = shop.ask("GET")
    assert (found.document["scope"], found.document["inherited"]) == ("shop", True)
    assert "etag" not in found.headers
    assert "v1" in shop.previewed()
    reply = shop.owner.api("POST", "/registries/shop/lifecycle/preview", {"limit": 1000})
    assert (shop.name, "v1") in {(one["repository"], one["tag"]) for one in reply.document["items"]}
    shop.keep(UNTAGGED)
    assert shop.previewed() == []
    reply = shop.owner.api("POST", "/registries/shop/lifecycle/preview", {"limit": 1000})
    assert shop.name not in {one["repository"] for one in reply.document["items"]}
    assert shop.ask("DELETE").status == 204
    assert shop.owner.api("POST", "/registries/shop/lifecycle/run").status == 200
    assert shop.has("v1", "v2") == [False, True]
    assert shop.owner.api("DELETE", "/registries/shop/lifecycle").status == 204


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"count": 0}, "rule 'newest', count: Input should be greater than or equal to 1"),
        ({"tags": ["v/*"]}, "rule 'newest', tags.0: takes a pattern of tags, in which * is any text: v1.*"),
        ({"after": "7d"}, "rule 'newest', after: Extra inputs are not permitted"),
        ({"priority": "high"}, "rule 'newest', priority: Input should be a valid integer"),
        ({"action": "expire-tags", "count": None}, "rule 'newest', after: Field required"),
        ({"action": "burn"}, "rule 'newest': Input tag 'burn' found using 'action' does not match any of"),
        ({"name": ""}, "rule 1, name: String should have at least 1 character"),
    ],
)
def test_a_bad_policy_is_refused_by_rule_and_field(shop: Shop, changed: dict[str, Any], told: str) -> None:
    shop.push("v1")
    for below, document in (("", {}), ("/preview", {"policy": ...})):
        rules = policy({**UNTAGGED, "name": "first"}, {**NEWEST, **changed})
        method, body = ("POST", {"policy": rules}) if document else ("PUT", rules)
        reply = shop.ask(method, below, body)
        assert reply.status == 422
        assert any(one["detail"].startswith(told) for one in reply.document["errors"]), reply


def test_a_run_deletes_what_a_preview_shows_and_it_can_be_restored(shop: Shop) -> None:
    first, second = shop.push("v1"), shop.push("v2")
    shop.keep(NEWEST)
    assert shop.previewed() == ["v1", first]
    assert shop.has("v1") == [True]
    ran = shop.run()
    assert [one["tag"] or one["digest"] for one in ran["gone"]] == ["v1", first]
    assert (ran["left"], ran["complete"]) == ([], True)
    assert shop.has("v1", first, "v2", second) == [False, False, True, True]
    trash = shop.deployment.trash.rows.get(shop.repository, first)
    assert trash is not None
    assert (trash.reason, trash.tags, trash.deleted_by) == ("lifecycle: newest", ("v1",), "acme-owner")
    assert shop.gone() == []


def test_what_stays_says_why_and_pages_follow_one_another(shop: Shop) -> None:
    for number in range(4):
        shop.push(f"v{number}")
    shop.keep(NEWEST)
    whole = shop.ask("POST", "/preview", {"kept": True}).document
    assert whole["next"] == ""
    assert len(whole["items"]) == 8
    assert all(one["why"] for one in whole["items"])
    pages, after = [], ""
    while True:
        page = shop.ask("POST", "/preview", {"kept": True, "limit": 3, "after": after, "at": whole["at"]})
        pages += page.document["items"]
        after = page.document["next"]
        if not after:
            break
    assert pages == whole["items"]


def test_a_policy_can_be_tried_and_a_moment_to_come(shop: Shop) -> None:
    digest = shop.push()
    later = f"{time.strftime('%Y', time.gmtime(time.time() + 400 * DAY))}-12-31T00:00:00Z"
    assert shop.previewed({"policy": policy(UNTAGGED)}) == []
    assert shop.previewed({"policy": policy(UNTAGGED), "at": later}) == [digest]
    assert shop.ask("GET").status == 404
    assert shop.gone() == []
    assert shop.ask("POST", "/preview", {"at": "2027-01-31T12:00:00"}).status == 422


def test_what_was_pulled_stays_and_head_is_no_pull(shop: Shop) -> None:
    pulled, asked = shop.push("pulled"), shop.push("asked")
    shop.keep(UNPULLED)
    shop.clock.pass_days(20)
    assert shop.pull("pulled") == 200
    shop.clock.pass_days(11)
    assert shop.has("pulled", "asked") == [True, True]
    assert shop.gone() == ["asked", asked]
    shop.clock.pass_days(20)
    assert shop.gone() == ["pulled", pulled]


def test_untagged_counts_from_when_the_tag_left(shop: Shop) -> None:
    first = shop.push("latest", "1")
    shop.keep(UNTAGGED)
    shop.clock.pass_days(30)
    shop.push("latest", "2")
    assert shop.gone() == []
    shop.clock.pass_days(8)
    assert shop.gone() == [first]


def test_an_index_goes_with_its_children_and_signatures(shop: Shop) -> None:
    child = shop.push(seed="child")
    size = shop.owner.v2("GET", f"/v2/{shop.name}/manifests/{child}").headers["content-length"]
    entry = {"mediaType": IMAGE, "digest": child, "size": int(size)}
    index = shop.push("v1", media_type=INDEX, manifests=[entry])
    subject = {"mediaType": INDEX, "digest": index, "size": 1}
    signature = shop.push(seed="signature", subject=subject)
    shop.push("v2")
    shop.keep(NEWEST, UNTAGGED)
    shop.clock.pass_days(30)
    assert shop.ask("POST", "/preview", {"policy": policy(UNTAGGED)}).document["items"] == []
    assert sorted(shop.gone()) == sorted(["v1", index, child, signature])


def test_immutable_tags_stay(shop: Shop) -> None:
    scope = repository_scope(shop.repository)
    assert shop.deployment.policies.put(Policy(scope, IMMUTABLE_TAGS, {"patterns": ["v1"]}))
    for tag in ("v1", "v2", "v3"):
        shop.push(tag)
    shop.keep(NEWEST)
    shop.run()
    assert shop.has("v1", "v2", "v3") == [True, False, True]


@pytest.mark.parametrize("race", ["moves", "moves and comes back", "is pulled", "gets another tag"])
def test_what_changes_between_plan_and_delete_stays(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, race: str
) -> None:
    old = shop.push("v1")
    shop.push("v2")
    shop.keep(NEWEST)

    def change() -> None:
        if race == "moves":
            shop.push("v1", "another")
        elif race == "moves and comes back":
            shop.push("v1", "another")
            shop.push("v1")
        elif race == "is pulled":
            assert shop.pull(old) == 200
        else:
            shop.push("mine", "v1")

    _after_the_plan(shop, monkeypatch, change)
    ran = shop.run()
    if race == "moves":
        # What it named before went as planned.
        assert [one["tag"] for one in ran["left"]] == ["v1"]
        assert [one["digest"] for one in ran["gone"]] == [old]
        assert shop.has("v1", "v2", old) == [True, True, False]
        return
    assert [one["tag"] for one in ran["left"]] == ["v1", None]
    assert (ran["gone"], shop.has("v1", "v2", old)) == ([], [True, True, True])


def test_a_tag_alone_that_moves_between_plan_and_delete_stays(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.push("v1", "same")
    shop.push("v2", "same")
    shop.keep(NEWEST)
    _after_the_plan(shop, monkeypatch, lambda: shop.push("v1", "another"))
    ran = shop.run()
    assert ([one["tag"] for one in ran["left"]], ran["gone"]) == (["v1"], [])
    assert shop.has("v1", "v2") == [True, True]


def _after_the_plan(shop: Shop, monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Trash is the last that a plan reads."""
    store = type(shop.deployment.trash.rows)
    page, is_done = store.page, False

    def changed(self: Any, *arguments: Any) -> Any:
        nonlocal is_done
        rows = page(self, *arguments)
        if not is_done:
            is_done = True
            change()
        return rows

    monkeypatch.setattr(store, "page", changed)


def test_the_schedule_runs_every_policy_and_goes_on_where_its_time_ended(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each repository takes longer than a call has: there are as many calls as repositories."""
    shops = sorted((shop, Shop(shop.deployment, shop.owner, shop.clock)), key=lambda one: one.name)
    for one in shops:
        one.push("v1")
        one.push("v2")
        one.keep(NEWEST)
    run, seen = Lifecycle.run, list[str]()

    def slow(self: Lifecycle, repository: Repository, *arguments: Any, **more: Any) -> Any:
        outcome = run(self, repository, *arguments, **more)
        seen.append(repository.name)
        shop.clock.ahead += 100
        return outcome

    monkeypatch.setattr(Lifecycle, "run", slow)
    calls = 1
    while not shop.deployment.apply_lifecycle(LIFECYCLE_RESERVE_SECONDS + 60).is_complete:
        calls += 1
    assert len(seen) == calls > 1
    assert seen == sorted(set(seen))
    assert [one.name for one in shops] == [name for name in seen if name in {one.name for one in shops}]
    assert [one.has("v1", "v2") for one in shops] == [[False, True]] * 2
    shop.deployment.apply_lifecycle(LIFECYCLE_RESERVE_SECONDS + 60)
    assert seen[-1] == seen[0]
    until = f"{datetime.fromtimestamp(shop.clock() + 1, UTC):%Y-%m-%dT%H:%M:%SZ}"
    query = {"actor": "lifecycle", "repository": shop.name, "limit": "100", "until": until}
    audit = shop.owner.api("GET", "/audit", None, query).document["items"]
    assert [(one["action"], one["detail"]["reason"]) for one in audit] == [("delete", "lifecycle: newest")]


def test_a_run_is_audited(shop: Shop) -> None:
    shop.push("v1", "same")
    shop.push("v2", "same")
    shop.keep(NEWEST)
    shop.run()
    audit = shop.owner.api("GET", "/audit", None, {"repository": shop.name, "limit": "100"}).document["items"]
    untag = next(one for one in audit if one["action"] == "untag")
    assert (untag["actor"], untag["detail"]["reason"]) == ("acme-owner", "lifecycle: newest")
    calls = shop.owner.api("GET", "/audit", None, {"actor": "acme-owner", "limit": "100"}).document["items"]
    told = {one["action"]: one["detail"] for one in calls if one["target"].startswith("/api/v1" + shop.path)}
    assert told["api PUT"] == {
        "policy": "lifecycle",
        "of": shop.name,
        "document": policy(NEWEST),
        "before": None,
    }
    assert told["api POST"] == {"gone": 1, "left": 0}


def test_who_may_not_change_the_registry_may_preview_and_not_run(house: House, shop: Shop) -> None:
    shop.push("v1")
    shop.push("v2")
    shop.keep(NEWEST)
    robot = Caller(shop.deployment, house.client("shop-robot").caller.authorization)
    assert robot.api("POST", shop.path + "/preview", {}).document["items"][0]["tag"] == "v1"
    assert robot.api("POST", shop.path + "/run").status == 403
    assert robot.api("PUT", shop.path, policy(UNTAGGED)).status == 403
    stranger = Caller(shop.deployment, house.client("yard-robot").caller.authorization)
    assert stranger.api("POST", shop.path + "/preview", {}).status == 404
    assert shop.has("v1") == [True]
