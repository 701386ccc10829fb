"""`ccr doctor`: what is wrong with a deployment, seen from where its clients are, and how to mend it."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccr.cli import environment, printing, profiles
from ccr.cli.connection import Connection, resolve, resolve_url
from ccr.cli.exits import CliError, Exit
from ccr.cli.printing import column
from ccr.cli.session import Session, note

if TYPE_CHECKING:
    from ccr.cli.doctor.findings import Finding

COLUMNS = (column("check"), column("result"), column("seen"), column("mend"))


def doctor(
    session: Session,
    *,
    url: Annotated[str, typer.Option(help="Of the registry; that of the profile without it.")] = "",
    repository: Annotated[
        str,
        typer.Option(metavar="REPOSITORY", help="Push a small image there, pull it, and delete it again."),
    ] = "",
    aws: Annotated[
        bool,
        typer.Option(
            "--aws", help="Look at each fact of docs/aws-facts.md too, by HTTP and by the `aws` command."
        ),
    ] = False,
    stack: Annotated[
        str, typer.Option(metavar="NAME", help="The stack on AWS, as `ccr-prod`; for --aws.")
    ] = "",
    check: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="This one alone, with what it needs; may be repeated.", show_default=False
        ),
    ] = None,
) -> None:
    """Check a deployment from outside: what was seen, what is wrong, and how to mend it.

    Reads alone, unless --repository says where it may write. Ends with exit code 1 where something is wrong.
    docs/doctor.md has every check.
    """
    if aws != bool(stack):
        raise typer.BadParameter("--aws takes --stack NAME, and it alone does")
    from ccr.cli.doctor import push  # noqa: PLC0415 - HTTP takes a while to import, and --help does not need it
    from ccr.cli.doctor.aws_command import find_stack  # noqa: PLC0415
    from ccr.cli.doctor.checks import AWS, CHECKS  # noqa: PLC0415
    from ccr.cli.doctor.findings import Result, chosen, examine  # noqa: PLC0415
    from ccr.cli.doctor.visit import Visit  # noqa: PLC0415
    from ccr.cli.doctor.wire import BrokenError  # noqa: PLC0415

    try:
        table = AWS if aws else CHECKS
        checks = chosen(table, check or ())
    except KeyError as error:
        names = ", ".join(one.name for one in table)
        raise typer.BadParameter(f"there is no check {error}; there are {names}") from error
    place, connection = _whom(session, url)
    bare = connection.bare(repository) if connection else repository
    visit = Visit(place, connection, bare, stack=find_stack(stack) if aws else None)
    rows: list[dict[str, Any]] = []
    try:
        for one, finding in examine(visit, checks):
            rows.append(_row(one.name, finding))
    finally:
        try:
            push.clean_up(visit)
        except BrokenError as error:
            note(f"warning: {error.seen}; left: {'; '.join(visit.left)}")
    counted = Counter(str(row["result"]) for row in rows)
    _show(session, visit.url, rows, visit.left)
    if counted[Result.WRONG]:
        raise CliError(f"{counted[Result.WRONG]} of {len(rows)} checks found something wrong", Exit.FAILURE)
    if not session.is_json:
        note(", ".join(f"{count} {result}" for result, count in counted.items()))


def _whom(session: Session, url: str) -> tuple[str, Connection | None]:
    """Where to, and as whom where somebody is logged in there. Raises CliError."""
    environ = {**os.environ, **({environment.URL.name: _normal(url)} if url else {})}
    place = resolve_url(environ, session.profile)
    try:
        return place, resolve(environ, session.profile)
    except CliError as error:
        if error.exit_code != Exit.NOT_LOGGED_IN:
            raise
        return place, None


def _normal(url: str) -> str:
    try:
        return profiles.normal_url(url)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _row(name: str, finding: Finding) -> dict[str, Any]:
    return {"check": name, "result": finding.result.value, "seen": finding.seen, "mend": finding.mend}


def _show(session: Session, url: str, rows: list[dict[str, Any]], left: list[str]) -> None:
    if session.is_json:
        printing.as_json({"url": url, "checks": rows, "left": left})
    else:
        printing.table(COLUMNS, rows)
