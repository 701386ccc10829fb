"""`ccr event-bus`: what the event bus of the deployment has not taken."""

from __future__ import annotations

import typer

from ccr.cli import deliveries
from ccr.cli.arguments import Limit
from ccr.cli.printing import column
from ccr.cli.session import Session, command

app = typer.Typer(
    no_args_is_help=True, help="The event bus of the whole deployment (EventBridge), for operators."
)
FIELDS = (column("name"), column("waiting"), column("failing"))


@command(app, "status")
def status(session: Session) -> None:
    """Show how many events wait for it, and in how many lanes it refuses them."""
    session.show(session.api.get("/event-bus"), FIELDS)


@command(app, "dead")
def dead(session: Session, limit: Limit = None) -> None:
    """List what was given up in the last 30 days, newest event first."""
    session.list(deliveries.COLUMNS, "/event-bus/dead", limit)


@command(app, "replay")
def replay(session: Session, ids: deliveries.Ids = None) -> None:
    """Put on the bus again what was given up, with the ids that it had."""
    deliveries.replay(session, "/event-bus/replays", ids)
