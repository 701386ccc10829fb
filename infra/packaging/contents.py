"""What of the libraries and of ours goes into the package, and what does not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
OURS: Final = ("app.py", "chalicelib")
# Of botocore's 400: those that chalicelib/aws/clients.py makes clients of.
SERVICES: Final = frozenset({"dynamodb", "events", "lambda", "s3", "secretsmanager", "sqs"})
# Chalice's runtime; the rest of it packages and deploys.
CHALICE: Final = frozenset({"__init__.py", "app.py", "py.typed"})
_UNREAD: Final = ("*.pyi", "*.c", "*.h", "*.pxd", "RECORD", "INSTALLER", "WHEEL", "entry_points.txt")
# Of resources, which nothing here uses, and of examples in help texts.
_UNUSED: Final = ("boto3/data", "boto3/examples", "bin")


def copy_ours(folder: Path) -> None:
    for name in OURS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def prune(folder: Path) -> None:
    """Take out of `folder` what no function reads."""
    for path in _unread(folder):
        _remove(path)


def _unread(folder: Path) -> list[Path]:
    data = folder / "botocore" / "data"
    return [
        *(path for path in data.iterdir() if path.is_dir() and path.name not in SERVICES),
        *data.rglob("examples-1.json"),
        # An earlier API of DynamoDB.
        *data.rglob("2011-12-05"),
        *(path for path in (folder / "chalice").iterdir() if path.name not in CHALICE),
        *(folder / name for name in _UNUSED),
        *(path for pattern in _UNREAD for path in folder.rglob(pattern)),
        # Scripts and headers that wheels bring along.
        *folder.glob("*.data"),
    ]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
