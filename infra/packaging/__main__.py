"""`python -m infra.packaging`: build/package.zip, its hash and its sizes."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
from pathlib import Path
from typing import Final

from infra.packaging.archive import unpacked_size, write_zip
from infra.packaging.bytecode import compile_all, interpreter
from infra.packaging.contents import ROOT, copy_ours, prune
from infra.packaging.wheels import MACHINES, PackagingError, download, unpack

BUILD: Final = ROOT / "build"
MEGABYTE: Final = 1_000_000
SHOWN: Final = 8


def build(machine: str, into: Path, wheels: Path) -> Path:
    """The package for one of `MACHINES`; leaves what it holds in `into`. Raises PackagingError."""
    python = interpreter()
    folder = into / machine
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    unpack(download(machine, wheels / machine), folder)
    prune(folder)
    copy_ours(folder)
    compile_all(python, folder)
    target = into / ("package.zip" if machine == "arm64" else f"package-{machine}.zip")
    write_zip(folder, target)
    edge = into / "edge"
    edge.mkdir(exist_ok=True)
    # Its handler is index.handler.
    shutil.copy(ROOT / "infra" / "edge" / "origin-response.js", edge / "index.js")
    write_zip(edge, into / "origin-response.zip")
    return target


def summary(target: Path, folder: Path) -> str:
    parts = {
        path.name: unpacked_size(path) if path.is_dir() else path.stat().st_size for path in folder.iterdir()
    }
    largest = sorted(parts.items(), key=lambda part: -part[1])[:SHOWN]
    return "\n".join(
        [
            f"{target}",
            f"  sha256    {hashlib.sha256(target.read_bytes()).hexdigest()}",
            f"  zip       {target.stat().st_size / MEGABYTE:6.1f} MB",
            f"  unzipped  {unpacked_size(folder) / MEGABYTE:6.1f} MB",
            *(f"    {size / MEGABYTE:6.1f} MB  {name}" for name, size in largest),
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.packaging", description=__doc__)
    parser.add_argument("--machine", choices=sorted(MACHINES), default="arm64")
    parser.add_argument("--into", type=Path, default=BUILD / "package", help="the folder to build in")
    parser.add_argument("--wheels", type=Path, default=BUILD / "wheels", help="where wheels are kept")
    arguments = parser.parse_args()
    try:
        target = build(arguments.machine, arguments.into, arguments.wheels)
    except PackagingError as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    print(summary(target, arguments.into / arguments.machine))
    return 0


if __name__ == "__main__":
    sys.exit(main())
