"""Writes what the `ccr` commands of docs/cost.md print below them; lint has `--check`.

A block of `sh` with one command that asks no registry is followed by the block of what it prints.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from typer.testing import CliRunner

from ccr.cli.application import app
from ccr.generated import kept

PATH: Final = Path(__file__).parents[1] / "docs" / "cost.md"
_EXAMPLE: Final = re.compile(
    r"(?P<asked>```sh\nccr (?P<command>cost[^\n]*(?:\\\n[^\n]*)*)\n```\n\n```\n).*?```", re.DOTALL
)


def render(page: str) -> str:
    return _EXAMPLE.sub(lambda found: f"{found['asked']}{printed(found['command'])}```", page)


def printed(command: str) -> str:
    """On standard output. Raises RuntimeError where the command fails."""
    ended = CliRunner().invoke(app, shlex.split(command.replace("\\\n", " ")), prog_name="ccr")
    if ended.exit_code:
        raise RuntimeError(f"ccr {command}: {ended.output}")
    return str(ended.stdout)


def main(arguments: Sequence[str]) -> int:
    made = {PATH: render(PATH.read_text())}
    return kept(made, arguments, "docs/cost.md is not what `ccr cost` prints: make reference")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
