"""An upload gateway in a process of its own, started as its container starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.support.process import ROOT, START_SECONDS, StartError


@dataclass
class GatewayProcess:
    """A running gateway; `url` has no slash at its end."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid


@contextmanager
def running_gateway(log: Path, environ: Mapping[str, str]) -> Iterator[GatewayProcess]:
    """`environ` is all that it is told. Raises StartError with what it printed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ccr", "gateway", "--port", str(port)],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    gateway = GatewayProcess(f"http://127.0.0.1:{port}", process, log)
    try:
        _await_alive(gateway)
        yield gateway
    finally:
        process.terminate()
        process.wait(60)


def _await_alive(gateway: GatewayProcess) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            requests.get(f"{gateway.url}/healthz", timeout=5).raise_for_status()
        except requests.RequestException:
            if gateway.process.poll() is not None:
                raise StartError(gateway.log.read_text()) from None
            time.sleep(0.05)
        else:
            return
    raise StartError(f"not alive after {START_SECONDS} s: {gateway.log.read_text()}")
