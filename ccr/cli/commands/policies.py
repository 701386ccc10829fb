"""`ccr policy`: immutable tags, and how long what is deleted is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from ccr.cli.answers import Answer
from ccr.cli.arguments import IfMatch
from ccr.cli.paths import path
from ccr.cli.printing import Column, column
from ccr.cli.session import Session, command

app = typer.Typer(no_args_is_help=True, help="Policies of a registry, or of one of its repositories.")
Scope = Annotated[str, typer.Argument(metavar="NAME", help="A registry (prod) or a repository (prod/api).")]
Off = Annotated[bool, typer.Option("--off", help="Take the policy away.")]
PATTERNS = (column("patterns"), ("except", lambda one: " ".join(one["except"])))
RETENTION = (column("days"), ("counted", lambda one: _counted(one["counted"])))


@app.callback()
def about_policies() -> None:
    """Policies of a registry, or of one of its repositories, which come first."""


@command(app, "immutable-tags")
def immutable_tags(
    session: Session,
    name: Scope,
    patterns: Annotated[
        list[str] | None,
        typer.Argument(help="Tags that stay what they are: 'v*'. None: show the policy.", show_default=False),
    ] = None,
    *,
    exceptions: Annotated[
        list[str] | None,
        typer.Option("--except", metavar="PATTERN", help="That may move all the same: `*-rc*`."),
    ] = None,
    off: Off = False,
    if_match: IfMatch = "",
) -> None:
    """Show or set which tags can neither be pushed over nor deleted.

    A repository without a policy of its own has that of its registry.
    """
    place = path("policies", session.connection.bare(name), "immutable-tags")
    if off:
        session.api.delete(place, if_match)
        session.done(f"the tags of {name} may move", removed=name)
    elif patterns:
        body = {"patterns": patterns, "except": exceptions or []}
        session.show(session.api.put(place, body, if_match), PATTERNS)
    else:
        _show(session, session.api.get(place), PATTERNS)


@command(app, "retention")
def retention(
    session: Session,
    name: Scope,
    days: Annotated[
        int | None,
        typer.Argument(min=0, max=365, help="0: nothing is kept. None: show it.", show_default=False),
    ] = None,
    *,
    counted: Annotated[
        bool | None,
        typer.Option(
            "--counted/--uncounted",
            help="What is kept stays, or gives way to pushes; as the deployment has it, if left out.",
            show_default=False,
        ),
    ] = None,
    off: Off = False,
    if_match: IfMatch = "",
) -> None:
    """Show or set for how many days what is deleted from now on can be restored.

    Where neither the repository nor its registry says, the deployment does: CCR_RETENTION_DAYS.
    """
    if counted is not None and days is None:
        raise typer.BadParameter("say for how many days it is kept too: ccr policy retention prod 30")
    place = path("policies", session.connection.bare(name), "retention")
    if off:
        session.api.delete(place, if_match)
        session.done(f"{name} keeps what is deleted as its registry or the deployment says", removed=name)
    elif days is not None:
        body = {"days": days, "counted": counted}
        session.show(session.api.put(place, body, if_match), RETENTION)
    else:
        _show(session, session.api.get(place), RETENTION)


def _show(session: Session, answer: Answer, fields: Sequence[Column]) -> None:
    """The policy in force, and whose it is."""
    whose = "its own"
    if answer.document.get("inherited"):
        scope = answer.document["scope"]
        whose = f"that of the registry {scope}" if scope else "the setting of the deployment"
    session.show(answer, (*fields, ("policy", lambda _: whose)))


def _counted(value: bool | None) -> str:  # noqa: FBT001 - as the document has it
    if value is None:
        return "as the deployment has it"
    return "yes" if value else "no: gives way to pushes"
