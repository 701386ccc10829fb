"""docs/lifecycle.md and the published schema say what the code does."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from ccr import schemas
from chalicelib.management.lifecycle_policy import LifecyclePolicyIn
from chalicelib.registry.lifecycle import Action
from tests.management.direct_client import House
from tests.management.test_lifecycle import NEWEST, UNPULLED, UNTAGGED, Shop, policy, shop
from tests.support.process import ROOT

__all__ = ["shop"]
PAGE = (ROOT / "docs" / "lifecycle.md").read_text()
EXAMPLES = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]
SCHEMA = json.loads((schemas.FOLDER / "lifecycle-policy.json").read_text())


def went(found: Shop, example: int) -> dict[str, str]:
    """What goes by the page's policy, and by which rule: a preview shows it and a run does it."""
    assert found.ask("PUT", document=EXAMPLES[example]).status == 200
    shown = found.ask("POST", "/preview", {}).document["items"]
    gone = found.run()["gone"]
    assert sorted(map(str, gone)) == sorted(map(str, shown))
    return {one["tag"] or one["digest"]: one["rule"] for one in gone}


def test_releases_for_ever_and_the_last_three_builds(shop: Shop) -> None:
    image = {tag: shop.push(tag) for tag in ("v1.0", "build-1", "build-2", "build-3", "build-4")}
    assert went(shop, 0) == {"build-1": "builds", image["build-1"]: "builds"}


def test_branches_for_two_weeks_and_leftovers_for_one(shop: Shop) -> None:
    branch, before = shop.push("pr-7"), shop.push("latest", "before")
    shop.clock.pass_days(12)
    shop.push("latest", "after")
    shop.clock.pass_days(7)
    shop.push("pr-8")
    shop.clock.pass_days(1)
    assert went(shop, 1) == {"pr-7": "branches", branch: "branches", before: "leftovers"}


def test_what_nobody_uses_but_two_to_go_back_to(shop: Shop) -> None:
    image = {tag: shop.push(tag) for tag in ("v1", "v2", "v3", "v4")}
    shop.clock.pass_days(90)
    assert shop.pull("v1") == 200
    shop.clock.pass_days(10)
    assert went(shop, 2) == {"v2": "unused", image["v2"]: "unused"}
    shop.clock.pass_days(80.9)
    assert went_again(shop) == set()
    shop.clock.pass_days(0.2)
    assert went_again(shop) == {"v1", image["v1"]}


def went_again(found: Shop) -> set[str]:
    return set(found.gone())


def test_the_page_has_three_examples_and_every_action() -> None:
    assert len(EXAMPLES) == 3
    assert set(re.findall(r"^\| `([a-z-]+)`", PAGE, re.MULTILINE)) == set(Action)


def test_the_schema_is_published_as_the_code_has_it(house: House) -> None:
    for name in schemas.SCHEMAS:
        assert (schemas.FOLDER / name).read_text() == schemas.render(name)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    served = house.client("admin").caller.api("GET", "/openapi.json").document
    assert served["components"]["schemas"]["LifecyclePolicyIn"]["properties"]["rules"]["maxItems"] == 50


@pytest.mark.parametrize(
    ("document", "is_good"),
    [
        *((example, True) for example in EXAMPLES),
        (policy(NEWEST, UNTAGGED, UNPULLED), True),
        (policy({**UNPULLED, "tags": None}), True),
        (policy({**UNPULLED, "tags": ["*"]}), True),
        (policy({**NEWEST, "count": 3.0}), True),
        (policy({**NEWEST, "count": 0}), False),
        (policy({**NEWEST, "count": "3"}), False),
        (policy({**NEWEST, "count": True}), False),
        (policy({**NEWEST, "priority": 1001}), False),
        (policy({**NEWEST, "priority": -1}), False),
        (policy({**NEWEST, "tags": []}), False),
        (policy({**NEWEST, "tags": "v*"}), False),
        (policy({**NEWEST, "tags": ["v?"]}), False),
        (policy({**NEWEST, "tags": ["v"] * 21}), False),
        (policy({**NEWEST, "name": ""}), False),
        (policy({**NEWEST, "name": "a\u0000b"}), False),
        (policy({**NEWEST, "action": "keep"}), False),
        (policy({**NEWEST, "after": "7d"}), False),
        (policy({**UNTAGGED, "after": "0d"}), False),
        (policy({**UNTAGGED, "after": "7"}), False),
        (policy({**UNTAGGED, "after": "60s"}), False),
        (policy({**UNTAGGED, "after": "10000d"}), False),
        (policy({"name": "p", "action": "protect", "tags": ["v*"]}), True),
        (policy({"name": "p", "action": "protect", "tags": ["v*"], "priority": 1}), False),
        (policy(*[UNTAGGED] * 50), True),
        (policy(*[UNTAGGED] * 51), False),
        ({"rules": []}, False),
        ({}, False),
        ([], False),
        ({**policy(NEWEST), "more": 1}, False),
    ],
)
def test_the_schema_and_the_models_take_the_same(document: Any, is_good: bool) -> None:  # noqa: FBT001
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(document) == is_good
    try:
        LifecyclePolicyIn.model_validate(document)
    except ValidationError:
        assert not is_good
    else:
        assert is_good
