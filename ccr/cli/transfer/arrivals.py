"""Which parts of a download are on disk, as lines in a file beside it: a kill costs the parts under way."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path


class Arrivals:
    """Of one file. What another content left there counts for nothing."""

    def __init__(self, place: Path, identity: str) -> None:
        self._place, self._identity = place, identity
        self._lock = threading.Lock()
        self._found = self._read()
        if not self._found:
            self._write(())

    def has(self, digest: str, number: int) -> bool:
        return f"{digest} {number}" in self._found

    def add(self, digest: str, number: int) -> None:
        line = f"{digest} {number}"
        with self._lock, self._place.open("a", encoding="utf-8") as out:
            self._found.add(line)
            out.write(f"{line}\n")

    def forget(self, digest: str) -> None:
        with self._lock:
            self._found = {one for one in self._found if not one.startswith(f"{digest} ")}
            self._write(self._found)

    def remove(self) -> None:
        self._place.unlink(missing_ok=True)

    def _read(self) -> set[str]:
        """A last line without its end is one that was being written."""
        try:
            text = self._place.read_text(encoding="utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            return set()
        identity, *lines = text[: text.rfind("\n") + 1].splitlines() or [""]
        return set(lines) if identity == self._identity else set()

    def _write(self, lines: Iterable[str]) -> None:
        self._place.write_text("".join(f"{one}\n" for one in (self._identity, *lines)), encoding="utf-8")
