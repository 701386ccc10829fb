"""The registries that are measured, each started as its users start it."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ccr.engines.process import free_ports
from tests.support.process import descendants, running_registry

MIB = 1024 * 1024


class AbsentError(Exception):
    """This registry is not on this machine; the message says how to get it."""


@dataclass
class Subject:
    """A registry that listens at `url`; `login` is None where it asks for none."""

    name: str
    url: str
    pid: int
    login: tuple[str, str] | None

    def peak_memory(self) -> str:
        """Of the server process, and of the engines it started."""
        own = peak_memory(self.pid)
        engines = sum(peak_memory(pid) for pid in descendants(self.pid))
        shown = f"{own // MIB} MiB"
        return f"{shown} + {engines // MIB} MiB engines" if engines else shown


def peak_memory(pid: int) -> int:
    """The most resident memory a process has had, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


@contextmanager
def ccr(folder: Path, engines: str) -> Iterator[Subject]:
    with running_registry(folder, engines=engines) as running:
        name = f"ccr, {engines}"
        yield Subject(name, running.url, running.pid, (running.username, running.password))


@contextmanager
def docker_registry(folder: Path) -> Iterator[Subject]:
    """Debian's package with its files on disk and no login. Raises AbsentError."""
    program = shutil.which("docker-registry")
    if program is None:
        raise AbsentError("docker-registry is not installed: apt-get install docker-registry")
    (port,) = free_ports(1)
    folder.mkdir(parents=True)
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\n"
        "log: {level: error, accesslog: {disabled: true}}\n"
        "storage:\n"
        f"  filesystem: {{rootdirectory: {folder / 'files'}}}\n"
        "  cache: {blobdescriptor: inmemory}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log)
    try:
        await_listening(port)
        yield Subject("docker-registry", f"http://127.0.0.1:{port}", process.pid, None)
    finally:
        process.terminate()
        process.wait(30)


def await_listening(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"docker-registry does not listen on {port}")
