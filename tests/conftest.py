"""Registries that run for the whole session, one for each way of running."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from moto.core.botocore_stubber import BotocoreStubber

from chalicelib.identity.secret import is_generated
from tests.engines.backends import Engines
from tests.support.client import Client
from tests.support.process import RegistryProcess, StartError, running_registry

# How long an example takes is the machine's business.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
# Some machines keep no bytecode: then every process that tests start would compile all again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

WAYS: dict[str, tuple[str, dict[str, str]]] = {
    "redirect": ("embedded", {}),
    "passthrough": ("embedded", {"CCR_BLOB_REDIRECT": "off"}),
    "real": ("real", {}),
    "function-url": ("embedded", {"CCR_EMULATE": "function-url"}),
    "aws": ("embedded", {"CCR_EMULATE": "aws", "CCR_UPLOADS": "function,edge"}),
}


def pytest_make_parametrize_id(val: object) -> str | None:
    """A secret is another one in every process, and the names of tests must not be."""
    return "a-secret" if isinstance(val, str) and is_generated(val) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.setup = _on_one_chunk(item.setup)  # type: ignore[method-assign]
        item.runtest = _on_one_chunk(item.runtest)  # type: ignore[method-assign]


def _on_one_chunk(act: Callable[[], None]) -> Callable[[], None]:
    """The same, from a frame so large that all frames above it are in its own piece of the stack.

    CPython maps a piece of 16 KB when a call needs it, and unmaps it when that call returns. Calls through
    botocore into moto crossed such an edge so often that it was a fifth of the time of these tests.
    """

    def call() -> None:
        act()

    # In words of 8 bytes: a piece has the next power of two, and so about as much is left of it.
    code = call.__code__.replace(co_stacksize=70_000)
    return FunctionType(code, call.__globals__, closure=call.__closure__)


class Registries:
    """Starts each on first use."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._running: dict[str, RegistryProcess | str] = {}

    def get(self, way: str) -> RegistryProcess:
        if way not in self._running:
            engines, environ = WAYS[way]
            try:
                started = running_registry(self._folder / way, engines=engines, environ=environ)
                self._running[way] = self._stack.enter_context(started)
            except StartError as error:
                if engines == "embedded":
                    raise
                self._running[way] = str(error)
        running = self._running[way]
        if isinstance(running, str):
            pytest.skip(f"the real engines do not start here: {running}")
        return running

    def kill(self) -> None:
        """Nobody reads what they hold, and to stop in peace takes each of them seconds."""
        for running in self._running.values():
            if isinstance(running, RegistryProcess):
                running.kill()


@pytest.fixture(scope="session")
def registries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    with ExitStack() as stack:
        registries = Registries(tmp_path_factory.mktemp("registries"), stack)
        yield registries
        registries.kill()


@pytest.fixture(scope="session", autouse=True)
def _calls_of_moto_are_atomic() -> Iterator[None]:
    """As DynamoDB's are, and moto's in threads are not; between calls anything may come."""
    answer, one_at_a_time = BotocoreStubber.process_request, threading.Lock()

    def process_request(stubber: BotocoreStubber, request: Any) -> Any:
        with one_at_a_time:
            return answer(stubber, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BotocoreStubber, "process_request", process_request)
        yield


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """S3 and DynamoDB without a registry: each starts when first asked for, and once."""
    with ExitStack() as stack:
        yield Engines(tmp_path_factory.mktemp("engines"), stack)


@pytest.fixture
def registry(registries: Registries) -> RegistryProcess:
    """The default way: embedded engines, blobs by redirect."""
    return registries.get("redirect")


@pytest.fixture
def client(registry: RegistryProcess) -> Client:
    """A client with a repository of its own."""
    return Client(registry.url, registry.username, registry.password, f"test/{os.urandom(6).hex()}")
