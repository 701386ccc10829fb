"""A Docker engine, by its Unix socket: one image out as a tar, or in."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote

from ccr.cli.exits import CliError, Exit
from ccr.cli.transfer.archives import copied
from ccr.cli.transfer.content import DamagedError, Region
from ccr.cli.transfer.reading import Moved, Reading

_SOCKET: Final = "/var/run/docker.sock"
# Docker reads a whole image before it answers.
_SECONDS: Final = 600


def save(name: str, reading: Reading) -> IO[bytes]:
    """What `docker save` gives, in a spool. Raises CliError."""
    with _talking(reading.environ) as connection:
        connection.request("GET", f"/images/{quote(name, safe='')}/get")
        answer = connection.getresponse()
        if answer.status != 200:
            raise _refusal(answer, name)
        return copied(_Whole(answer), f"docker:{name}", reading)  # type: ignore[arg-type]


def load(archive: Region, environ: Mapping[str, str], moved: Moved) -> None:
    """As `docker load` does. Raises CliError."""
    with _talking(environ) as connection:
        connection.putrequest("POST", "/images/load?quiet=1")
        connection.putheader("Content-Type", "application/x-tar")
        connection.putheader("Content-Length", str(archive.size))
        connection.endheaders()
        for block in archive.blocks():
            connection.send(block)
            moved(len(block))
        answer = connection.getresponse()
        if answer.status != 200:
            raise _refusal(answer, "the image")
        for line in answer.read().splitlines():
            error = _document(line).get("error")
            if error:
                raise CliError(f"Docker does not load the image: {error}")


class _Whole:
    """A body that raises where its connection ends before it does."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self._answer = answer

    def read(self, size: int) -> bytes:
        try:
            return self._answer.read(size)
        except http.client.IncompleteRead as error:
            raise DamagedError("Docker's connection broke within the image") from error


class _Connection(http.client.HTTPConnection):
    def __init__(self, place: str) -> None:
        super().__init__("docker", timeout=_SECONDS, blocksize=1024 * 1024)
        self._place = place

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._place)


@contextmanager
def _talking(environ: Mapping[str, str]) -> Iterator[_Connection]:
    place = socket_of(environ)
    connection = _Connection(place)
    try:
        yield connection
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else "it does not answer"
        raise CliError(
            f"cannot reach a Docker engine at {place}: {why}; DOCKER_HOST=unix://… names another",
            Exit.UNREACHABLE,
        ) from error
    except http.client.HTTPException as error:
        raise CliError(f"what answers at {place} is no Docker engine", Exit.UNREACHABLE) from error
    finally:
        connection.close()


def socket_of(environ: Mapping[str, str]) -> str:
    """Raises CliError for a host that is no socket."""
    host = environ.get("DOCKER_HOST", "")
    if not host:
        own = Path(environ.get("HOME", "/")) / ".docker" / "run" / "docker.sock"
        return _SOCKET if Path(_SOCKET).exists() or not own.exists() else str(own)
    if not host.startswith("unix://"):
        raise CliError(
            f"DOCKER_HOST is {host!r}, and only unix:// is spoken here: `docker save` writes a file to push",
            Exit.USAGE,
        )
    return host.removeprefix("unix://")


def _refusal(answer: http.client.HTTPResponse, name: str) -> CliError:
    message = _document(answer.read()).get("message") or f"it answers {answer.status}"
    code = Exit.NOT_FOUND if answer.status == 404 else Exit.FAILURE
    return CliError(f"Docker does not give {name}: {message}", code)


def _document(raw: bytes) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
