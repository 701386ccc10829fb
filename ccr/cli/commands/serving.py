"""`ccr run`, `ccr gateway` and `ccr capability-key`: what serves, in this process."""

from __future__ import annotations

from typing import Annotated

import typer

from ccr.cli.exits import CliError
from ccr.cli.session import fail


def run() -> None:
    """Serve a registry from this machine, until stopped."""
    try:
        from ccr import local  # noqa: PLC0415 - the server and all it imports, for this command alone
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    raise typer.Exit(local.main())


def gateway(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = 5001,
) -> None:
    """Serve uploads alone (`/u/*`), for a registry that runs elsewhere; settings are in the environment."""
    try:
        from ccr import gateway as serving  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    raise typer.Exit(serving.main(host, port))


def capability_key() -> None:
    """Print the CCR_CAPABILITY_KEY of a gateway, derived from CCR_TOKEN_KEY of the environment."""
    try:
        from ccr import gateway as serving  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    raise typer.Exit(serving.print_capability_keys())


def _missing(error: ModuleNotFoundError) -> typer.Exit:
    message = f"serving takes {error.name}, which is not installed: `make run` in its sources"
    return fail(CliError(message))
