"""One call of a command: who asks which registry, and how the answer is shown."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, Final, ParamSpec

import typer

from ccr.cli import environment, printing
from ccr.cli.answers import Answer, Document
from ccr.cli.connection import Connection, resolve
from ccr.cli.exits import CliError
from ccr.cli.printing import Column, Output

if TYPE_CHECKING:
    from ccr.cli.api import Api

P = ParamSpec("P")
SOON: Final = timedelta(days=14)

_OUTPUT: Final = typer.Option(
    "--output", "-o", help="A table for people, or JSON for programs.", rich_help_panel="Shared"
)
_PROFILE: Final = typer.Option(
    "--profile",
    envvar=environment.PROFILE.name,
    metavar="NAME",
    help="Which login to use.",
    show_default=False,
    rich_help_panel="Shared",
)


@dataclass
class Session:
    """Connects when first asked to."""

    output: StrEnum = Output.TABLE
    profile: str = ""

    @cached_property
    def connection(self) -> Connection:
        connection = resolve(os.environ, self.profile)
        warn_of_expiry(connection.username, connection.expires)
        return connection

    @cached_property
    def api(self) -> Api:
        return connect(self.connection)

    @property
    def is_json(self) -> bool:
        return self.output != Output.TABLE

    def list(
        self,
        columns: Sequence[Column],
        path: str,
        limit: int | None = None,
        *,
        none: str = "none",
        **params: str,
    ) -> list[Document]:
        """Show every item; return them."""
        items = list(self.api.pages(path, limit, **params))
        self.rows(columns, items, none)
        return items

    def rows(self, columns: Sequence[Column], items: Sequence[Document], none: str = "none") -> None:
        """A table without rows is its headings, and `none` on standard error."""
        if self.is_json:
            printing.as_json(items)
            return
        printing.table(columns, items)
        if not items and none:
            note(none)

    def show(self, answer: Answer, fields: Sequence[Column], told: str = "") -> None:
        """One thing, with its version where it has one; in a table after the sentence `told`."""
        version = {"version": answer.version} if answer.version else {}
        if self.is_json:
            printing.as_json({**answer.document, **version})
            return
        if told:
            print(told)
        entries = {heading: show(answer.document) for heading, show in fields}
        printing.record({**entries, **version})

    def done(self, told: str, **document: Any) -> None:
        if self.is_json:
            printing.as_json(document)
        else:
            print(told)

    def secret(self, answer: Answer, id_: str) -> str | None:
        """The secret of what was made, shown this once; a note where it is lost."""
        secret = answer.document.get("secret")
        if secret is None and answer.is_replayed:
            note(
                f"made, but the connection broke and its secret went with it: `ccr credential rotate {id_}`"
                " makes another"
            )
        return secret


def command(
    app: typer.Typer, *names: str, panel: str | None = None, outputs: type[StrEnum] = Output
) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
    """Register a command that takes a session, with --output and --profile; further names are hidden."""

    def register(
        function: Callable[Concatenate[Session, P], None],
    ) -> Callable[Concatenate[Session, P], None]:
        called = _with_session(function, outputs)
        for index, name in enumerate(names):
            app.command(name, hidden=index > 0, rich_help_panel=panel)(called)
        return function

    return register


def connect(connection: Connection) -> Api:
    from ccr.cli.api import Api  # noqa: PLC0415 - HTTP takes a while to import, and --help does not need it

    return Api(connection)


def note(text: str) -> None:
    """To a person, beside the output."""
    print(f"ccr: {printing.shown(text)}", file=sys.stderr)


def warn_of_expiry(id_: str, expires: str | None) -> None:
    """On standard error, two weeks before and after."""
    if not expires:
        return
    when = datetime.fromisoformat(expires)
    if when - datetime.now(UTC) < SOON:
        note(
            f"warning: the credential {id_!r} expires at {printing.moment(expires)}: "
            f"`ccr credential change {id_} --expires 90d` lets it live longer"
        )


def fail(error: CliError, output: str = Output.TABLE) -> typer.Exit:
    """Say it in one line, or as the problem itself; raise what is returned."""
    if output != Output.TABLE:
        print(json.dumps(error.problem), file=sys.stderr)
    else:
        note(error.message)
    return typer.Exit(error.exit_code)


def _with_session(
    function: Callable[Concatenate[Session, P], None], outputs: type[StrEnum]
) -> Callable[..., None]:
    """The same with `output` and `profile` in place of the session: typer reads the signature."""
    signature = inspect.signature(function, eval_str=True)
    own = list(signature.parameters.values())[1:]
    parameters = [
        *own,
        _keyword("output", outputs("table"), Annotated[outputs, _OUTPUT]),
        _keyword("profile", "", Annotated[str, _PROFILE]),
    ]

    @functools.wraps(function)
    def called(*args: Any, output: StrEnum, profile: str, **options: Any) -> None:
        try:
            function(Session(output, profile), *args, **options)
        except CliError as error:
            raise fail(error, output) from error

    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    return called


def _keyword(name: str, default: object, annotation: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
