"""`ccr cost`: what a deployment costs a month on AWS, beside Amazon ECR; asks no registry and no network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ccr.cli import printing
from ccr.cli.cost import prices as price_list
from ccr.cli.cost.bill import Bill, ecr_bill, registry_bill
from ccr.cli.cost.prices import Prices
from ccr.cli.cost.team import Team, Way
from ccr.cli.printing import column
from ccr.cli.session import Session, note

LINES = (
    column("registry"),
    column("service"),
    ("amount", lambda one: f"{one['amount']:,.2f}" if "amount" in one else "-"),
    column("unit"),
    ("unit price", lambda one: f"{one['price']:.10f}".rstrip("0").rstrip(".") if "price" in one else "-"),
    ("month", lambda one: f"{one['month']:,.2f}"),
)


def cost(
    session: Session,
    *,
    images: Annotated[int, typer.Option(min=0, help="Images pushed in a month.")] = 500,
    pulls: Annotated[int, typer.Option(min=0, help="Images pulled in a month, whole ones.")] = 5000,
    image_mb: Annotated[float, typer.Option(min=0.001, help="Of an image, compressed, in MB.")] = 200,
    layers: Annotated[int, typer.Option(min=1, max=127, help="Of an image.")] = 8,
    new_share: Annotated[
        float, typer.Option(min=0, max=1, help="Of an image's layers: how many no image had before.")
    ] = 0.25,
    outside_share: Annotated[
        float, typer.Option(min=0, max=1, help="Of the pulls: how many leave the region.")
    ] = 0,
    stored_gb: Annotated[float, typer.Option(min=0, help="Kept in the registry, on an average day.")] = 100,
    by: Annotated[
        Way, typer.Option(help="How layers are pushed: PUT to S3, through the gateway, or in chunks.")
    ] = Way.EDGE,
    gateway_tasks: Annotated[int, typer.Option(min=1, help="Gateways that run, with --by gateway.")] = 2,
    free_tiers: Annotated[
        bool, typer.Option("--free-tiers/--no-free-tiers", help="Take off what AWS always gives for nothing.")
    ] = True,
    prices: Annotated[
        Path | None,
        typer.Option(help="JSON with prices of your own instead of those built in.", show_default=False),
    ] = None,
    prices_shown: Annotated[
        bool, typer.Option("--prices-shown", help="Print the price list with its sources, and end.")
    ] = False,
) -> None:
    """Estimate a month on AWS, line by line, and the same images in Amazon ECR. Asks nobody: no login."""
    if prices_shown:
        print(json.dumps(price_list.document(), indent=2))
        return
    team = Team(
        images=images,
        pulls=pulls,
        image_mb=image_mb,
        layers=layers,
        new_share=new_share,
        outside_share=outside_share,
        stored_gb=stored_gb,
        way=by,
        gateway_tasks=gateway_tasks,
        has_free_tiers=free_tiers,
    )
    known = price_list.load(prices)
    own, managed = registry_bill(team, known), ecr_bill(team, known)
    if session.is_json:
        printing.as_json(_document(team, known, own, managed))
        return
    session.rows(LINES, list(_rows(own, managed)))
    print(verdict(own, managed, known))
    note(f"prices of {known.region}, {known.date}; sources: `ccr cost --prices-shown`. Assumed: docs/cost.md")


def verdict(own: Bill, managed: Bill, known: Prices) -> str:
    """One sentence."""
    difference = abs(own.total - managed.total)
    if difference < 0.005:
        return "both cost the same"
    cheaper = "ccr" if own.total < managed.total else "Amazon ECR"
    return f"{cheaper} is cheaper, by {difference:,.2f} {known.currency} a month"


def _rows(own: Bill, managed: Bill) -> Iterator[dict[str, Any]]:
    for name, bill in (("ccr", own), ("ECR", managed)):
        for line in bill.lines:
            yield {"registry": name, **asdict(line)}
    for name, bill in (("ccr", own), ("ECR", managed)):
        yield {"registry": name, "service": "total", "month": bill.total}


def _document(team: Team, known: Prices, own: Bill, managed: Bill) -> dict[str, Any]:
    bills = {
        name: {"total": round(bill.total, 4), "lines": [asdict(line) for line in bill.lines]}
        for name, bill in (("ccr", own), ("ecr", managed))
    }
    return {
        "region": known.region,
        "currency": known.currency,
        "date": known.date,
        "team": asdict(team),
        **bills,
        "cheaper": "ccr" if own.total < managed.total else "ecr",
        "assumptions": {
            name: {"value": value, "why": known.reasons[name]} for name, value in known.assumptions.items()
        },
    }
