"""Container clients that run for the whole session, an image nobody has seen, and a place to push it to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.commands import Unavailable
from tests.clients.drivers import DRIVERS, Driver
from tests.clients.layout import TAG, Layout, write_image
from tests.conftest import Registries
from tests.support.client import Client
from tests.support.process import RegistryProcess

# One is more than a part of 8 MiB, so that its upload takes several.
LAYER_SIZES = (9 * 1024 * 1024, 1024 * 1024, 20_000, 100)

# For what has no blob in it that could go two ways.
one_way = pytest.mark.parametrize("target", ["redirect"], indirect=True)


class Drivers:
    """Starts each on first use."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._ready: dict[str, Driver | str] = {}

    def get(self, name: str) -> Driver:
        if name not in self._ready:
            place = self._folder / name
            place.mkdir()
            try:
                self._ready[name] = self._stack.enter_context(DRIVERS[name](place))
            except Unavailable as error:
                self._ready[name] = str(error)
        ready = self._ready[name]
        if isinstance(ready, str):
            pytest.skip(ready)
        return ready


@dataclass(frozen=True)
class Target:
    """A repository of its own on a registry."""

    registry: RegistryProcess
    repository: str
    host: str

    @property
    def reference(self) -> str:
        return f"{self.host}/{self.repository}:{TAG}"

    def served_digest(self) -> str | None:
        """What the registry says of the tag; None when it has not got it."""
        registry = self.registry
        client = Client(f"http://{self.host}", registry.username, registry.password, self.repository)
        answer = client.head(f"manifests/{TAG}")
        return answer.headers["Docker-Content-Digest"] if answer.status_code == 200 else None


def new_target(registry: RegistryProcess, host: str = "") -> Target:
    return Target(registry, f"dev/{os.urandom(6).hex()}", host or registry.host)


@pytest.fixture(scope="session")
def drivers() -> Iterator[Drivers]:
    # Not in pytest's own folder, which outlives three sessions: these stores are large.
    # Their sockets have names of at most 107 bytes, so the folder's is short.
    with (
        tempfile.TemporaryDirectory(prefix="ccr-", ignore_cleanup_errors=True) as folder,
        ExitStack() as stack,
    ):
        yield Drivers(Path(folder), stack)


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest, drivers: Drivers) -> Driver:
    return drivers.get(request.param)


@pytest.fixture(params=["redirect", "passthrough"])
def target(request: pytest.FixtureRequest, registries: Registries) -> Target:
    return new_target(registries.get(request.param))


@pytest.fixture
def image(tmp_path: Path) -> Layout:
    return write_image(tmp_path / "image", LAYER_SIZES)
