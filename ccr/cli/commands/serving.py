"""`ccr run`: the whole registry on this machine."""

from __future__ import annotations

import typer

from ccr.cli.exits import CliError
from ccr.cli.session import fail


def run() -> None:
    """Serve a registry from this machine, until stopped."""
    try:
        from ccr import local  # noqa: PLC0415 - the server and all it imports, for this command alone
    except ModuleNotFoundError as error:
        message = f"serving a registry takes {error.name}, which is not installed: `make run` in its sources"
        raise fail(CliError(message)) from error
    raise typer.Exit(local.main())
