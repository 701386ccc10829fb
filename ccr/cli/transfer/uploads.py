"""The control plane of uploads: sessions, presigned URLs of their parts, completion."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ccr.cli.answers import Document
from ccr.cli.api import Api
from ccr.cli.connection import Connection
from ccr.cli.exits import CliError, Exit
from ccr.cli.paths import path
from ccr.cli.transfer.content import Blob, DamagedError
from ccr.cli.transfer.retry import Patience

T = TypeVar("T")
_PATH: Final = "/uploads"
_LONGEST_WAIT: Final = 2.0


class GoneError(CliError):
    """The registry knows the session no more."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of a multipart upload; `sha256` in base64, as S3 has it."""

    number: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Signed:
    """Where to send something, and with which headers."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Upload:
    """A session, or what was found in its place: the blob is there, or has been mounted."""

    state: str
    session: str = ""
    part_size: int = 0
    whole: Signed | None = None
    arrived: Mapping[int, Part] | None = None
    detail: str = ""

    @property
    def is_open(self) -> bool:
        return self.state == "open"


class Uploads:
    """Into one repository. Everything may be asked twice, so what fails in passing is."""

    def __init__(self, connection: Connection, repository: str, patience: Patience) -> None:
        self._connection, self._repository, self._patience = connection, repository, patience
        self._threads = threading.local()

    def open(self, blob: Blob, mount_from: Sequence[str]) -> Upload:
        """Raises CliError."""
        asked = {"repository": self._repository, "digest": blob.digest, "size": blob.size}
        if mount_from:
            asked["mount_from"] = list(mount_from)
        return _upload(self._ask(lambda api: api.post(_PATH, asked).document))

    def find(self, session: str) -> Upload:
        """With the parts that S3 has. Raises GoneError."""
        return _upload(self._ask(lambda api: api.get(f"{_PATH}{path(session)}").document))

    def sign(self, session: str, parts: Sequence[Part]) -> dict[int, Signed]:
        """By number. Raises GoneError."""
        asked = {"parts": [{"number": one.number, "size": one.size, "sha256": one.sha256} for one in parts]}
        answer = self._ask(lambda api: api.post(f"{_PATH}{path(session)}/parts", asked).document)
        return {one["number"]: Signed(one["url"], one["headers"]) for one in answer["parts"]}

    def complete(self, session: str, told: Callable[[str], None]) -> None:
        """Until the registry has verified it. Raises DamagedError, GoneError."""
        answer = self._ask(lambda api: api.post(f"{_PATH}{path(session)}/completion").document)
        upload, wait = _upload(answer), 0.05
        while upload.state == "verifying":
            told("verifying")
            self._patience.pause(wait)
            wait = min(_LONGEST_WAIT, wait * 1.5)
            upload = self.find(session)
        if upload.state == "refused":
            raise DamagedError(f"the registry refuses what arrived: {upload.detail or 'another digest'}")
        if upload.state != "published":
            raise CliError(f"the upload is {upload.state} where it should be published")

    def cancel(self, session: str) -> None:
        self._ask(lambda api: api.delete(f"{_PATH}{path(session)}"))

    def _ask(self, call: Callable[[Api], T]) -> T:
        try:
            return self._patience.again(lambda: call(self._api()))
        except CliError as error:
            if error.exit_code == Exit.NOT_FOUND:
                raise GoneError(error.message, error.exit_code, error.problem) from error
            raise

    def _api(self) -> Api:
        """One for each thread: they keep a connection."""
        api: Api | None = getattr(self._threads, "api", None)
        if api is None:
            api = self._threads.api = Api(self._connection)
        return api


def _upload(document: Document) -> Upload:
    parts: list[dict[str, Any]] = document.get("parts") if isinstance(document.get("parts"), list) else []  # type: ignore[assignment]
    url = document.get("url")
    return Upload(
        str(document["state"]),
        str(document.get("session") or ""),
        int(document.get("part_size") or 0),
        Signed(url, document.get("headers") or {}) if url else None,
        {one["number"]: Part(one["number"], one["size"], one["sha256"]) for one in parts},
        str(document.get("detail") or ""),
    )
