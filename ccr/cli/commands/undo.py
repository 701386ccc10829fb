"""`ccr restore`, `trash` and `tag history|at|rollback`: what was deleted or moved, and back."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ccr.cli import arguments, printing
from ccr.cli.arguments import Limit
from ccr.cli.commands.images import Repository, tags
from ccr.cli.paths import path
from ccr.cli.printing import column
from ccr.cli.session import Session, command, note

trash = typer.Typer(no_args_is_help=True, help="What was deleted, and can be restored for a time.")
Deleted = Annotated[str, typer.Argument(metavar="IMAGE", help="dev/app@sha256:…, as `trash list` shows it.")]
Tagged = Annotated[str, typer.Argument(metavar="TAG", help="dev/app:1.0")]
TRASH = (
    column("digest"),
    column("tags"),
    ("deleted", lambda one: printing.moment(one["deleted"])),
    column("deleted_by"),
    ("until", lambda one: printing.moment(one["until"])),
    column("gives_way"),
    column("reason"),
)
MOVES = (
    ("at", lambda one: printing.shown(one["at"]).replace("T", " ")[:19] + "Z"),
    column("action"),
    column("actor"),
    column("digest"),
    column("previous"),
)
RESTORED = (column("digest"), column("tags"), column("manifests"), column("left"))
NAMED = (
    column("digest"),
    column("state"),
    ("since", lambda one: printing.moment(one["since"])),
    column("actor"),
    column("action"),
    ("until", lambda one: printing.moment(one["until"])),
    column("gives_way"),
)


@trash.callback()
def about_trash() -> None:
    """What was deleted, and can be restored for a time."""


@command(trash, "list")
def list_trash(session: Session, repository: Repository, limit: Limit = None) -> None:
    """List what was deleted of a repository and can be restored."""
    session.list(TRASH, path("repositories", session.connection.bare(repository), "trash"), limit)


@command(trash, "purge")
def purge(session: Session, image: Deleted) -> None:
    """Take away what is kept of a deleted image, for good: a secret that was pushed, say."""
    repository, digest = _by_digest(session, image)
    session.api.delete(path("repositories", repository, "trash", digest))
    session.done(f"purged {repository}@{digest}", purged=f"{repository}@{digest}")


def restore(
    session: Session,
    image: Deleted,
    *,
    tag: Annotated[
        list[str] | None,
        typer.Option(help="A tag for it instead of those it had. May be repeated.", show_default=False),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Move tags that name something else by now.")
    ] = False,
    referrers: Annotated[
        bool, typer.Option("--referrers/--no-referrers", help="Its signatures and SBOMs too.")
    ] = True,
) -> None:
    """Bring back a deleted image with its tags; `ccr trash list` shows which there are.

    Tags that name something else by now are left, and told of.
    """
    repository, digest = _by_digest(session, image)
    body: dict[str, Any] = {"digest": digest, "force": force, "referrers": referrers}
    if tag:
        body["tags"] = tag
    answer = session.api.create(path("repositories", repository, "restorations"), body)
    session.show(answer, RESTORED)


@command(tags, "history")
def history(session: Session, tag: Tagged, limit: Limit = None) -> None:
    """Show every move of a tag, newest first."""
    session.list(MOVES, f"{_tag_path(session, tag)}/history", limit, none=f"{tag} never named anything")


@command(tags, "at")
def at(
    session: Session,
    tag: Tagged,
    time: Annotated[str, typer.Argument(help="2027-03-01, 2027-03-01T12:00:00Z, or 90d for as long ago.")],
) -> None:
    """Show what a tag named at a time, and whether that can be pulled or restored."""
    answer = session.api.get(_tag_path(session, tag), at=arguments.before_now(time))
    if answer.document["digest"] is None and not session.is_json:
        print(f"{tag} named nothing at {printing.moment(answer.document['at'])}")
        return
    session.show(answer, NAMED)


@command(tags, "rollback")
def rollback(
    session: Session,
    tag: Tagged,
    *,
    back: Annotated[
        int | None,
        typer.Option(min=1, help="So many images, each counted once; one, if left out.", show_default=False),
    ] = None,
    to: Annotated[str, typer.Option(metavar="DIGEST", help="To this image.", show_default=False)] = "",
    time: Annotated[
        str, typer.Option("--at", metavar="TIME", help="To what it named then: 2027-03-01, or 2h ago.")
    ] = "",
) -> None:
    """Let a tag name what it named before; an image that was deleted since comes back.

    A rollback is a move like any other: another one undoes it.
    """
    if sum(map(bool, (back, to, time))) > 1:
        raise typer.BadParameter("a rollback goes by --back, --to or --at: one of them")
    body: dict[str, Any] = {"back": back} if back else {}
    if to:
        body = {"digest": to.rpartition("@")[2]}
    if time:
        body = {"at": arguments.before_now(time)}
    answer = session.api.create(f"{_tag_path(session, tag)}/rollback", body)
    session.show(answer, RESTORED)
    if not answer.document["tags"]:
        note(f"nothing moved: {tag} names that already")


def _by_digest(session: Session, image: str) -> tuple[str, str]:
    """Raises BadParameter."""
    repository, at_sign, digest = session.connection.bare(image).partition("@")
    if not at_sign:
        raise typer.BadParameter(f"which image of {image}? dev/app@sha256:…, as `ccr trash list` shows it")
    return repository, digest


def _tag_path(session: Session, tag: str) -> str:
    """Raises BadParameter."""
    repository, colon, name = session.connection.bare(tag).rpartition(":")
    if not colon or "@" in repository:
        raise typer.BadParameter(f"which tag of {tag}? dev/app:1.0")
    return path("repositories", repository, "tags", name)
