"""A child process that never outlives its parent, and free ports for it to listen on."""

from __future__ import annotations

import atexit
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STOP_SECONDS: Final = 20
START_SECONDS: Final = 60
# Below those that systems give to connections.
_PORTS: Final = range(20_000, 32_768)
_PR_SET_PDEATHSIG: Final = 1
_KEPT_BACK: Final = ("CCR_", "AWS_", "WEED_")


class EngineError(Exception):
    """An engine that cannot be had or does not start; the message says what to do."""


@dataclass(slots=True)
class Engine:
    """One engine, listening at `endpoint`; what it prints is in `log`."""

    name: str
    endpoint: str
    log: Path
    process: subprocess.Popen[bytes]

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Raises EngineError when it exits, or is not ready within `START_SECONDS`."""
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise EngineError(f"{self.name} does not start; the end of {self.log}:\n{self._last_lines()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ask it to end, and make it when it does not."""
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _last_lines(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


def start(
    name: str,
    command: Sequence[str],
    *,
    endpoint: str,
    folder: Path,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Engine:
    """Run `command` with its output in `folder`, which only this user can read from then on."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    log = folder / f"{name}.log"
    log.touch(mode=0o600)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**_inherited(), **(environ or {})},
            cwd=cwd,
            umask=0o077,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - one syscall
        )
    return Engine(name, endpoint, log, process)


def _inherited() -> dict[str, str]:
    """Our own environment without what is of the registry, of AWS, or would set up the engine."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_KEPT_BACK)}


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now, and which no other registry is given while this process lives.

    An engine binds its ports a second or more after they were chosen. Raises EngineError.
    """
    ports: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if _reserve(port):
            ports.append(port)
        if len(ports) == count:
            return ports
    raise EngineError(f"there are no {count} free ports from {_PORTS.start} to {_PORTS.stop - 1}")


def _reserve(port: int) -> bool:
    """A UDP socket of the same number is the sign: engines need TCP alone, and it goes with the process."""
    sign = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sign.bind(("127.0.0.1", port))
        with socket.socket() as one:
            one.bind(("127.0.0.1", port))
    except OSError:
        sign.close()
        return False
    atexit.register(sign.close)
    return True


def is_listening(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0


def die_with_parent() -> None:
    """Linux kills the child when the parent dies, even of `kill -9`; Ctrl-C reaches the parent alone."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpgid(0, 0)


_LIBC: Final = ctypes.CDLL(None)
