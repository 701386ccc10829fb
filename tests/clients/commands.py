"""Commands of the clients: run to their end, their output kept whole."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

TIMEOUT_SECONDS: Final = 1800


class ClientError(Exception):
    """A client said no; the message is all that it printed."""


class Unavailable(Exception):  # noqa: N818 - not an error: the machine lacks the client
    """A client is missing or cannot run here; the message says why."""


def run(command: Sequence[str], environ: Mapping[str, str], given: str = "") -> str:
    """What it printed on both streams. Raises ClientError."""
    done = subprocess.run(
        command,
        env=environ,
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise ClientError(f"{' '.join(command[:3])} ... ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def told(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """What it printed on its standard output alone, for programs to read. Raises ClientError."""
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    if done.returncode:
        raise ClientError(done.stdout + done.stderr)
    return done.stdout.strip()
