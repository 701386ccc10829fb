"""`ccr` as a person or a script calls it, in a home of its own and with no settings of this machine."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from ccr.cli.application import app
from tests.support.process import ROOT, RegistryProcess


@dataclass(frozen=True)
class Ended:
    """What a command printed, and its exit code."""

    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    def table(self) -> list[list[str]]:
        """The cells of a plain table, without its headings."""
        return [line.split("  ") for line in self.out.splitlines()[1:]]


@dataclass
class Terminal:
    """A home with its profiles. `environ` is all that commands see of `CCR_`."""

    home: Path
    registry: RegistryProcess
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.home / ".config" / "ccr" / "config.json"

    def stored(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.config.read_text())
        return document

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CCR_", "XDG_"))}
        return {
            **kept,
            "HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "PATH": f"{self.home / 'bin'}:{kept['PATH']}",
            **self.environ,
        }

    def try_ccr(self, *arguments: str, text: str = "") -> Ended:
        """In this process, whatever comes of it."""
        hidden: dict[str, str | None] = dict.fromkeys(os.environ)
        runner = CliRunner(env={**hidden, **self.environment(), "COLUMNS": "200"})
        result = runner.invoke(app, list(arguments), input=text)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    def ccr(self, *arguments: str, text: str = "") -> Ended:
        """What has to work."""
        ended = self.try_ccr(*arguments, text=text)
        assert ended.exit_code == 0, (arguments, ended)
        return ended

    def ask(self, *arguments: str, text: str = "") -> Any:
        """What has to work, as JSON."""
        return self.ccr(*arguments, "--output", "json", text=text).document

    def run(self, *command: str, text: str = "", **more: str) -> Ended:
        """A process; `more` goes to its environment."""
        ended = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            env={**self.environment(), **more},
            cwd=self.home,
            timeout=60,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def python(self, module: str, *arguments: str, text: str = "", **more: str) -> Ended:
        return self.run(sys.executable, "-m", module, *arguments, text=text, **more)

    def on_screen(self, *arguments: str, typed: str = "") -> str:
        """What a process prints that thinks a person is watching, and has to work."""
        ours, theirs = pty.openpty()
        environ = {**self.environment(), "TERM": "xterm-256color", "COLUMNS": "160"}
        command = [sys.executable, "-m", "ccr", *arguments]
        process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environ,
            start_new_session=True,
        )
        os.close(theirs)
        said = b""
        try:
            while some := os.read(ours, 65536):
                said += some
                if typed and said.endswith(b": "):
                    os.write(ours, f"{typed}\n".encode())
        except OSError:  # the other side is closed: that is how a terminal ends
            pass
        finally:
            os.close(ours)
        assert process.wait(60) == 0, said
        return said.decode()

    def install(self, name: str, script: str) -> Path:
        """A command in the first folder of PATH."""
        place = self.home / "bin" / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(script)
        place.chmod(place.stat().st_mode | stat.S_IXUSR)
        return place

    def install_module(self, name: str, module: str) -> None:
        """What pip makes of an entry point."""
        self.install(name, f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')

    def log_in(self, username: str = "", password: str = "", profile: str = "") -> None:
        registry = self.registry
        named = ("--profile", profile) if profile else ()
        self.ccr(
            "login",
            registry.url,
            "-u",
            username or registry.username,
            "--password-stdin",
            *named,
            text=password or registry.password,
        )


def mode(place: Path) -> int:
    return stat.S_IMODE(place.stat().st_mode)
