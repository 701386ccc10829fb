"""`ccr lifecycle`: what of a registry or a repository expires, and when."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ccr.cli.answers import Document
from ccr.cli.arguments import IfMatch, after_now
from ccr.cli.exits import CliError, Exit
from ccr.cli.paths import path
from ccr.cli.printing import Column, column, counted
from ccr.cli.session import Session, command, note

app = typer.Typer(
    no_args_is_help=True,
    help="Lifecycle policies: what expires, and when. A name with a slash is a repository, else a registry.",
)
Name = Annotated[str, typer.Argument(help="dev for a registry, dev/app for a repository.")]
PolicyFile = Annotated[
    str, typer.Argument(metavar="FILE", help="The policy as JSON; - reads it from standard input.")
]


def _image(verdict: Mapping[str, Any]) -> str:
    repository, tag = verdict["repository"], verdict["tag"]
    return f"{repository}:{tag}" if tag else f"{repository}@{verdict['digest']}"


RULES = (
    column("rule", "name"),
    column("action"),
    column("priority"),
    column("tags"),
    column("count"),
    column("after"),
)
VERDICTS: tuple[Column, ...] = (
    ("image", _image),
    ("goes", lambda one: "goes" if one["goes"] else "stays"),
    column("rule"),
    column("why"),
)


@command(app, "set")
def set_policy(session: Session, name: Name, file: PolicyFile, if_match: IfMatch = "") -> None:
    """Set the policy of a registry, or of a repository in place of its registry's.

    `ccr lifecycle preview NAME FILE` shows before what it would do.
    """
    answer = session.api.put(_path(session, name), _policy(file), if_match)
    if session.is_json:
        session.show(answer, ())
        return
    print(f"{answer.document['scope']} is kept by these rules from now on (version {answer.version})")
    session.rows(RULES, answer.document["rules"])


@command(app, "show", "describe")
def show(session: Session, name: Name) -> None:
    """Show the policy that is in force."""
    answer = session.api.get(_path(session, name))
    if session.is_json:
        session.show(answer, ())
        return
    whose = "its registry's" if answer.document["inherited"] else f"version {answer.version}"
    print(f"the policy of {answer.document['scope']} ({whose})")
    session.rows(RULES, answer.document["rules"])


@command(app, "remove", "delete")
def remove(session: Session, name: Name, if_match: IfMatch = "") -> None:
    """Take a policy away: nothing expires any more, or what the registry's says."""
    session.api.delete(_path(session, name), if_match)
    session.done(f"removed the lifecycle policy of {name}", removed=name)


@command(app, "preview")
def preview(
    session: Session,
    name: Name,
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="A policy to try; without it, the one in force.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="DATE",
            help="What is there now, judged as of then: 2027-01-31, or 30d from now.",
            show_default=False,
        ),
    ] = None,
    *,
    kept: Annotated[bool, typer.Option("--kept", help="Also what stays, and why.")] = False,
) -> None:
    """Show what would go, and why; nothing is deleted."""
    asked: Document = {"kept": kept}
    if file is not None:
        asked["policy"] = _policy(file)
    if at is not None:
        asked["at"] = after_now(at)
    found = list(_pages(session, name, asked))
    if not found and not session.is_json:
        print("nothing goes")
        return
    session.rows(VERDICTS, found)


@command(app, "run")
def run(session: Session, name: Name) -> None:
    """Delete now what a preview shows now; for its retention time it can be restored."""
    gone: list[Document] = []
    while True:
        answer = session.api.post(f"{_path(session, name)}/run").document
        gone += answer["gone"]
        # What was left is there for the next run, so it is the last answer's that counts.
        if answer["complete"] or not answer["gone"]:
            break
    if session.is_json:
        session.done("", gone=gone, left=answer["left"], complete=answer["complete"])
        return
    if not gone and "/" in session.connection.bare(name):
        _check_policy(session, name)
    if gone:
        session.rows(VERDICTS[::2] + VERDICTS[3:], gone)
    tags = sum(one["tag"] is not None for one in gone)
    print(f"{counted(tags, 'tag')} and {counted(len(gone) - tags, 'manifest')} went")
    if answer["left"]:
        print(f"{len(answer['left'])} changed meanwhile: left for the next run")


def _check_policy(session: Session, name: str) -> None:
    """A run without a policy is none: say so beside its count."""
    try:
        session.api.get(_path(session, name))
    except CliError as error:
        if error.exit_code is not Exit.NOT_FOUND:
            raise
        note(error.message)


def _pages(session: Session, name: str, asked: Document) -> Iterator[Document]:
    after, limit = "", 1000
    while True:
        body = {**asked, "limit": limit, "after": after}
        page = session.api.post(f"{_path(session, name)}/preview", body).document
        yield from page["items"]
        after = page["next"]
        if not after:
            return
        # The pages after it are of the same moment.
        asked = {**asked, "at": page["at"]}


def _path(session: Session, name: str) -> str:
    bare = session.connection.bare(name)
    return f"{path('repositories' if '/' in bare else 'registries', bare)}/lifecycle"


def _policy(file: str) -> dict[str, Any]:
    """Raises CliError."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        document = json.loads(text)
    except (OSError, ValueError) as error:
        raise CliError(f"{file} cannot be read as JSON: {error}", Exit.USAGE) from error
    if not isinstance(document, dict):
        raise CliError(f"{file} is no policy: it begins with {{", Exit.USAGE)
    return document
