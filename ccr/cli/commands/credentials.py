"""`ccr credential`: users, robots and trusts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ccr.cli import arguments, printing
from ccr.cli.answers import Answer, Document
from ccr.cli.arguments import IfMatch, Limit
from ccr.cli.commands.login import grants_shown, remember_secret
from ccr.cli.paths import path
from ccr.cli.printing import column
from ccr.cli.session import Session, command, note, warn_of_expiry

app = typer.Typer(
    no_args_is_help=True,
    help="Credentials: users with roles, robots with grants, and trusts in the ID tokens of others.",
)
Id = Annotated[str, typer.Argument(metavar="ID", help="The credential's id.")]
Title = Annotated[str, typer.Option(help="A line that says what it is for.")]
Project = Annotated[str, typer.Option("--project", "-p", help="The project that it belongs to.")]
Grants = Annotated[
    list[str],
    typer.Option(
        "--grant",
        metavar="PATTERN:ACTIONS",
        help="'dev/*:pull,push' is all of the registry dev; actions are pull, push, delete. May be repeated.",
    ),
]
Expires = Annotated[
    str,
    typer.Option(help="90d, or 2027-01-31: within a year. Never, if left out.", show_default=False),
]


def _trust(document: printing.Document) -> str:
    trust: dict[str, Any] | None = document["trust"]
    return printing.shown(trust)


def _secrets(document: printing.Document) -> str:
    """How many live, and until when the outgoing one does."""
    outgoing = [one["expires"] for one in document["secrets"] if one["expires"]]
    until = "".join(f", one until {printing.moment(when)}" for when in outgoing)
    return f"{len(document['secrets'])}{until}"


FIELDS = (
    column("id"),
    column("kind"),
    column("title"),
    column("project"),
    column("roles"),
    ("grants", grants_shown),
    ("trust", _trust),
    column("disabled"),
    ("expires", lambda one: printing.moment(one["expires"])),
    ("secrets", _secrets),
    ("created", lambda one: printing.moment(one["created"])),
    column("created_by"),
    ("used", lambda one: printing.moment(one["used"])),
    column("used_from"),
)
COLUMNS = (
    column("id"),
    column("kind"),
    ("may", lambda one: printing.shown(one["roles"]) if one["roles"] else grants_shown(one)),
    ("state", lambda one: "disabled" if one["disabled"] else "active"),
    ("expires", lambda one: printing.moment(one["expires"])),
    ("used", lambda one: printing.moment(one["used"])),
)


@command(app, "create-user")
def create_user(
    session: Session,
    id_: Id,
    role: Annotated[
        list[str],
        typer.Option(metavar="PROJECT=ROLE", help="As shop=developer, or '*=owner'. May be repeated."),
    ],
    title: Title = "",
) -> None:
    """Make a user, a person with a role in each project: viewer, developer, maintainer or owner."""
    _create(session, {"kind": "user", "id": id_, "title": title, "roles": arguments.roles(role)})


@command(app, "create-robot")
def create_robot(
    session: Session, id_: Id, *, project: Project, grant: Grants, expires: Expires = "", title: Title = ""
) -> None:
    """Make a robot, for a machine: it may do what its grants say and nothing else."""
    _create(session, {"kind": "robot", **_granted(id_, project, grant, expires, title)})


@command(app, "create-trust")
def create_trust(
    session: Session,
    id_: Id,
    *,
    project: Project,
    grant: Grants,
    issuer: Annotated[str, typer.Option(help="As https://token.actions.githubusercontent.com")],
    audience: Annotated[str, typer.Option(help="What the ID tokens are made for, as this registry's URL.")],
    subject: Annotated[str, typer.Option(help="As 'repo:acme/app:ref:refs/heads/*': * is any text.")],
    claim: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATTERN", help="What else must be in the token. May be repeated."),
    ] = None,
    expires: Expires = "",
    title: Title = "",
) -> None:
    """Make a trust: ID tokens of CI or Kubernetes log in as it, and no secret is stored.

    The token is the password: `docker login -u ID --password-stdin` with the ID token.
    """
    trust = {
        "issuer": issuer,
        "audience": audience,
        "subject": subject,
        "claims": arguments.claims(claim or []),
    }
    _create(session, {"kind": "trust", **_granted(id_, project, grant, expires, title), "trust": trust})


@command(app, "list")
def list_all(session: Session, limit: Limit = None) -> None:
    """List the credentials that you may change, and your own."""
    for one in session.list(COLUMNS, "/credentials", limit):
        if one["expires_soon"] and not one["disabled"]:
            warn_of_expiry(one["id"], one["expires"])


@command(app, "describe")
def describe(session: Session, id_: Id) -> None:
    """Show one credential, when and from where it was last used; never its secret."""
    answer = session.api.get(path("credentials", id_))
    session.show(answer, FIELDS)
    if answer.document["expires_soon"] and id_ != session.connection.username:
        warn_of_expiry(id_, answer.document["expires"])


@command(app, "change", "update")
def change(
    session: Session,
    id_: Id,
    *,
    title: Annotated[str | None, typer.Option(help="Its new title.", show_default=False)] = None,
    grant: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN:ACTIONS", help="In place of all its grants. May be repeated."),
    ] = None,
    expires: Expires = "",
    if_match: IfMatch = "",
) -> None:
    """Change a credential's title, grants or expiry. What is taken away counts within a minute."""
    body: Document = {}
    if title is not None:
        body["title"] = title
    if grant:
        body["grants"] = _grants(grant)
    if expires:
        body["expires"] = arguments.after_now(expires)
    if not body:
        raise typer.BadParameter("nothing to change: give --title, --grant or --expires")
    session.show(session.api.change(path("credentials", id_), body, if_match), FIELDS)


@command(app, "rotate")
def rotate(
    session: Session,
    id_: Id,
    overlap: Annotated[
        str, typer.Option(help="How long the secret before lives on: 0s to 7d.", metavar="DURATION")
    ] = "1h",
    if_match: IfMatch = "",
) -> None:
    """Make a new secret, shown this once; the one before lives on for a while.

    A second rotation within that while ends the first of the three secrets at once, and with it every token
    and unfinished push of the credential, within a minute.
    """
    body = {"overlap_seconds": arguments.seconds(overlap)}
    answered = session.api.get(path("credentials", id_))
    version = ""
    for one in answered.document["secrets"]:
        if one["expires"] and datetime.fromisoformat(one["expires"]) > datetime.now(UTC):
            note(
                "warning: the secret that was rotated away before, and was to live until "
                f"{printing.moment(one['expires'])}, ends now: a credential has two at the most"
            )
            # Told what it ends: the registry wants to know that it was seen.
            version = answered.version
    answer = session.api.create(path("credentials", id_, "rotation"), body, if_match or version)
    secret = session.secret(answer, id_)
    connection = session.connection
    if secret and id_ == connection.username and connection.profile and remember_secret(connection, secret):
        note(f"the profile {connection.profile} goes on with the new secret")
    _show_made(session, answer)


@command(app, "disable")
def disable(session: Session, id_: Id, if_match: IfMatch = "") -> None:
    """Stop a credential for now: it logs in no more, and its tokens end within a minute."""
    session.show(session.api.change(path("credentials", id_), {"disabled": True}, if_match), FIELDS)


@command(app, "enable")
def enable(session: Session, id_: Id, if_match: IfMatch = "") -> None:
    """Let a credential log in again."""
    session.show(session.api.change(path("credentials", id_), {"disabled": False}, if_match), FIELDS)


@command(app, "delete")
def delete(session: Session, id_: Id, if_match: IfMatch = "") -> None:
    """Revoke a credential for good: it stops at once, its tokens within a minute."""
    session.api.delete(path("credentials", id_), if_match)
    session.done(f"deleted the credential {id_}", deleted=id_)


def _granted(id_: str, project: str, grant: list[str], expires: str, title: str) -> Document:
    return {
        "id": id_,
        "project": project,
        "grants": _grants(grant),
        "expires": arguments.after_now(expires) if expires else None,
        "title": title,
    }


def _grants(texts: list[str]) -> list[Document]:
    """With a note of each that hardly means what it says."""
    grants = arguments.grants(texts)
    for one in grants:
        pattern, actions = one["pattern"], one["actions"]
        if "/" not in pattern and "*" not in pattern:
            note(
                f"warning: {pattern!r} is the one repository of that name, and nothing below it: "
                f"{pattern + '/*'!r} is all of the registry"
            )
        if "push" in actions and "pull" not in actions:
            note(
                f"warning: on {pattern!r} there is push without pull: docker and most other clients look for "
                "what is there before they push, and fail then"
            )
    return grants


def _create(session: Session, body: Document) -> None:
    answer = session.api.create("/credentials", body)
    if body["kind"] != "trust":
        session.secret(answer, str(body["id"]))
    _show_made(session, answer)


def _show_made(session: Session, answer: Answer) -> None:
    secret = (column("secret"),) if answer.document.get("secret") else ()
    session.show(answer, (*FIELDS, *secret))
    if secret and not session.is_json:
        print("\nThe secret is shown this once: put it where it is used now.")
