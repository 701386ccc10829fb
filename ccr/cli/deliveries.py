"""Deliveries of events as tables, and those that were given up brought back."""

from __future__ import annotations

from typing import Annotated

import typer

from ccr.cli.printing import column, moment
from ccr.cli.session import Session

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID...", help="As `dead` lists them. None: the newest 100.", show_default=False),
]
COLUMNS = (
    column("id"),
    column("type"),
    column("subject"),
    column("attempts"),
    ("at", lambda one: moment(one["at"])),
    column("status"),
    column("error"),
)


def replay(session: Session, replays: str, ids: list[str] | None) -> None:
    """`replays`: the path that takes them."""
    answer = session.api.post(replays, {"ids": ids or []})
    count = len(answer.document["ids"])
    waiting = "1 delivery waits" if count == 1 else f"{count} deliveries wait"
    session.done(f"{waiting} again", ids=answer.document["ids"])
