"""Compiles what is packaged by the Python of the runtime, so that no start has to."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from infra.packaging.wheels import RUNTIME, PackagingError

VERSION: Final = ".".join(map(str, RUNTIME))
# Where Lambda unpacks it: what tracebacks name.
TASK: Final = "/var/task"


def interpreter() -> str:
    """`CCR_PACKAGE_PYTHON`, the one on the path, or one of pyenv's. Raises PackagingError."""
    for candidate in _candidates():
        done = subprocess.run(  # noqa: S603 - asked which version it is
            [candidate, "-c", "import sys; print(*sys.version_info[:2], sep='.')"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0 and done.stdout.strip() == VERSION:
            return candidate
    raise PackagingError(
        f"Python {VERSION} compiles the package, and none is here: install it (pyenv install {VERSION}, "
        f"uv python install {VERSION}), or name it in CCR_PACKAGE_PYTHON"
    )


def _candidates() -> Iterator[str]:
    named = os.environ.get("CCR_PACKAGE_PYTHON")
    if named:
        yield named
        return
    found = shutil.which(f"python{VERSION}")
    if found:
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for path in sorted(pyenv.glob(f"{VERSION}.*/bin/python")):
        yield str(path)


def compile_all(python: str, folder: Path) -> None:
    """Never compared with the source again: a zip gives all files one time. Raises PackagingError."""
    # One job and one seed: marshal writes what it has seen in the order in which it sees it.
    command = [
        *(python, "-I", "-m", "compileall", "-q", "-j1", "--invalidation-mode", "unchecked-hash"),
        *("-s", str(folder), "-p", TASK, str(folder)),
    ]
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)  # noqa: S603
    if done.returncode:
        raise PackagingError(f"what is packaged does not compile:\n{(done.stdout + done.stderr).strip()}")
