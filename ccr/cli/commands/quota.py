"""`ccr quota`, and `ccr registry limit` and `ccr project limit`: what is used, and what should be."""

from __future__ import annotations

from typing import Annotated

import typer

from ccr.cli import printing
from ccr.cli.paths import path
from ccr.cli.printing import column
from ccr.cli.session import Session, command
from ccr.cli.sizes import Size, size

app = typer.Typer(no_args_is_help=True, help="Quota: what an account uses of its limit.")
USAGE = (
    column("account", "id"),
    ("used", lambda one: size(one["used_bytes"])),
    ("limit", lambda one: size(one["limit_bytes"])),
    ("percent", lambda one: f"{one['used_percent']} %"),
    ("gives way", lambda one: size(one["gives_way_bytes"])),
)
RECONCILED = (
    column("account"),
    ("counted", lambda one: size(one["counted_bytes"])),
    ("stored", lambda one: "-" if one["stored_bytes"] is None else size(one["stored_bytes"])),
    ("drift", lambda one: "busy: run it again" if one["drift_bytes"] is None else str(one["drift_bytes"])),
    column("repaired"),
    ("limit", lambda one: size(one["limit_bytes"])),
    ("blobs", lambda one: str(one["blobs"])),
    ("objects", lambda one: f"{one['objects']} of {size(one['object_bytes'])}"),
    ("unnamed", lambda one: f"{one['unnamed_objects']} of {size(one['unnamed_bytes'])}"),
    ("missing", lambda one: str(one["missing_objects"])),
)
LIMITED = (
    ("soft limit", lambda one: size(one["bytes"])),
    ("used", lambda one: "-" if one["used_bytes"] is None else size(one["used_bytes"])),
    column("above"),
    ("measured", lambda one: printing.moment(one["measured"])),
)
Account = Annotated[str, typer.Argument(help="The account's id; your own, unless said.", show_default=False)]
Off = Annotated[bool, typer.Option("--none", help="Take the soft limit away.")]


@command(app, "show")
def show(session: Session, account: Account = "") -> None:
    """Show what an account uses of its limit, and how much of that gives way to pushes."""
    session.show(session.api.get(path("accounts", account or _own(session))), USAGE)


@command(app, "reconcile")
def reconcile(session: Session, account: Account = "") -> None:
    """Compare what is counted with the tables and the bucket, and put the count right. For owners."""
    where = path("accounts", account or _own(session), "reconciliation")
    session.show(session.api.post(where), RECONCILED)


def registry_limit(
    session: Session,
    registry: Annotated[str, typer.Argument(help="The registry's name.")],
    limit: Size = None,
    *,
    none: Off = False,
) -> None:
    """Show, set or remove a registry's soft limit: beyond it, pushes are warned and not refused."""
    _limit(session, path("registries", registry, "soft-limit"), limit, none=none)


def project_limit(
    session: Session,
    project: Annotated[str, typer.Argument(help="The project's name.")],
    limit: Size = None,
    *,
    none: Off = False,
) -> None:
    """Show, set or remove the soft limit of a project, all of its registries together."""
    _limit(session, path("projects", project, "soft-limit"), limit, none=none)


def _limit(session: Session, where: str, limit: int | None, *, none: bool) -> None:
    if none and limit is not None:
        raise typer.BadParameter("give --limit or --none")
    if none:
        session.api.delete(where, "")
        session.done("removed the soft limit", removed=where)
        return
    answer = session.api.get(where) if limit is None else session.api.put(where, {"bytes": limit})
    session.show(answer, LIMITED)


def _own(session: Session) -> str:
    return str(session.api.get("/whoami").document["account"])
