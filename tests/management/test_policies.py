"""What GET says of a policy, PUT takes: of the very scope, and of a registry for a repository of it."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.access.caller import Caller
from tests.management.direct_client import House
from tests.management.test_removed_policies import RULES, Place

KINDS: Final = [
    ("/policies/{scope}/immutable-tags", "/policies/{scope}/immutable-tags", {"patterns": ["v*"]}),
    ("/policies/{scope}/retention", "/policies/{scope}/retention", {"days": 3}),
    ("/registries/{scope}/lifecycle", "/repositories/{scope}/lifecycle", RULES),
]


@pytest.fixture
def owner(house: House) -> Caller:
    return house.client("acme-owner").caller


@pytest.fixture
def registry(owner: Caller) -> str:
    """One of its own, with a repository `app`."""
    place = Place(owner.deployment, owner)
    place.push()
    return place.name


@pytest.mark.parametrize(("of_registry", "of_repository", "document"), KINDS)
def test_a_policy_is_fetched_and_put_back(
    owner: Caller, registry: str, of_registry: str, of_repository: str, document: dict[str, Any]
) -> None:
    above, below = of_registry.format(scope=registry), of_repository.format(scope=f"{registry}%2Fapp")
    assert owner.api("PUT", above, document).status == 200
    told = owner.api("GET", above)
    assert owner.api("PUT", above, told.document, if_match=told.headers["etag"]).status == 200
    assert owner.api("GET", above).document == told.document
    inherited = owner.api("GET", below).document
    assert inherited["inherited"] is True
    assert owner.api("PUT", below, inherited).status == 200
    own = owner.api("GET", below).document
    assert own == {**inherited, "scope": f"{registry}/app", "inherited": False}


@pytest.mark.parametrize(("path", "document"), [(path, document) for path, _, document in KINDS])
def test_what_it_does_not_know_is_still_refused(
    owner: Caller, registry: str, path: str, document: dict[str, Any]
) -> None:
    assert owner.api("PUT", path.format(scope=registry), {**document, "scoped": "x"}).status == 422
