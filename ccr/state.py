"""The data folder of a local deployment: its lock, its secrets, and the engines that its tables are of."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Final

_ENGINES: Final = "engine-set"
_ALPHABET: Final = string.ascii_letters + string.digits


class LockedError(Exception):
    """Another process serves the same folder."""


class OtherEnginesError(Exception):
    """The folder's tables are those of another engine set, which this one would not see."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made once, kept in `secrets.json` for this user alone."""

    token_key: str = field(repr=False)
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


def lock(folder: Path) -> IO[str]:
    """Hold the folder until the file is closed. Raises LockedError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "lock"
    path.touch(mode=0o600)
    held = path.open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        message = f"another registry serves {folder}: stop it, or choose a folder with CCR_DATA"
        raise LockedError(message) from None
    return held


def load_secrets(folder: Path) -> Secrets:
    path = folder / "secrets.json"
    if path.exists():
        return Secrets(**json.loads(path.read_text()))
    made = Secrets(secrets.token_hex(32), _random(20), _random(40))
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        json.dump(asdict(made), out)
    temporary.replace(path)
    return made


def check_engines(folder: Path, engines: str, tables: Mapping[str, Path]) -> None:
    """`tables` is where each engine set has its own. Raises OtherEnginesError."""
    path = folder / _ENGINES
    if path.exists():
        known = path.read_text().strip()
    else:
        used = [name for name, at in tables.items() if at.is_dir() and any(at.iterdir())]
        known = used[0] if len(used) == 1 else engines
    if known != engines:
        raise OtherEnginesError(
            f"{folder} was filled with ENGINES={known} and would look empty with ENGINES={engines}:"
            f" start it with ENGINES={known}, or choose another folder with CCR_DATA"
        )


def remember_engines(folder: Path, engines: str) -> None:
    path = folder / _ENGINES
    path.touch(mode=0o600)
    path.write_text(f"{engines}\n")


def _random(length: int) -> str:
    """Letters and digits: DynamoDB Local takes no other access key."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
