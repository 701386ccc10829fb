"""`ccr login`, `logout`, `whoami` and `profile`: who one is at which registry."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccr.cli import environment, printing, profiles
from ccr.cli.answers import Document
from ccr.cli.connection import Connection
from ccr.cli.exits import CliError, Exit
from ccr.cli.paths import path
from ccr.cli.printing import column
from ccr.cli.profiles import Profile
from ccr.cli.session import Session, command, connect, note, warn_of_expiry

if TYPE_CHECKING:
    from ccr.cli.api import Api

app = typer.Typer(no_args_is_help=True, help="The logins that are stored, and which of them is used.")
DEFAULT = "default"


def register(root: typer.Typer, panel: str) -> None:
    for function in (login, logout, whoami):
        command(root, function.__name__, panel=panel)(function)


def login(
    session: Session,
    url: Annotated[str, typer.Argument(help="Of the registry: https://registry.example.id")],
    username: Annotated[
        str, typer.Option("--username", "-u", metavar="ID", help="The id of the credential.")
    ],
    *,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the secret from standard input, for scripts.")
    ] = False,
) -> None:
    """Log in, and store it as a profile for the commands that follow.

    The secret is asked for on a terminal; a script pipes it in. It is stored for you alone (mode 0600).
    """
    try:
        url = profiles.normal_url(url)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if profiles.is_clear_text(url):
        note(f"warning: {url} is not https: everybody between here and there can read the secret")
    api = connect(Connection(url, username, read_secret(from_stdin=password_stdin)))
    caller = api.get("/whoami").document
    expires = expiry(api, username) or ""
    name = session.profile or DEFAULT
    with profiles.changing(os.environ) as stored:
        stored.profiles[name] = Profile(url, username, api.connection.password, expires)
        stored.current = name
        if stored.docker.get(api.connection.host, "") is None:
            del stored.docker[api.connection.host]
    warn_of_expiry(username, expires)
    session.done(f"logged in to {url} as {username}, profile {name}", profile=name, url=url, **caller)


def logout(session: Session) -> None:
    """Forget a profile and its secret: the one in use, or that of --profile."""
    with profiles.changing(os.environ) as stored:
        name = session.profile or stored.current
        if stored.profiles.pop(name, None) is None:
            raise CliError(_no_profile(name, list(stored.profiles)), Exit.NOT_FOUND)
        if stored.current == name:
            stored.current = ""
        left = sorted(stored.profiles) if not stored.current else []
    session.done(f"logged out: the profile {name} is gone", deleted=name)
    if left:
        note(f"no profile is in use now: `ccr profile use NAME`, one of {', '.join(left)}")


def whoami(session: Session) -> None:
    """Show which credential is used, at which registry, and what it may do."""
    answer = session.api.get("/whoami")
    if not session.connection.expires:
        warn_of_expiry(session.connection.username, expiry(session.api, session.connection.username))
    connection = session.connection
    answer.document.update(url=connection.url, profile=connection.profile)
    names = ("id", "account", "kind", "operator", "roles", "grants", "url", "profile")
    shown = [("grants", grants_shown) if name == "grants" else column(name) for name in names]
    session.show(answer, shown)


def list_profiles(session: Session) -> None:
    """List the profiles; * is in use."""
    stored = profiles.load(os.environ)
    names = ("name", "url", "username", "expires")
    items: list[Document] = [
        {
            "current": name == stored.current,
            "name": name,
            "url": one.url,
            "username": one.username,
            "expires": one.expires or None,
        }
        for name, one in sorted(stored.profiles.items())
    ]
    session.rows([("", lambda item: "*" if item["current"] else ""), *map(column, names)], items)


def use_profile(
    session: Session, name: Annotated[str, typer.Argument(help="Of `ccr profile list`.")]
) -> None:
    """Use this profile from now on."""
    with profiles.changing(os.environ) as stored:
        if name not in stored.profiles:
            raise CliError(_no_profile(name, list(stored.profiles)), Exit.NOT_FOUND)
        stored.current = name
    session.done(f"using the profile {name}", current=name)


command(app, "list")(list_profiles)
command(app, "use")(use_profile)


def read_secret(*, from_stdin: bool) -> str:
    """From standard input, the environment, or a person; never an argument, which all can read."""
    if from_stdin:
        secret = sys.stdin.read().rstrip("\r\n")
    elif os.environ.get(environment.PASSWORD.name):
        secret = os.environ[environment.PASSWORD.name]
    elif sys.stdin.isatty():
        secret = str(typer.prompt("Secret", hide_input=True, err=True))
    else:
        raise typer.BadParameter(
            "no terminal to ask for the secret on: give --password-stdin (or --secret-stdin)"
        )
    if not secret:
        raise typer.BadParameter("the secret is empty")
    return secret


def expiry(api: Api, id_: str) -> str | None:
    """When the credential that asks expires; every credential may see itself."""
    expires: str | None = api.get(path("credentials", id_)).document["expires"]
    return expires


def remember_secret(connection: Connection, secret: str) -> bool:
    """After a rotation of one's own credential: the profile goes on with the new secret."""
    with profiles.changing(os.environ) as stored:
        one = stored.profiles.get(connection.profile)
        if one is None or one.password != connection.password:
            return False
        stored.profiles[connection.profile] = Profile(one.url, one.username, secret, one.expires)
    return True


def grants_shown(document: printing.Document) -> str:
    grants: list[dict[str, Any]] = document["grants"]
    return printing.shown([f"{one['pattern']}:{','.join(one['actions'])}" for one in grants])


def _no_profile(name: str, names: list[str]) -> str:
    there = f"there are {', '.join(sorted(names))}" if names else "there is none"
    return (
        f"there is no profile {name!r}: {there}" if name else "not logged in: there is nothing to log out of"
    )
