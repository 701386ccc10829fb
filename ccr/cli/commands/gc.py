"""`ccr gc`: why a blob lives or when it goes, and runs of the garbage collector."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

import typer

from ccr.cli.answers import Answer
from ccr.cli.arguments import Limit
from ccr.cli.exits import CliError, Exit
from ccr.cli.paths import path
from ccr.cli.printing import Document, column, moment
from ccr.cli.session import Session, command, note
from ccr.cli.sizes import size
from ccr.cli.transfer.reference import DIGEST

app = typer.Typer(no_args_is_help=True, help="Garbage: what is freed, when, and why not.")
FREED = (
    ("bytes", lambda one: size(one["bytes"])),
    *(column(name) for name in ("blobs", "links", "manifests", "trash", "uploads", "objects")),
)
RUNS = (("at", lambda one: moment(one["at"])), column("actor"), *FREED)
DUE = (
    column("kind"),
    column("what"),
    ("bytes", lambda one: size(one["bytes"]) if one["bytes"] else "-"),
    ("since", lambda one: moment(one["since"])),
)


@command(app, "plan")
def plan(
    session: Session,
    digest: Annotated[
        str, typer.Argument(help="Of a blob: sha256:…; all that the next run frees, if left out.")
    ] = "",
) -> None:
    """Explain why a blob lives or when it goes; or list what the next run would free."""
    if digest:
        told = _told(session, digest)
        if session.is_json:
            session.show(told, ())
        else:
            print("\n".join(_explained(told.document)))
        return
    answer = session.api.get("/collections/next")
    if session.is_json:
        session.show(answer, ())
        return
    session.rows(DUE, answer.document["items"], none="the next run frees nothing")
    if answer.document["more"]:
        note("there is more; --output json shows no more either: `ccr gc run` frees it all")


@command(app, "run")
def run(session: Session) -> None:
    """Free what nothing of the account needs any more, for 20 seconds at the most."""
    answer = session.api.create("/collections", {})
    session.show(answer, FREED)
    if not answer.document["complete"]:
        note("its time was up: run it again for the rest")


@command(app, "report")
def report(session: Session, limit: Limit = None) -> None:
    """List the runs of the last 31 days that freed something, newest first."""
    session.list(RUNS, "/collections", limit)


def _told(session: Session, digest: str) -> Answer:
    """Raises BadParameter for what is no digest, CliError."""
    if not re.fullmatch(DIGEST, digest):
        raise typer.BadParameter(
            f"{digest!r} is no digest of a blob, as a manifest names its config and layers: sha256:…"
        )
    try:
        return session.api.get(path("holders", digest))
    except CliError as error:
        if error.exit_code is not Exit.NOT_FOUND:
            raise
        raise CliError(
            f"no blob of this account is {digest}; manifests are none: "
            "they live until they are deleted, and `ccr trash list` has those that were",
            Exit.NOT_FOUND,
            error.problem,
        ) from error


def _explained(told: Document) -> Iterator[str]:
    yield f"{told['digest']}  {size(told['size'])}"
    for one in told["held_by"]:
        above, (manifest,) = one["manifests"][:-1], one["manifests"][-1:]
        named = " ".join(f"{one['repository']}:{tag}" for tag in one["tags"])
        by = f"tag {named}" if named else f"an untagged manifest in {one['repository']}"
        through = f" through index {' '.join(above)}" if above else ""
        yield f"held by {by}{through}, manifest {manifest}, since {moment(one['since'])}"
    for one in told["kept_by"]:
        yield (
            f"kept by a deleted manifest until {moment(one['until'])}: {one['repository']}@{one['manifest']}"
        )
    for one in told["waiting"]:
        yield (
            f"in {one['repository']} with no manifest since {moment(one['since'])}, "
            f"leaves it at {moment(one['until'])}"
        )
    if told["unnamed"]:
        yield f"in {told['unnamed']} more repositories, which no list has yet"
    if told["goes_at"]:
        yield f"unreferenced since {moment(told['unreferenced_since'])}, goes at {moment(told['goes_at'])}"
    if not told["complete"]:
        yield "and by more than is shown"
