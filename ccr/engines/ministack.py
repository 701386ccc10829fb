"""DynamoDB by ministack with a journal, in a virtual environment of its own: it pins its botocore."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from ccr.engines import journaled_ministack
from ccr.engines.process import Engine, EngineError, free_ports, is_listening, start

ROOT: Final = Path(__file__).parents[2]
REQUIREMENTS: Final = ROOT / "requirements-engines.txt"
VENV: Final = ROOT / ".venv-engines"
TABLES: Final = "tables"


def start_ministack(folder: Path, access_key: str, secret_key: str) -> Engine:
    """It takes requests signed with these keys. Raises EngineError."""
    python = prepare_ministack()
    (port,) = free_ports(1)
    tables = folder / TABLES
    engine = start(
        "ministack",
        [str(python), "-I", journaled_ministack.__file__, str(port), str(tables)],
        endpoint=f"http://127.0.0.1:{port}",
        folder=folder,
        environ={
            "BIND_HOST": "127.0.0.1",
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
        },
    )
    engine.wait_until(lambda: is_listening(port))
    return engine


def prepare_ministack() -> Path:
    """Its Python, installed on first use and again when the requirements change. Raises EngineError."""
    python, stamp = VENV / "bin" / "python", VENV / "requirements.sha256"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    try:
        _run(sys.executable, "-m", "venv", "--clear", str(VENV))
        _run(
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            str(REQUIREMENTS),
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise EngineError(f"ministack cannot be installed into {VENV}: {error}") from error
    temporary = stamp.with_suffix(f".{os.getpid()}")
    temporary.write_text(wanted)
    temporary.replace(stamp)
    return python


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
