"""`ccr image delete` and `ccr tag delete` with a pattern: what would go is shown and asked about first."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from ccr.cli import arguments, printing
from ccr.cli.answers import Document
from ccr.cli.exits import CliError, Exit
from ccr.cli.paths import path
from ccr.cli.printing import column
from ccr.cli.session import Session, command, note

app = typer.Typer(no_args_is_help=True, help="Images: what tags name.")
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would go, and let it be.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Forced = Annotated[
    bool, typer.Option("--force", help="Immutable tags too: takes the right to change that policy.")
]
OlderThan = Annotated[
    str, typer.Option(metavar="AGE", help="Only what is older: 90d, 12h.", show_default=False)
]
COLUMNS = (
    column("reference"),
    ("goes", lambda one: "the image" if one["image"] else "the tag"),
    column("tags"),
    column("why"),
    column("refused"),
)


@dataclass(frozen=True)
class Asked:
    """How it is to be done."""

    older_than: str = ""
    is_dry_run: bool = False
    asks: bool = True
    force: bool = False


@app.callback()
def about_images() -> None:
    """Images: what tags name."""


@command(app, "delete")
def delete_images(
    session: Session,
    images: Annotated[
        str, typer.Argument(metavar="IMAGES", help="dev/app:'pr-*', dev/app@sha256:…, or dev/app --untagged")
    ],
    *,
    untagged: Annotated[bool, typer.Option("--untagged", help="What no tag and no index names.")] = False,
    older_than: OlderThan = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    force: Forced = False,
) -> None:
    """Delete images with their tags. They can be restored for a time: `ccr trash list`.

    By a pattern, an image goes that has no tag beside those that match; of others the matching tags do.
    """
    repository, chosen = choice(session, images)
    if untagged:
        chosen["untagged"] = True
    elif not chosen:
        raise typer.BadParameter(f"which images of {images}? dev/app:'pr-*', dev/app@sha256:…, or --untagged")
    asked = Asked(older_than, is_dry_run=dry_run, asks=not yes, force=force)
    delete_chosen(session, repository, {**chosen, "images": True}, asked)


def choice(session: Session, text: str) -> tuple[str, dict[str, Any]]:
    """The repository, and what of it."""
    repository, at, digest = session.connection.bare(text).partition("@")
    if at:
        return repository, {"references": [digest]}
    name, _, tag = repository.partition(":")
    return name, {"pattern": tag} if tag else {}


def delete_chosen(session: Session, repository: str, chosen: dict[str, Any], asked: Asked) -> None:
    """Exactly what was shown goes: by digest, and tags only while they name what they named."""
    place = path("repositories", repository, "deletions")
    if asked.older_than:
        chosen["older_than"] = arguments.seconds(asked.older_than)
    while True:
        found = session.api.post(place, {**chosen, "dry_run": True, "force": asked.force}).document
        goes = [one for one in found["items"] if not one["refused"]]
        if asked.is_dry_run or not goes:
            session.rows(COLUMNS, found["items"])
            _check(found["items"])
            return
        if asked.asks:
            _ask(goes, found["more"])
        exact = [_exact(one) for one in goes]
        done = session.api.post(place, {"references": exact, "force": asked.force}).document["items"]
        session.rows(COLUMNS, done)
        _check(done)
        if not found["more"]:
            return


def _exact(item: Document) -> str:
    return str(item["digest"]) if item["image"] else f"{item['tags'][0]}@{item['digest']}"


def _ask(goes: list[Document], more: int) -> None:
    """Raises typer.Abort."""
    for one in goes:
        what = f"{one['digest']} ({', '.join(one['tags']) or 'untagged'})" if one["image"] else one["tags"][0]
        note(f"{printing.shown(what)}: {one['why']}")
    if not sys.stdin.isatty():
        raise CliError("nobody is here to ask: --yes deletes, --dry-run shows", Exit.USAGE)
    typer.confirm(
        f"Delete these {len(goes)}{f', and {more} more after them' if more else ''}?", abort=True, err=True
    )


def _check(items: list[Document]) -> None:
    """Raises CliError where something stays."""
    refused = [one for one in items if one["refused"]]
    if refused:
        raise CliError(f"{len(refused)} stay: {refused[0]['refused']}", Exit.CONFLICT)
