"""`ccr webhooks`: who is told of what happens in the account."""

from __future__ import annotations

from typing import Annotated

import typer

from ccr.cli import arguments, deliveries, printing
from ccr.cli.answers import Answer, Document
from ccr.cli.arguments import IfMatch, Limit
from ccr.cli.exits import CliError
from ccr.cli.paths import path
from ccr.cli.printing import column
from ccr.cli.session import Session, command

app = typer.Typer(
    no_args_is_help=True, help="Webhooks: URLs that are told of pushes, deletions and the rest, signed."
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The webhook's name.")]
Events = Annotated[
    list[str] | None,
    typer.Option("--event", metavar="PATTERN", help="As 'ccr.manifest.*', 'ccr.tag.moved'. May be repeated."),
]
Repositories = Annotated[
    list[str] | None,
    typer.Option("--repository", metavar="PATTERN", help="As 'prod/*': * is any text. May be repeated."),
]
Format = Annotated[
    str | None,
    typer.Option("--format", help="cloudevents, harbor or docker-distribution.", show_default=False),
]


def _secrets(document: printing.Document) -> str:
    ends = [printing.moment(one) for one in document["secrets"] if one]
    return f"{len(document['secrets'])}{''.join(f', one until {end}' for end in ends)}"


FIELDS = (
    column("name"),
    column("url"),
    column("events"),
    column("repositories"),
    column("format"),
    column("disabled"),
    ("secrets", _secrets),
    column("waiting"),
    column("failing"),
    ("created", lambda one: printing.moment(one["created"])),
    column("created_by"),
)
COLUMNS = (
    column("name"),
    column("url"),
    column("format"),
    ("state", lambda one: "disabled" if one["disabled"] else "failing" if one["failing"] else "active"),
    column("waiting"),
)
TESTED = (column("id"), column("delivered"), column("status"), column("error"))


@command(app, "create")
def create(
    session: Session,
    name: Name,
    url: Annotated[str, typer.Argument(help="https://..., which gets a POST for each event.")],
    *,
    event: Events = None,
    repository: Repositories = None,
    format_: Annotated[
        str, typer.Option("--format", help="cloudevents, harbor or docker-distribution.")
    ] = "cloudevents",
) -> None:
    """Make a webhook: of all events and repositories, unless said. Its secret is shown this once."""
    body = {
        "name": name,
        "url": url,
        "events": event or ["*"],
        "repositories": repository or ["*"],
        "format": format_,
    }
    _show_made(session, session.api.create("/webhooks", body), name)


@command(app, "list")
def list_all(session: Session, limit: Limit = None) -> None:
    """List the webhooks of the account."""
    session.list(COLUMNS, "/webhooks", limit)


@command(app, "describe")
def describe(session: Session, name: Name) -> None:
    """Show one webhook, and what waits for it; never its secret."""
    session.show(session.api.get(path("webhooks", name)), FIELDS)


@command(app, "change", "update")
def change(
    session: Session,
    name: Name,
    *,
    url: Annotated[str | None, typer.Option(help="Its new URL.", show_default=False)] = None,
    event: Events = None,
    repository: Repositories = None,
    format_: Format = None,
    disable: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Tell it nothing for now, or again.")
    ] = None,
    if_match: IfMatch = "",
) -> None:
    """Change a webhook's URL, patterns or format, or stop it for now."""
    said = {
        "url": url,
        "events": event,
        "repositories": repository,
        "format": format_,
        "disabled": disable,
    }
    body = {key: value for key, value in said.items() if value not in (None, [])}
    if not body:
        raise typer.BadParameter(
            "nothing to change: give --url, --event, --repository, --format or --disable"
        )
    session.show(session.api.change(path("webhooks", name), body, if_match), FIELDS)


@command(app, "rotate")
def rotate(
    session: Session,
    name: Name,
    overlap: Annotated[
        str,
        typer.Option(help="How long deliveries carry both signatures: 0s to 7d.", metavar="DURATION"),
    ] = "1d",
    if_match: IfMatch = "",
) -> None:
    """Make a new secret, shown this once; for a while, deliveries are signed with both."""
    body = {"overlap_seconds": arguments.seconds(overlap)}
    _show_made(session, session.api.create(path("webhooks", name, "rotation"), body, if_match), name)


@command(app, "delete")
def delete(session: Session, name: Name, if_match: IfMatch = "") -> None:
    """Delete a webhook; what waits for it is told to nobody."""
    session.api.delete(path("webhooks", name), if_match)
    session.done(f"deleted the webhook {name}", deleted=name)


@command(app, "test")
def test(session: Session, name: Name) -> None:
    """Send it a ccr.webhook.test, now and once; exit code 1 where it did not arrive."""
    answer = session.api.post(path("webhooks", name, "test"))
    session.show(answer, TESTED)
    if not answer.document["delivered"]:
        raise CliError(f"the test did not arrive: {answer.document['error']}")


@command(app, "deliveries")
def list_deliveries(session: Session, name: Name, limit: Limit = None) -> None:
    """List what arrived in the last 7 days, newest event first."""
    session.list(deliveries.COLUMNS, path("webhooks", name, "deliveries"), limit)


@command(app, "dead")
def dead(session: Session, name: Name, limit: Limit = None) -> None:
    """List what was given up in the last 30 days, newest event first."""
    session.list(deliveries.COLUMNS, path("webhooks", name, "dead"), limit)


@command(app, "replay")
def replay(session: Session, name: Name, ids: deliveries.Ids = None) -> None:
    """Deliver again what was given up, with the ids that it had."""
    deliveries.replay(session, path("webhooks", name, "replays"), ids)


def _show_made(session: Session, answer: Answer, name: str) -> None:
    document: Document = answer.document
    if document.get("secret") is None and answer.is_replayed:
        session.secret(answer, name)
    secret = (column("secret"), column("authorization")) if document.get("secret") else ()
    session.show(answer, (*FIELDS, *secret))
    if secret and not session.is_json:
        checks = (
            "checks signatures with it"
            if document["format"] == "cloudevents"
            else "checks signatures with it, or compares `authorization` with the header of that name"
        )
        print(f"\nThe secret is shown this once: the receiver {checks}.")
