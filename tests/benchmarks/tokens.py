"""Tokens, refused logins and token checks a second, against one running registry process.

python -m tests.benchmarks.tokens [--quick] [--engines embedded|real]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from rich.console import Console
from rich.table import Table

from tests.benchmarks.requests_per_second import Load, repeated
from tests.benchmarks.subjects import Subject, ccr

CONNECTIONS = (1, 8)
SECONDS = 5.0
_CALLS = "X-CCR-Backend-Calls"


@dataclass(frozen=True)
class Request:
    """What is sent again and again, and the one status that it must be answered with."""

    name: str
    url: str
    authorization: str
    wanted: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.benchmarks.tokens")
    parser.add_argument("--quick", action="store_true", help="a tenth of the seconds")
    parser.add_argument("--engines", choices=("embedded", "real"), default="embedded")
    options = parser.parse_args()
    seconds = SECONDS / 10 if options.quick else SECONDS
    console = Console(width=120)
    with (
        tempfile.TemporaryDirectory(prefix="ccr-bench-tokens-") as folder,
        ccr(Path(folder), options.engines) as subject,
    ):
        console.print(f"measuring {subject.name} ...")
        loads = uvloop.run(_measured(subject, seconds))
        _report(console, subject, loads)
    return 0


async def _measured(subject: Subject, seconds: float) -> list[Load]:
    async with _session() as session:
        robot = await _make_robot(session, subject)
        scope = "scope=repository:bench/app:pull,push"
        token_url, version_url = f"{subject.url}/token?{scope}", f"{subject.url}/v2/"
        admin = _basic(*(subject.login or ("", "")))
        bearer = f"Bearer {await _token(session, token_url, robot)}"
        good = [
            Request("GET /v2/, by token", version_url, bearer, 200),
            Request("GET /token, a robot's secret", token_url, robot, 200),
            Request("GET /token, a password", token_url, admin, 200),
        ]
        loads = [await _load(session, one, number, seconds) for one in good for number in CONNECTIONS]
        # The last, since it locks the address that all of this comes from.
        loads += [await _load_locked(session, token_url, number, seconds) for number in CONNECTIONS]
    return loads


@asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


async def _make_robot(session: aiohttp.ClientSession, subject: Subject) -> str:
    """In a registry of its own; what it signs in with."""
    headers = {"Authorization": _basic(*(subject.login or ("", "")))}

    async def create(path: str, document: dict[str, Any]) -> dict[str, Any]:
        async with session.post(f"{subject.url}/api/v1/{path}", json=document, headers=headers) as answer:
            body = await answer.read()
            if answer.status != 201:
                raise RuntimeError(f"POST {path}: {answer.status} {body[:300]!r}")
            made: dict[str, Any] = json.loads(body)
            return made

    await create("projects", {"name": "bench"})
    await create("registries", {"name": "bench", "project": "bench"})
    grants = [{"pattern": "bench/*", "actions": ["pull", "push"]}]
    robot = await create(
        "credentials", {"kind": "robot", "id": "bench-ci", "project": "bench", "grants": grants}
    )
    return _basic("bench-ci", robot["secret"])


async def _token(session: aiohttp.ClientSession, url: str, authorization: str) -> str:
    async with session.get(url, headers={"Authorization": authorization}) as answer:
        document = await answer.json()
        if answer.status != 200 or document["scope"] != "repository:bench/app:pull,push":
            raise RuntimeError(f"GET /token: {answer.status} {document}")
        return str(document["token"])


async def _load_locked(session: aiohttp.ClientSession, url: str, connections: int, seconds: float) -> Load:
    """Waits out each lock that is too short to measure in."""
    wanted = 2 * seconds + 10
    while (wait := await _failed(session, url)) < wanted:  # noqa: ASYNC110 - the registry sends no event
        await asyncio.sleep(wait)
    request = Request("GET /token, a locked address", url, _basic("nobody", "a guess"), 429)
    return await _load(session, request, connections, seconds)


async def _failed(session: aiohttp.ClientSession, url: str) -> float:
    """How long the address is locked once a name was tried that nobody has had."""
    headers = {"Authorization": _basic(f"nobody-{os.urandom(4).hex()}", "a guess")}
    async with session.get(url, headers=headers) as answer:
        await answer.read()
        return 0 if answer.status == 401 else float(answer.headers["Retry-After"])


async def _load(session: aiohttp.ClientSession, request: Request, connections: int, seconds: float) -> Load:
    calls = "none"
    headers = {"Authorization": request.authorization}

    async def once() -> None:
        nonlocal calls
        async with session.get(request.url, headers=headers) as answer:
            body = await answer.read()
            if answer.status != request.wanted:
                raise RuntimeError(f"{request.name}: {answer.status} {body[:300]!r}")
            calls = answer.headers.get(_CALLS, calls)

    rate, p50, p99 = await repeated(once, connections, seconds)
    return Load(request.name, connections, rate, p50, p99, calls)


def _basic(id_: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{id_}:{secret}".encode()).decode()


def _report(console: Console, subject: Subject, loads: list[Load]) -> None:
    table = Table(title=f"signing in, keep-alive, one process: {subject.name}")
    for heading in ("request", "connections", "requests/s", "p50 ms", "p99 ms", "backend calls"):
        table.add_column(heading, justify="left" if heading == "request" else "right")
    for load in loads:
        table.add_row(load.request, *load.cells())
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
