"""`ccr migrate`: how far the tables are behind the code, and bringing them up while everything goes on."""

from __future__ import annotations

from typing import Annotated

import typer

from ccr.cli.answers import Answer
from ccr.cli.printing import column, moment
from ccr.cli.session import Session, command, note

app = typer.Typer(no_args_is_help=True, help="Migrations of the tables, while they are in use.")
MIGRATIONS = (column("number"), column("name"), column("state"), column("meaning"))


@command(app, "status")
def status(session: Session) -> None:
    """List the migrations of this release, and which of them are done."""
    _show(session, session.api.get("/migrations"))


@command(app, "run")
def run(
    session: Session,
    *,
    again: Annotated[
        bool,
        typer.Option("--again", help="From the first one on: an older release has run in between."),
    ] = False,
) -> None:
    """Go on with what is left, for 20 seconds at the most; on AWS it goes on by itself as well."""
    answer = session.api.create("/migrations", {"again": again})
    _show(session, answer)
    told = answer.document
    if told["changed"]:
        note(f"{told['changed']} rows changed")


def _show(session: Session, answer: Answer) -> None:
    told = answer.document
    if session.is_json:
        session.show(answer, ())
        return
    session.rows(MIGRATIONS, told["migrations"])
    if not told["complete"]:
        note(
            f"not complete: `ccr migrate run` goes on from {moment(told['next_at'])}, when no older code "
            "runs any more; so does the scheduled function `reconcile`"
        )
    if told["applied"] > told["known"]:
        note(f"the tables are of schema {told['applied']}: this release is older, it knows {told['known']}")
