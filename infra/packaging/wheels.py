"""The wheels of `lock.txt`, for Lambda's processors, checked by their hashes and unpacked."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

RUNTIME: Final = (3, 13)
LOCK: Final = Path(__file__).with_name("lock.txt")
# The runtime is Amazon Linux 2023, with glibc 2.34.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
_GLIBC: Final = ("manylinux2014", "manylinux_2_28", "manylinux_2_34")
MACHINES: Final = {"arm64": "aarch64", "x86_64": "x86_64"}


class PackagingError(Exception):
    """What keeps the package from being made, and what to do about it."""


def download(machine: str, folder: Path) -> list[Path]:
    """The wheels of one of `MACHINES`, in `folder`. Raises PackagingError."""
    folder.mkdir(parents=True, exist_ok=True)
    platforms = [f"--platform={glibc}_{MACHINES[machine]}" for glibc in _GLIBC]
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--only-binary=:all:", "--no-deps", "--require-hashes", f"--dest={folder}"),
        *("--implementation=cp", f"--python-version={'.'.join(map(str, RUNTIME))}"),
        *platforms,
        *("--requirement", str(LOCK)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - pip itself
    if done.returncode:
        raise PackagingError(f"pip could not download what {LOCK.name} names:\n{done.stderr.strip()}")
    return sorted(folder.glob("*.whl"))


def unpack(wheels: list[Path], folder: Path) -> None:
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
