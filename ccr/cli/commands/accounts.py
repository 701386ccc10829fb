"""`ccr account`: the tenants of a deployment."""

from __future__ import annotations

from typing import Annotated

import typer

from ccr.cli import printing
from ccr.cli.answers import Answer
from ccr.cli.arguments import IfMatch, Limit
from ccr.cli.paths import path
from ccr.cli.printing import column
from ccr.cli.session import Session, command
from ccr.cli.sizes import Size, size

app = typer.Typer(no_args_is_help=True, help="Accounts: the tenants of a deployment. Operators make them.")
Account = Annotated[str, typer.Argument(help="The account's id.")]
Title = Annotated[str, typer.Option(help="A line that says what it is.")]
COLUMNS = (
    column("id"),
    column("title"),
    ("used", lambda one: size(one["used_bytes"])),
    ("limit", lambda one: size(one["limit_bytes"])),
    ("percent", lambda one: f"{one['used_percent']} %"),
    ("created", lambda one: printing.moment(one["created"])),
)


@command(app, "create")
def create(
    session: Session,
    account: Account,
    owner: Annotated[str, typer.Option(metavar="ID", help="The id of its first user, an owner.")],
    title: Title = "",
    limit: Size = None,
) -> None:
    """Make an account, its project `default`, and its owner, whose secret is shown this once."""
    asked = {} if limit is None else {"limit_bytes": limit}
    answer = session.api.create("/accounts", {"id": account, "title": title, "owner": owner, **asked})
    secret = session.secret(answer, owner)
    session.show(answer, [*COLUMNS, column("owner"), column("secret")])
    if secret and not session.is_json:
        print(f"\nThe secret is shown this once. Its owner logs in with\n\n  {_login(session, owner)}")


@command(app, "list")
def list_all(session: Session, limit: Limit = None) -> None:
    """List the accounts: all for operators, their own for everybody else."""
    session.list(COLUMNS, "/accounts", limit)


@command(app, "describe")
def describe(session: Session, account: Account) -> None:
    """Show one account."""
    session.show(session.api.get(path("accounts", account)), COLUMNS)


@command(app, "change", "update")
def change(
    session: Session,
    account: Account,
    title: Annotated[str | None, typer.Option(help="Its new title.", show_default=False)] = None,
    limit: Size = None,
    if_match: IfMatch = "",
) -> None:
    """Change an account's title, or how much it may store, which operators do.

    With a limit below what it uses, pushes are refused and pulls served.
    """
    asked = {"title": title, "limit_bytes": limit}
    body = {name: value for name, value in asked.items() if value is not None}
    if not body:
        raise typer.BadParameter("nothing to change: give --title or --limit")
    changed: Answer = session.api.change(path("accounts", account), body, if_match)
    session.show(changed, COLUMNS)


@command(app, "delete")
def delete(session: Session, account: Account, if_match: IfMatch = "") -> None:
    """Delete an account that has no projects; its credentials go with it."""
    session.api.delete(path("accounts", account), if_match)
    session.done(f"deleted the account {account}", deleted=account)


def _login(session: Session, owner: str) -> str:
    return f"ccr login {session.connection.url} -u {owner} --profile {owner}"
