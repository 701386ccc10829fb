"""`ccr cost`: what it adds up, beside what, and that docs/cost.md shows what it prints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from ccr import examples
from ccr.cli.application import app
from ccr.cli.cost import prices as price_list
from ccr.cli.cost.bill import SERVICES, ecr_bill, registry_bill
from ccr.cli.cost.team import Team, Way

PRICES = price_list.load()
TEAMS = st.builds(
    Team,
    images=st.integers(0, 100_000),
    pulls=st.integers(0, 10_000_000),
    image_mb=st.floats(0.1, 20_000),
    layers=st.integers(1, 127),
    new_share=st.floats(0, 1),
    outside_share=st.floats(0, 1),
    stored_gb=st.floats(0, 1_000_000),
    way=st.sampled_from(Way),
    gateway_tasks=st.integers(1, 10),
    has_free_tiers=st.booleans(),
)
TEAM = Team(500, 5000, 200, 8, 0.25, 0.1, 100, Way.EDGE, 2, has_free_tiers=True)


def asked(*arguments: str) -> Any:
    ended = CliRunner().invoke(app, ["cost", *arguments, "--output", "json"])
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def month_of(bill: Any, service: str) -> float:
    return next(one["month"] for one in bill["lines"] if one["service"] == service)


def test_the_page_shows_what_the_command_prints_of_three_teams() -> None:
    page = examples.PATH.read_text()
    assert page.count("is cheaper, by") == 3
    assert page == examples.render(page)


def test_a_page_that_has_drifted_is_seen() -> None:
    page = examples.PATH.read_text()
    drifted = page.replace("S3 storage ", "S3 storages", 1)
    assert drifted != page
    assert examples.render(drifted) == page


def test_a_command_of_the_page_that_fails_is_no_example() -> None:
    with pytest.raises(RuntimeError, match="--layers"):
        examples.printed("cost --layers 0")


def test_the_total_is_that_of_the_lines_and_of_amounts_by_prices() -> None:
    told = asked("--no-free-tiers", "--stored-gb", "1000", "--outside-share", "0.5", "--by", "gateway")
    for name in ("ccr", "ecr"):
        lines = told[name]["lines"]
        assert told[name]["total"] == pytest.approx(sum(one["month"] for one in lines), abs=1e-3)
        for one in lines:
            assert one["month"] == pytest.approx(one["amount"] * one["price"]), one["service"]
    assert month_of(told["ccr"], "S3 storage") == pytest.approx(23)
    assert month_of(told["ecr"], "ECR storage") == pytest.approx(100)
    # 5,000 pulls of 200 MB, half of them outside.
    assert month_of(told["ecr"], "ECR to the internet") == pytest.approx(500 * 0.09)
    assert told["cheaper"] == min(("ccr", "ecr"), key=lambda name: told[name]["total"])
    assert told["assumptions"]["s3_ms"]["why"]


def test_tiers_are_charged_each_at_its_price() -> None:
    storage = PRICES.prices["s3-storage"]
    assert storage.of(51_300, is_free=True) == pytest.approx(51_200 * 0.023 + 100 * 0.022)


def test_free_tiers_end_where_they_say_and_only_help() -> None:
    logs = PRICES.prices["logs"]
    assert [logs.of(amount, is_free=True) for amount in (4.9, 5, 7)] == [0, 0, 1]
    for name in SERVICES:
        price = PRICES.prices[name]
        assert price.of(price.free, is_free=True) == 0
        assert price.of(price.free + price.per, is_free=True) > 0
    with_them = registry_bill(TEAM, PRICES).total
    assert registry_bill(replace(TEAM, has_free_tiers=False), PRICES).total > with_them


@settings(max_examples=60, deadline=None)
@given(
    team=TEAMS,
    more=st.integers(1, 1_000_000),
    what=st.sampled_from(["images", "pulls", "stored_gb", "gateway_tasks"]),
)
def test_more_of_anything_never_costs_less(team: Team, more: int, what: str) -> None:
    bigger = replace(team, **{what: getattr(team, what) + more})
    for bill in (registry_bill, ecr_bill):
        assert bill(bigger, PRICES).total >= bill(team, PRICES).total - 1e-9


def test_every_price_says_where_it_is_from_and_every_one_is_used() -> None:
    assert set(PRICES.prices) == set(SERVICES)
    for name, price in PRICES.prices.items():
        assert price.source.startswith("https://aws.amazon.com/"), name
        assert "2026-" in price.seen or "from memory" in price.seen, name
    assert all(PRICES.reasons.values())


def test_own_prices_replace_those_they_name(tmp_path: Path) -> None:
    place = tmp_path / "prices.json"
    given = {
        "region": "ap-southeast-3",
        "prices": {"ecr-storage": {"tiers": [[None, 0.2]]}},
        "assumptions": {"published_versions": {"value": 0}},
    }
    place.write_text(json.dumps(given))
    told = asked("--prices", str(place))
    assert told["region"] == "ap-southeast-3"
    assert month_of(told["ecr"], "ECR storage") == pytest.approx(20)
    assert "SnapStart cache" not in {one["service"] for one in told["ccr"]["lines"]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no JSON", "is no price list"),
        ("[]", "is no price list"),
        ('{"prices": {"gold": {}}}', "the prices has no gold"),
        ('{"prices": {"logs": {"tiers": [[5, 1]]}}}', "the tiers of logs do not grow"),
        ('{"prices": {"logs": {"tiers": [[5, 1], [3, 1], [null, 2]]}}}', "the tiers of logs do not grow"),
        ('{"prices": {"logs": {"per": 0}}}', "logs is charged per nothing"),
        ('{"assumptions": {"s3_ms": {"value": -1}}}', "-1 of s3_ms is no number"),
    ],
)
def test_a_list_that_is_none_is_refused_with_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    place = tmp_path / "prices.json"
    place.write_text(text)
    ended = CliRunner().invoke(app, ["cost", "--prices", str(place)])
    assert ended.exit_code == 1
    assert told in ended.stderr


def test_the_list_that_is_shown_is_one_that_is_taken(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["cost", "--prices-shown"]).stdout
    place = tmp_path / "prices.json"
    place.write_text(shown)
    assert price_list.load(place) == PRICES
