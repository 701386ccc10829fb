"""`ccr fsck`: proves that a registry holds what it says, and repairs it by a plan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from ccr.cli import printing
from ccr.cli.exits import CliError, Exit
from ccr.cli.printing import column
from ccr.cli.session import Session, command, note


class _CheckFirst(TyperGroup):
    """`ccr fsck` alone, or with options, is `ccr fsck check`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        named = args[0] if args else ""
        if named not in {*self.commands, "--help", "-h"}:
            args = ["check", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_CheckFirst,
    help="Check that everything can be pulled that is named, and every count is right.",
    epilog="Without a command it is check, whose options `ccr fsck check --help` lists: "
    "--plan FILE, --repository, --account.",
)
FORM: Final = "ccr-fsck-plan-1"
# As many findings as a request may be long.
REQUEST_BYTES: Final = 40_000
PlanFile = Annotated[Path, typer.Argument(help="The plan, as `ccr fsck --plan` wrote it.")]
COLUMNS = (
    column("code"),
    column("scope"),
    column("key"),
    ("found", lambda one: printing.shown(one["found"])),
    ("should be", lambda one: printing.shown(one["should"])),
    ("plan", lambda one: "mends it" if one["mends"] else "cannot mend it"),
    column("message"),
)
RESULTS = (column("code"), column("scope"), column("key"), column("result"))


@command(app, "check")
def check(
    session: Session,
    *,
    repository: Annotated[str, typer.Option(help="This repository alone.")] = "",
    account: Annotated[str, typer.Option(help="Of another account; for operators.")] = "",
    plan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what would mend it there, to be reviewed.")
    ] = None,
) -> None:
    """Check an account, or one repository: reads alone, beside any push and delete.

    Ends with exit code 1 where something is not as it must be. A finding is never something that a request
    at work explains. The plan is JSON: take findings out that are not to be mended, then
    `ccr fsck apply FILE`.
    """
    asked = {"repository": session.connection.bare(repository), "account": account}
    body: dict[str, Any] = {name: value for name, value in asked.items() if value}
    findings, unsettled, cursor = list[Any](), 0, ""
    while True:
        made = session.api.post("/checks", {**body, "cursor": cursor}).document
        findings += made["findings"]
        unsettled += made["unsettled"]
        cursor = made["cursor"]
        if not cursor:
            break
    if plan is not None:
        plan.write_text(json.dumps({"form": FORM, "findings": findings}, indent=2) + "\n")
    session.rows(COLUMNS, findings, none="")
    if unsettled:
        rows = printing.counted(unsettled, "row")
        note(f"{rows} changed at each look: check again when less is pushed")
    if findings:
        where = f"; `ccr fsck apply {plan}` mends it" if plan else "; --plan FILE writes what mends it"
        found = "1 thing is" if len(findings) == 1 else f"{len(findings)} things are"
        raise CliError(f"{found} not as they must be{where}", Exit.FAILURE)
    if not session.is_json:
        note("clean")


@command(app, "apply")
def apply(session: Session, plan: PlanFile) -> None:
    """Make the repairs of a plan: each only where its rows are still as they were found."""
    findings = _read(plan)
    done: list[Any] = []
    for some in _cut(findings):
        done += session.api.post("/checks/repairs", {"findings": some}).document["repairs"]
    session.rows(RESULTS, done)
    stale = sum(one["result"] == "stale" for one in done)
    if stale:
        note(f"{stale} skipped, because rows have changed since: check again")


def _read(plan: Path) -> list[Any]:
    """Raises CliError for what is no plan."""
    try:
        document = json.loads(plan.read_text())
    except (OSError, ValueError) as error:
        raise CliError(f"{plan} cannot be read as a plan: {error}", Exit.USAGE) from error
    if not isinstance(document, dict) or document.get("form") != FORM:
        raise CliError(f"{plan} is no plan: `ccr fsck --plan FILE` writes one", Exit.USAGE)
    findings = document["findings"]
    return findings if isinstance(findings, list) else []


def _cut(findings: list[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    size = 0
    for finding in findings:
        length = len(json.dumps(finding))
        if batch and size + length > REQUEST_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(finding)
        size += length
    if batch:
        yield batch
