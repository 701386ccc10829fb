"""A registry in processes of its own, started as a user starts it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PASSWORD = "a-password-of-the-tests"
START_SECONDS = 180


class StartError(Exception):
    """The registry did not start; the message is what it said."""


@dataclass
class RegistryProcess:
    """A running registry; `host` is its address without a scheme."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    username: str = "admin"
    password: str = PASSWORD

    @property
    def host(self) -> str:
        return self.url.partition("//")[2]

    @property
    def pid(self) -> int:
        return self.process.pid

    def peak_memory(self) -> int:
        """The most resident memory the server process has had, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    def stop(self) -> None:
        """As Ctrl-C does."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    def kill(self) -> None:
        """`kill -9` of the registry and of every engine it started."""
        victims = [self.pid, *descendants(self.pid)]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(60)
        for pid in victims:
            _await_end(pid)


@contextmanager
def running_registry(
    data: Path, *, engines: str = "embedded", environ: Mapping[str, str] | None = None
) -> Iterator[RegistryProcess]:
    """Raises StartError with what the registry printed."""
    data.mkdir(parents=True, exist_ok=True)
    log = data / "registry.log"
    settings = {
        "CCR_PORT": "0",
        "CCR_DATA": str(data),
        "CCR_ADMIN_PASSWORD": PASSWORD,
        "CCR_ENGINES": engines,
        "CCR_DEBUG_BACKEND_CALLS": "on",
        **(environ or {}),
    }
    begin = log.stat().st_size if log.exists() else 0
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ccr", "run"],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    registry = RegistryProcess("", process, log)
    try:
        registry.url = _await_ready(process, log, begin)
        yield registry
    finally:
        registry.stop()


def _await_ready(process: subprocess.Popen[bytes], log: Path, begin: int) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        said = log.read_bytes()[begin:].decode(errors="replace")
        found = re.search(r"^ready (\S+)$", said, re.MULTILINE)
        if found is not None:
            return found[1]
        if process.poll() is not None:
            raise StartError(said.strip())
        time.sleep(0.05)
    raise StartError(f"not ready after {START_SECONDS} s: {log.read_text()}")


def descendants(pid: int) -> list[int]:
    """Children, and theirs, from /proc."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return children + [one for child in children for one in descendants(child)]


def _await_end(pid: int) -> None:
    """Until it is gone or waits only to be reaped."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.02)
