"""A zip that is the same bytes whenever and wherever the same files are put into it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

# The first that a zip knows.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_READABLE: Final = 0o100644 << 16
_UNIX: Final = 3


def write_zip(folder: Path, target: Path) -> None:
    """Every file of `folder` in the order of their names, without times and owners."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in _files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            entry.external_attr, entry.create_system = _READABLE, _UNIX
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)


def unpacked_size(folder: Path) -> int:
    """In bytes."""
    return sum(path.stat().st_size for path in _files(folder))


def _files(folder: Path) -> list[Path]:
    return sorted(
        (path for path in folder.rglob("*") if path.is_file()),
        key=lambda path: path.relative_to(folder).parts,
    )
