"""`ccr repository`, `tag` and `promote`: what is in a registry, and from one to the next."""

from __future__ import annotations

from typing import Annotated

import typer

from ccr.cli.arguments import Force, Limit
from ccr.cli.commands import deletion
from ccr.cli.paths import path
from ccr.cli.printing import column
from ccr.cli.session import Session, command
from ccr.cli.sizes import size

app = typer.Typer(no_args_is_help=True, help="Repositories: the images of one name.")
tags = typer.Typer(no_args_is_help=True, help="Tags: the names of a repository's images.")
Repository = Annotated[str, typer.Argument(help="Its whole name: dev/team/app")]
COLUMNS = (column("name"), column("registry"))


@command(app, "list")
def list_all(
    session: Session,
    registry: Annotated[str, typer.Argument(help="The registry's name.")],
    limit: Limit = None,
) -> None:
    """List the repositories of a registry that you may pull from."""
    session.list(COLUMNS, path("registries", registry, "repositories"), limit)


@command(app, "describe")
def describe(session: Session, repository: Repository) -> None:
    """Show one repository."""
    session.show(session.api.get(_path(session, repository)), COLUMNS)


@command(app, "delete")
def delete(
    session: Session,
    repository: Repository,
    *,
    force: Force = False,
    purge: Annotated[bool, typer.Option("--purge", help="Nothing of it can be restored.")] = False,
) -> None:
    """Delete a repository that holds no images; with --force those too, which can be restored for a time."""
    params = {name: "true" for name, is_on in (("force", force), ("purge", purge)) if is_on}
    session.api.delete(_path(session, repository), **params)
    session.done(f"deleted the repository {repository}", deleted=repository)


@tags.callback()
def about_tags() -> None:
    """Tags: the names of a repository's images."""


@command(tags, "list")
def list_tags(session: Session, repository: Repository, limit: Limit = None) -> None:
    """List the tags of a repository, with what they stand for."""
    columns = (column("tag"), column("digest"), ("size", lambda one: size(one["size"])), column("media_type"))
    session.list(columns, f"{_path(session, repository)}/tags", limit)


@command(tags, "delete")
def delete_tag(
    session: Session,
    image: Annotated[
        str, typer.Argument(help="dev/app:1.0; dev/app:'pr-*'; or dev/app@sha256:… for all its tags too.")
    ],
    *,
    older_than: deletion.OlderThan = "",
    dry_run: deletion.DryRun = False,
    yes: deletion.Yes = False,
    force: deletion.Forced = False,
) -> None:
    """Delete a tag; tags by a pattern; or by its digest, the image and every tag of it.

    Blobs stay: other images may share them. By a pattern, what would go is shown and asked about first.
    """
    from ccr.cli.transfer.distribution import Distribution  # noqa: PLC0415 - HTTP takes a while to import
    from ccr.cli.transfer.reference import parse_reference  # noqa: PLC0415
    from ccr.cli.transfer.retry import Patience  # noqa: PLC0415

    bare = session.connection.bare(image)
    if ":" not in bare:
        raise typer.BadParameter(f"which tag of {image}? dev/app:1.0")
    if "*" in bare or older_than or dry_run or force:
        repository, chosen = deletion.choice(session, image)
        asks = "*" in bare and not yes
        if "pattern" in chosen and "*" not in bare and not older_than:
            chosen = {"references": [chosen["pattern"]]}
        asked = deletion.Asked(older_than, is_dry_run=dry_run, asks=asks, force=force)
        deletion.delete_chosen(session, repository, chosen, asked)
        return
    target = parse_reference(bare)
    Distribution(session.connection, target.repository, Patience()).delete(target.manifest)
    session.done(f"deleted {target}", deleted=str(target))


def promote(
    session: Session,
    source: Annotated[str, typer.Argument(help="dev/app:1.0, or dev/app@sha256:…")],
    target: Annotated[str, typer.Argument(help="staging/app:1.0, or staging/app for the same tag.")],
) -> None:
    """Bring an image to another repository of the account, by its digest: no byte moves."""
    bare = session.connection.bare
    answer = session.api.create("/promotions", {"source": bare(source), "target": bare(target)})
    session.show(answer, (column("source"), column("target"), column("digest"), column("manifests")))


def _path(session: Session, repository: str) -> str:
    return path("repositories", session.connection.bare(repository))
