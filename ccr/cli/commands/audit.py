"""`ccr audit`: who did what to which reference, from where, with what result."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from ccr.cli import arguments, printing
from ccr.cli.printing import column
from ccr.cli.session import Session, note

SHOWN = 100
COLUMNS = (
    ("at", lambda one: printing.shown(one["at"]).replace("T", " ")[:19] + "Z"),
    column("actor"),
    column("action"),
    column("target"),
    column("address"),
    column("result"),
)


class AuditOutput(StrEnum):
    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


def audit(
    session: Session,
    *,
    since: Annotated[
        str,
        typer.Option(help="2h, 7d, or 2027-01-31; a day before the end, if left out.", show_default=False),
    ] = "",
    until: Annotated[str, typer.Option(help="As --since; now, if left out.", show_default=False)] = "",
    actor: Annotated[str, typer.Option(metavar="ID", help="Of this credential alone.")] = "",
    action: Annotated[str, typer.Option(help="As login, push, delete, promote, 'api POST'.")] = "",
    repository: Annotated[str, typer.Option(help="On this repository and its tags alone.")] = "",
    limit: arguments.Limit = None,
) -> None:
    """Show the audit trail, newest first.

    A table shows the newest 100 unless --limit says otherwise; json and jsonl are everything in the range,
    jsonl as it comes: one entry a line, for export.
    """
    asked = {
        "since": arguments.before_now(since) if since else "",
        "until": arguments.before_now(until) if until else "",
        "actor": actor,
        "action": action,
        "repository": session.connection.bare(repository),
    }
    params = {name: value for name, value in asked.items() if value}
    if session.output == AuditOutput.JSONL:
        printing.as_json_lines(session.api.pages("/audit", limit, **params))
        return
    if limit is None and not session.is_json:
        found = list(session.api.pages("/audit", SHOWN + 1, **params))
        session.rows(COLUMNS, found[:SHOWN])
        if len(found) > SHOWN:
            note(f"the newest {SHOWN}; more with --limit, everything with --output jsonl")
        return
    session.list(COLUMNS, "/audit", limit, **params)
