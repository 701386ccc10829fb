"""Every test here runs in each way of running a registry, with a client and a repository of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
import requests

from tests.conformance.edge import Edge
from tests.conftest import WAYS, Registries
from tests.support.client import Client
from tests.support.process import RegistryProcess


@pytest.fixture(scope="session", params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def registry(way: str, registries: Registries) -> RegistryProcess:
    return registries.get(way)


@pytest.fixture(scope="session")
def edge(way: str) -> Edge | None:
    """Only a function URL needs one: without it no client finds the realm (`test_function_url.py`)."""
    return Edge() if way == "function-url" else None


@pytest.fixture(scope="session")
def agent(way: str) -> dict[str, str]:
    """Behind the edge as one of those whose uploads begin at S3 itself."""
    return {"User-Agent": "containerd/2.3.0"} if way == "aws" else {}


@pytest.fixture(scope="session")
def session(
    registry: RegistryProcess, edge: Edge | None, agent: dict[str, str]
) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers.update(agent)
        if edge is not None:
            session.mount(registry.url, edge)
        yield session


@pytest.fixture
def client(registry: RegistryProcess, session: requests.Session) -> Client:
    name = f"test/{os.urandom(6).hex()}"
    return Client(registry.url, registry.username, registry.password, name, session)


@pytest.fixture
def other(client: Client) -> Client:
    """The same caller, about another repository."""
    return replace(client, repository=f"{client.repository}-other", tokens={})


@pytest.fixture
def crowd(client: Client, edge: Edge | None, agent: dict[str, str]) -> Iterator[list[Client]]:
    """The same caller eight times, on connections of their own, already logged in."""
    with ExitStack() as stack:
        members = []
        for _ in range(8):
            session = stack.enter_context(requests.Session())
            session.headers.update(agent)
            if edge is not None:
                session.mount(client.url, edge)
            members.append(replace(client, session=session, tokens={}))
            members[-1].get("tags/list")
        yield members


@pytest.fixture
def blob_status(way: str) -> int:
    """What the registry itself answers for a blob: it, or where S3 has it."""
    return 200 if way == "passthrough" else 307
