"""`ccr project`: what groups registries, and who has which role there."""

from __future__ import annotations

from typing import Annotated

import typer

from ccr.cli import printing
from ccr.cli.arguments import IfMatch, Limit
from ccr.cli.paths import path
from ccr.cli.printing import column
from ccr.cli.session import Session, command

app = typer.Typer(no_args_is_help=True, help="Projects: registries that belong together, and their members.")
member = typer.Typer(no_args_is_help=True, help="Which user has which role in a project.")
app.add_typer(member, name="member")

Project = Annotated[str, typer.Argument(help="The project's name.")]
User = Annotated[str, typer.Argument(help="The id of a user of the account.")]
COLUMNS = (
    column("name"),
    column("title"),
    column("account"),
    ("created", lambda one: printing.moment(one["created"])),
)


@command(app, "create")
def create(
    session: Session,
    project: Project,
    title: Annotated[str, typer.Option(help="A line that says what it is.")] = "",
) -> None:
    """Make a project."""
    session.show(session.api.create("/projects", {"name": project, "title": title}), COLUMNS)


@command(app, "list")
def list_all(session: Session, limit: Limit = None) -> None:
    """List the projects that you may see."""
    session.list(COLUMNS, "/projects", limit)


@command(app, "describe")
def describe(session: Session, project: Project) -> None:
    """Show one project."""
    session.show(session.api.get(path("projects", project)), COLUMNS)


@command(app, "change", "update")
def change(
    session: Session,
    project: Project,
    title: Annotated[str, typer.Option(help="Its new title.")],
    if_match: IfMatch = "",
) -> None:
    """Change a project's title."""
    session.show(session.api.change(path("projects", project), {"title": title}, if_match), COLUMNS)


@command(app, "delete")
def delete(session: Session, project: Project, if_match: IfMatch = "") -> None:
    """Delete a project that has no registries."""
    session.api.delete(path("projects", project), if_match)
    session.done(f"deleted the project {project}", deleted=project)


@member.callback()
def members() -> None:
    """Which user has which role in a project: viewer, developer, maintainer or owner."""


@command(member, "set")
def set_member(
    session: Session,
    project: Project,
    user: User,
    role: Annotated[str, typer.Argument(help="viewer, developer, maintainer or owner.")],
) -> None:
    """Give a user a role in a project, in place of the one before."""
    answer = session.api.put(path("projects", project, "members", user), {"role": role})
    session.show(answer, (column("user"), column("role")))


@command(member, "remove")
def remove_member(session: Session, project: Project, user: User) -> None:
    """Take a user's role in a project away."""
    session.api.delete(path("projects", project, "members", user))
    session.done(f"{user} has no role in {project} of its own any more", removed=user)


@command(member, "list")
def list_members(session: Session, project: Project, limit: Limit = None) -> None:
    """List who has a role in a project, those with one in every project too."""
    session.list((column("user"), column("role")), path("projects", project, "members"), limit)
