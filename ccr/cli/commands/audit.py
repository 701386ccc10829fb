"""`ccr audit`: who did what to which reference, from where, with what result."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from ccr.cli import arguments, printing
from ccr.cli.printing import Document, column
from ccr.cli.session import Session, note

SHOWN = 100
ACTIONS = (
    *("login", "push", "tag", "untag", "delete", "delete-blob", "promote", "restore", "rollback"),
    *("collect", "purge-for-room", "quota-threshold", "quota-repair", "soft-limit"),
    *(f"api {method}" for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
)


def _detail(entry: Document) -> str:
    """What a person looks for: the tags that moved, where it came from, why not."""
    detail = dict(entry["detail"])
    kept = {name: detail[name] for name in ("tags", "source", "reason", "by") if detail.get(name)}
    if "tags" in kept:
        kept["tags"] = " ".join(kept["tags"])
    return printing.shown(kept)


COLUMNS = (
    ("at", lambda one: printing.shown(one["at"]).replace("T", " ")[:19] + "Z"),
    column("actor"),
    column("action"),
    column("target"),
    column("address"),
    column("result"),
    ("detail", _detail),
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
    action: Annotated[str, typer.Option(metavar="ACTION", help=f"One of {', '.join(ACTIONS)}.")] = "",
    repository: Annotated[str, typer.Option(help="On this repository and its tags alone.")] = "",
    result: Annotated[
        str, typer.Option(metavar="RESULT", help="ok, refused (all that is not ok), or a status: 403.")
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="In a table, reads of the management API too (api GET).")
    ] = False,
    limit: arguments.Newest = None,
) -> None:
    """Show the audit trail, newest first.

    Logins, pushes, tags that move, deletions, restores, promotions, and each call of the management API.
    Pulls are not recorded yet; the login at /token before one is.

    A table leaves out reads of the management API that were answered (--all, or --action 'api GET', shows
    them), and ends after the newest 100 unless --limit says otherwise. json and jsonl are everything in the
    range, jsonl as it comes: one entry a line, for export.
    """
    begin = arguments.before_now(since) if since else ""
    if begin and arguments.is_later(begin):
        raise typer.BadParameter(f"--since {since} is still to come: the trail ends now")
    hides = not (everything or action or session.is_json)
    asked = {
        "since": begin,
        "until": arguments.before_now(until) if until else "",
        "actor": actor,
        "action": action,
        "repository": session.connection.bare(repository),
        "result": result,
        "reads": "false" if hides else "",
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
