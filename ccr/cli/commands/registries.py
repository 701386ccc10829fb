"""`ccr registry`: the first segment of an image's name."""

from __future__ import annotations

from typing import Annotated

import typer

from ccr.cli import printing
from ccr.cli.answers import Document
from ccr.cli.arguments import Force, IfMatch, Limit
from ccr.cli.paths import path
from ccr.cli.printing import column
from ccr.cli.session import Session, command

app = typer.Typer(
    no_args_is_help=True, help="Registries: the first segment of an image's name, as dev in dev/app:1.0."
)
Registry = Annotated[str, typer.Argument(help="The registry's name.")]
COLUMNS = (
    column("name"),
    column("project"),
    column("state"),
    column("title"),
    ("created", lambda one: printing.moment(one["created"])),
)


@command(app, "create")
def create(
    session: Session,
    registry: Registry,
    project: Annotated[str, typer.Option("--project", "-p", help="The project that it belongs to.")],
    title: Annotated[str, typer.Option(help="A line that says what it is.")] = "",
) -> None:
    """Make a registry, and a robot named after it that may pull and push there.

    The robot's secret is shown this once.
    """
    body = {"name": registry, "project": project, "title": title}
    answer = session.api.create("/registries", body)
    robot = answer.document["credential"]
    secret = session.secret(answer, robot) if robot else None
    session.show(answer, [*COLUMNS, column("credential"), column("secret")])
    if secret and not session.is_json:
        line = f"docker login {session.connection.host} -u {robot} --password-stdin"
        print(f"\nThe secret is shown this once. Paste it, then Ctrl-D, into\n\n  {line}")


@command(app, "list")
def list_all(
    session: Session,
    project: Annotated[str, typer.Option("--project", "-p", help="Of this project alone.")] = "",
    limit: Limit = None,
) -> None:
    """List the registries that you may see."""
    params = {"project": project} if project else {}
    session.list(COLUMNS, "/registries", limit, **params)


@command(app, "describe")
def describe(session: Session, registry: Registry) -> None:
    """Show one registry."""
    session.show(session.api.get(path("registries", registry)), COLUMNS)


@command(app, "change", "update")
def change(
    session: Session,
    registry: Registry,
    title: Annotated[str | None, typer.Option(help="Its new title.", show_default=False)] = None,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="Move it to this project.", show_default=False)
    ] = None,
    if_match: IfMatch = "",
) -> None:
    """Change a registry's title, or move it to another project: its images keep their names."""
    asked = {"title": title, "project": project}
    body: Document = {name: value for name, value in asked.items() if value is not None}
    if not body:
        raise typer.BadParameter("nothing to change: give --title or --project")
    session.show(session.api.change(path("registries", registry), body, if_match), COLUMNS)


@command(app, "delete")
def delete(session: Session, registry: Registry, *, force: Force = False, if_match: IfMatch = "") -> None:
    """Delete a registry that holds no images. For 30 days, its name is to be had by its own account alone."""
    params = {"force": "true"} if force else {}
    session.api.delete(path("registries", registry), if_match, **params)
    session.done(f"deleted the registry {registry}", deleted=registry)
