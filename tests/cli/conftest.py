"""One registry for all tests here, and names that no other test uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.storage_proxy import StorageProxy, proxy_of_storage
from tests.cli.terminal import Terminal
from tests.support.client import Client
from tests.support.process import RegistryProcess, running_registry


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """Its own: tests of wrong passwords lock an address out."""
    environ = {"CCR_LOOPBACK_ISSUERS": "on"}
    with running_registry(tmp_path_factory.mktemp("cli"), environ=environ) as registry:
        yield registry


@pytest.fixture
def stranger(served: RegistryProcess, tmp_path: Path) -> Terminal:
    """Somebody who has not logged in."""
    return Terminal(tmp_path, served)


@pytest.fixture
def terminal(stranger: Terminal) -> Terminal:
    """The administrator, logged in."""
    stranger.log_in()
    return stranger


@pytest.fixture
def fresh() -> Callable[[str], str]:
    """A name that nobody has taken."""
    return lambda what: f"{what}-{os.urandom(4).hex()}"


@pytest.fixture
def project(terminal: Terminal, fresh: Callable[[str], str]) -> str:
    name = fresh("shop")
    terminal.ccr("project", "create", name)
    return name


@pytest.fixture
def dev(terminal: Terminal, project: str, fresh: Callable[[str], str]) -> str:
    """A registry in `project`."""
    name = fresh("dev")
    terminal.ccr("registry", "create", name, "--project", project)
    return name


@pytest.fixture
def prod(terminal: Terminal, project: str, fresh: Callable[[str], str]) -> str:
    """Another one."""
    name = fresh("prod")
    terminal.ccr("registry", "create", name, "--project", project)
    return name


@pytest.fixture
def client(served: RegistryProcess) -> Client:
    """The administrator as a registry client."""
    return Client(served.url, served.username, served.password)


@pytest.fixture
def storage(terminal: Terminal, served: RegistryProcess, client: Client, dev: str) -> Iterator[StorageProxy]:
    """The terminal's way to the registry and to S3."""
    own = client.about(f"{dev}/probe")
    digest = own.push_blob(b"where is S3?")
    location = own.get(f"blobs/{digest}", allow_redirects=False).headers["Location"]
    place = "/".join(location.split("/")[:3])
    with proxy_of_storage(served.url, place) as proxy:
        terminal.environ |= {"CCR_URL": proxy.url, "CCR_USERNAME": "admin", "CCR_PASSWORD": served.password}
        yield proxy
