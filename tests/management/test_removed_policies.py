"""Policies go with what they are of: a new repository or registry of that name starts clean."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from chalicelib.registry.emptying import Emptying
from chalicelib.registry.policies import RETENTION, SOFT_LIMIT, Policy, repository_scope
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.access.caller import Caller, basic
from tests.management.direct_client import House

IMAGE: Final = "application/vnd.oci.image.manifest.v1+json"
DAY: Final = 24 * 3600
RULES: Final = {"rules": [{"name": "old", "action": "expire-untagged", "priority": 1, "after": "7d"}]}
TAGS: Final = {"patterns": ["v*"], "except": []}
KINDS: Final = {
    "immutable-tags": TAGS,
    "retention": {"days": 3, "counted": False},
}


@dataclass
class Place:
    """A registry of its own, with a repository."""

    deployment: Deployment
    owner: Caller
    name: str = field(default_factory=lambda: f"place-{os.urandom(4).hex()}")
    ahead: float = 0

    def __post_init__(self) -> None:
        self.deployment = Deployment(self.deployment.settings, lambda: time.time() + self.ahead)
        self.owner = Caller(self.deployment, self.owner.authorization)
        self.make()

    @property
    def repository(self) -> str:
        return f"{self.name}/app"

    def ask(self, method: str, path: str, document: Any = None, *, status: int, **query: str) -> Any:
        reply = self.owner.api(method, path, document, query)
        assert reply.status == status, reply
        return reply.document if reply.body else None

    def make(self) -> None:
        self.ask("POST", "/registries", {"name": self.name, "project": "default"}, status=201)

    def delete(self) -> None:
        self.ask("DELETE", f"/registries/{self.name}", status=204, force="true")

    def delete_repository(self, **query: str) -> None:
        path = f"/repositories/{self.name}%2Fapp"
        self.ask("DELETE", path, status=204, force="true", **query)

    def push(self, tag: str = "v1") -> Digest:
        raw = json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "annotations": {"tag": tag}}).encode()
        path = f"/v2/{self.repository}/manifests/{tag}"
        assert self.owner.v2("PUT", path, body=raw, content_type=IMAGE).status == 201
        return Digest.of(raw)

    def restore(self, digest: Digest) -> None:
        path = f"/repositories/{self.name}%2Fapp/restorations"
        self.ask("POST", path, {"digest": digest}, status=201)

    def set(self, scope: str) -> None:
        for kind, document in KINDS.items():
            self.ask("PUT", f"/policies/{scope.replace('/', '%2F')}/{kind}", document, status=200)
        what = "repositories" if "/" in scope else "registries"
        self.ask("PUT", f"/{what}/{scope.replace('/', '%2F')}/lifecycle", RULES, status=200)

    def kinds(self, scope: str) -> set[str]:
        """Those that are in force for that very registry or repository."""
        found = self.deployment.policies.all(f"acme/{scope}")
        return {one.kind for one in found if not one.kind.startswith("removed-")}

    def told(self, path: str) -> dict[str, Any]:
        """What the audit trail says of its deletion."""
        query = {"actor": "acme-owner", "action": "api DELETE", "limit": "100"}
        entries = self.ask("GET", "/audit", None, status=200, **query)["items"]
        return next(dict(one["detail"]) for one in entries if one["target"] == f"/api/v1{path}")


ALL: Final = {"immutable-tags", "retention", "lifecycle"}


@pytest.fixture
def place(house: House) -> Place:
    return Place(house.deployment, house.client("acme-owner").caller)


def test_policies_of_a_repository_go_with_it_and_come_back_with_an_image_that_is_restored(
    place: Place,
) -> None:
    digest = place.push()
    place.set(place.repository)
    assert place.kinds(place.repository) == ALL
    place.delete_repository()
    assert place.kinds(place.repository) == set()
    told = place.told(f"/repositories/{place.name}%2Fapp")["policies"]
    assert told["immutable-tags"] == TAGS
    assert told.keys() == ALL
    place.restore(digest)
    assert place.kinds(place.repository) == ALL
    found = place.ask("GET", f"/policies/{place.name}%2Fapp/immutable-tags", status=200)
    assert found["patterns"] == ["v*"]
    # Deleted again and restored again, they come back again.
    place.delete_repository()
    place.restore(digest)
    assert place.kinds(place.repository) == ALL


def test_a_new_repository_of_that_name_starts_clean_whatever_is_restored_into_it(place: Place) -> None:
    digest = place.push("v1")
    place.set(place.repository)
    place.delete_repository()
    place.push("v2")
    assert place.kinds(place.repository) == set()
    place.restore(digest)
    assert place.kinds(place.repository) == set()


def test_what_was_deleted_is_kept_on_the_terms_of_the_policy_that_goes(place: Place) -> None:
    digest = place.push()
    place.set(place.repository)
    place.delete_repository()
    row = place.deployment.trash.rows.get(Repository("acme", place.repository), digest)
    assert row is not None
    assert (row.due - row.deleted, row.gives_way) == (3 * DAY, True)


def test_policies_come_back_as_long_as_the_images_could_and_no_longer(place: Place) -> None:
    digest = place.push()
    place.set(place.repository)
    scope = repository_scope(Repository("acme", place.repository))
    before = place.deployment.policies.get(scope, RETENTION)
    assert before is not None
    place.delete_repository()
    place.ahead = 3 * DAY + 60
    # One image was kept for longer.
    model = place.deployment._tables.trash.get(scope, digest)
    model.update([place.deployment._tables.trash.due.set(int(time.time()) + 30 * DAY)])
    place.restore(digest)
    assert place.kinds(place.repository) == set()
    assert place.deployment.policies.all(scope) == []


def test_with_no_retention_or_a_purge_nothing_of_them_is_kept(place: Place) -> None:
    scope = repository_scope(Repository("acme", place.repository))
    place.push()
    place.set(place.repository)
    place.delete_repository(purge="true")
    assert place.deployment.policies.all(scope) == []
    place.push()
    place.ask("PUT", f"/policies/{place.name}%2Fapp/retention", {"days": 0}, status=200)
    place.delete_repository()
    assert place.deployment.policies.all(scope) == []


def test_policies_of_a_registry_go_with_it_and_those_of_repositories_that_nobody_pushed_to(
    place: Place,
) -> None:
    place.push()
    place.set(place.name)
    place.set(place.repository)
    place.ask("PUT", f"/registries/{place.name}/soft-limit", {"bytes": 5}, status=200)
    never = f"{place.name}/never"
    place.ask("PUT", f"/policies/{place.name}%2Fnever/immutable-tags", TAGS, status=200)
    # Its name begins as that of the other does.
    neighbour = Policy(f"acme/{place.name}x/app", SOFT_LIMIT, {"bytes": 1})
    assert place.deployment.policies.put(neighbour)
    place.delete()
    assert place.told(f"/registries/{place.name}")["policies"].keys() == {*ALL, "soft-limit"}
    for scope in (place.name, place.repository, never):
        assert place.kinds(scope) == set(), scope
    assert place.deployment.policies.get(neighbour.scope, SOFT_LIMIT) == neighbour
    place.make()
    for scope in (place.name, place.repository, never):
        assert place.kinds(scope) == set(), scope
    assert place.owner.api("GET", f"/policies/{place.name}/retention").document["scope"] == ""
    assert place.owner.api("GET", f"/registries/{place.name}/soft-limit").status == 404


def test_what_a_token_of_before_set_after_the_deletion_is_not_there_in_a_new_registry(place: Place) -> None:
    place.delete()
    late = Policy(f"acme/{place.name}", RETENTION, {"days": 365})
    assert place.deployment.policies.put(late)
    place.make()
    assert place.kinds(place.name) == set()


def test_the_repository_of_a_registrys_bare_name_leaves_the_policies_of_the_registry(place: Place) -> None:
    raw = json.dumps({"schemaVersion": 2, "mediaType": IMAGE}).encode()
    path = f"/v2/{place.name}/manifests/v1"
    assert place.owner.v2("PUT", path, body=raw, content_type=IMAGE).status == 201
    place.set(place.name)
    place.ask("DELETE", f"/repositories/{place.name}", status=204, force="true")
    assert place.kinds(place.name) == ALL


def test_the_soft_limit_of_a_project_goes_with_it(place: Place) -> None:
    name = f"project-{os.urandom(4).hex()}"
    place.ask("POST", "/projects", {"name": name}, status=201)
    place.ask("PUT", f"/projects/{name}/soft-limit", {"bytes": 5}, status=200)
    place.ask("DELETE", f"/projects/{name}", status=204)
    place.ask("POST", "/projects", {"name": name}, status=201)
    assert place.owner.api("GET", f"/projects/{name}/soft-limit").status == 404


def test_a_policy_that_changes_while_it_is_removed_goes_as_it_is_by_then(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies = place.deployment.policies
    scope = f"acme/{place.repository}"
    assert policies.put(Policy(scope, RETENTION, {"days": 1}))
    once: list[Policy] = []
    remove = policies.remove

    def changed_before(policy: Policy) -> bool:
        if not once:
            once.append(policy)
            assert policies.put(Policy(scope, RETENTION, {"days": 2}, policy.version + 1))
        return remove(policy)

    monkeypatch.setattr(policies, "remove", changed_before)
    place.deployment.removed_policies.remove(Repository("acme", place.repository))
    (kept,) = policies.all(scope)
    assert (kept.kind, kept.document["document"]) == ("removed-retention", {"days": 2})


def _deleter(place: Place) -> Caller:
    """A robot that may pull, push and delete there, and change no policy."""
    grants = [{"pattern": f"{place.name}/*", "actions": ["pull", "push", "delete"]}]
    document = {"kind": "robot", "id": f"{place.name}-ci", "project": "default", "grants": grants}
    secret = place.ask("POST", "/credentials", document, status=201)["secret"]
    return Caller(place.deployment, basic(document["id"], secret))


def test_who_may_not_change_its_policies_does_not_take_them_away_with_the_repository(place: Place) -> None:
    """Or it would make it anew without them."""
    deleter, path = _deleter(place), f"/repositories/{place.name}%2Fapp"
    place.push("latest")
    place.set(place.repository)
    refused = deleter.api("DELETE", path, None, {"force": "true"})
    assert refused.status == 403
    assert "immutable-tags, lifecycle, retention" in refused.document["detail"]
    assert place.kinds(place.repository) == ALL
    for kind in KINDS:
        place.ask("DELETE", f"/policies/{place.name}%2Fapp/{kind}", status=204)
    place.ask("DELETE", f"{path}/lifecycle", status=204)
    assert deleter.api("DELETE", path, None, {"force": "true"}).status == 204


def test_an_immutable_tag_that_comes_while_its_repository_is_emptied_stays(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleter = _deleter(place)
    place.push("latest")
    place.ask("PUT", f"/policies/{place.name}/immutable-tags", TAGS, status=200)
    empty = Emptying.empty

    def late(self: Emptying, *arguments: Any, **more: Any) -> int:
        place.push("v1")
        return empty(self, *arguments, **more)

    monkeypatch.setattr(Emptying, "empty", late)
    path = f"/repositories/{place.name}%2Fapp"
    assert deleter.api("DELETE", path, None, {"force": "true"}).status == 204
    tags = place.ask("GET", f"{path}/tags", status=200)["items"]
    assert [one["tag"] for one in tags] == ["v1"]
