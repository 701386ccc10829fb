"""What this machine remembers of transfers: uploads to go on with, and which repositories have which blob.

Hints alone: where it is lost or wrong, more bytes travel, and nothing else happens.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from ccr.cli import environment
from ccr.cli.stored import locked, replace

_REPOSITORIES: Final = 4
_BLOBS: Final = 2000
# The registry forgets an upload after a day.
_SECONDS: Final = 24 * 3600


def path(environ: Mapping[str, str]) -> Path:
    home = environ.get(environment.STATE_HOME.name)
    folder = Path(home) if home and Path(home).is_absolute() else Path.home() / ".local" / "state"
    return folder / "ccr" / "transfers.json"


class Journal:
    """Of one registry, for one credential."""

    def __init__(self, place: Path, url: str, username: str) -> None:
        self._place, self._who = place, f"{username}@{url}"

    def upload(self, repository: str, digest: str) -> str:
        """The session that was under way; '' for none."""
        found = self._read()["uploads"].get(self._key(repository, digest), {})
        return str(found.get("session", "")) if isinstance(found, dict) else ""

    def opened(self, repository: str, digest: str, session: str) -> None:
        entry = {"session": session, "at": int(time.time())}
        self._change(lambda document: document["uploads"].update({self._key(repository, digest): entry}))

    def ended(self, repository: str, digest: str) -> None:
        self._change(lambda document: document["uploads"].pop(self._key(repository, digest), None))

    def repositories(self, digest: str) -> list[str]:
        """Those that have had it, the last one first."""
        return self._known(self._read()["blobs"].get(f"{self._who} {digest}", []))

    def holds(self, repository: str, digests: list[str]) -> None:
        """Remember that `repository` has them."""
        self._change(lambda document: self._note(document["blobs"], repository, digests))

    def _note(self, blobs: dict[str, Any], repository: str, digests: list[str]) -> None:
        for digest in digests:
            key = f"{self._who} {digest}"
            others = [one for one in self._known(blobs.pop(key, [])) if one != repository]
            blobs[key] = [repository, *others][:_REPOSITORIES]
        for key in list(blobs)[: max(0, len(blobs) - _BLOBS)]:
            del blobs[key]

    @staticmethod
    def _known(entry: Any) -> list[str]:
        return [one for one in entry if isinstance(one, str)] if isinstance(entry, list) else []

    def _key(self, repository: str, digest: str) -> str:
        return f"{self._who} {repository} {digest}"

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            document = json.loads(self._place.read_text(encoding="utf-8"))
            uploads, blobs = document["uploads"], document["blobs"]
        except (OSError, ValueError, TypeError, KeyError):
            return {"uploads": {}, "blobs": {}}
        well = isinstance(uploads, dict) and isinstance(blobs, dict)
        return {"uploads": uploads, "blobs": blobs} if well else {"uploads": {}, "blobs": {}}

    def _change(self, change: Callable[[dict[str, dict[str, Any]]], None]) -> None:
        """A home that cannot be written to costs the memory, not the transfer."""
        with contextlib.suppress(OSError), locked(self._place.parent):
            document = self._read()
            change(document)
            oldest = time.time() - _SECONDS
            uploads = document["uploads"]
            document["uploads"] = {key: one for key, one in uploads.items() if _moment(one) > oldest}
            replace(self._place, json.dumps(document))


def _moment(entry: Any) -> float:
    at = entry.get("at", 0) if isinstance(entry, dict) else 0
    return float(at) if isinstance(at, int) else 0
