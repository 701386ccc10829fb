"""The data folder of a local deployment: its lock and its secrets."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import string
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Final

_ALPHABET: Final = string.ascii_letters + string.digits


class LockedError(Exception):
    """Another process serves the same folder."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made once, kept in `secrets.json` for this user alone."""

    token_key: str = field(repr=False)
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


def lock(folder: Path) -> IO[str]:
    """Hold the folder until the file is closed. Raises LockedError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    held = (folder / "lock").open("w")
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


def _random(length: int) -> str:
    """Letters and digits: DynamoDB Local takes no other access key."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
