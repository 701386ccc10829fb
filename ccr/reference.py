"""Writes docs/reference.md: the endpoints, operations, errors and settings as the code has them.

python -m ccr.reference [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from ccr import local
from ccr.cli import environment
from ccr.generated import kept
from chalicelib import config
from chalicelib.endpoints.routes import ENDPOINTS, Endpoint
from chalicelib.management import api as management
from chalicelib.management.api import PREFIX
from chalicelib.spec.errors import ErrorCode

PATH: Final = Path(__file__).parents[1] / "docs" / "reference.md"
_MANAGEMENT: Final = f"""## Management API

Below `{PREFIX}`, which `ccr` speaks: Basic with the id and secret of a credential, JSON, pages, problem
documents of RFC 9457. `{PREFIX}/openapi.json` says all of it and takes no login. `{{repository}}` has its
slashes encoded (`%2F`).

"""


def render() -> str:
    settings = map(_setting, (*local.VARIABLES, *config.PROCESS_VARIABLES, *config.VARIABLES))
    gateway = map(_setting, (*config.GATEWAY_VARIABLES, *config.PROCESS_VARIABLES))
    errors = [(f"`{code.name}`", str(code.status), code.message) for code in ErrorCode]
    sections = (
        "# Reference\n\nMade from the code by `make reference`; do not edit.",
        "## Endpoints\n\n`<upload>` is `/v2/<name>`, or `/u/<capability>/v2/<name>`, which takes no other "
        "credential.\n\n" + _table(("id", "methods", "path", "needs"), map(_endpoint, ENDPOINTS)),
        "## Errors\n\nThe status is the usual one; 409, 412, 413 and 416 are told apart by it alone.\n\n"
        + _table(("code", "status", "message"), errors),
        _MANAGEMENT + _table(("path", "methods"), _operations()),
        "## Settings\n\nEnvironment variables; the first ones are those of `make run` alone.\n\n"
        + _table(("variable", "default", "meaning"), settings),
        "## Settings of the command line\n\nOptions go before them, and they before the profile.\n\n"
        + _table(("variable", "default", "meaning"), map(_setting, environment.VARIABLES)),
        "## Settings of an upload gateway\n\nBeside those of the bucket, the tables and the region.\n\n"
        + _table(("variable", "default", "meaning"), gateway),
    )
    return "\n\n".join(sections) + "\n"


def _endpoint(endpoint: Endpoint) -> tuple[str, ...]:
    needs = {None: "nothing", "": "a login"}.get(endpoint.action, f"`{endpoint.action}`")
    return endpoint.id, " ".join(endpoint.methods), f"`{endpoint.path}`", needs


def _operations() -> Iterator[tuple[str, ...]]:
    for path, operations in sorted(management.document()["paths"].items()):
        yield f"`{path.removeprefix(PREFIX)}`", " ".join(sorted(method.upper() for method in operations))


def _setting(variable: config.Variable | environment.Variable) -> tuple[str, ...]:
    return f"`{variable.name}`", variable.default, variable.meaning


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(_lines(headings, rows))


def _lines(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def main(arguments: Sequence[str]) -> int:
    return kept({PATH: render()}, arguments, "docs/reference.md is not what the code says: make reference")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
