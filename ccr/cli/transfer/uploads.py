"""The control plane of uploads: sessions, presigned URLs of their parts, completion."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from ccr.cli.answers import Document
from ccr.cli.api import Api
from ccr.cli.connection import Connection
from ccr.cli.exits import CliError, Exit
from ccr.cli.paths import path
from ccr.cli.transfer.content import Blob, DamagedError
from ccr.cli.transfer.retry import Patience

T = TypeVar("T")
_PATH: Final = "/uploads"
# Asked again after a twentieth of the time that it has taken: so little is lost at its end, and a long one is
# not asked for at every moment. Seconds.
_SHORTEST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 2.0
_SHARE_WAITED: Final = 0.05
_MOUNTS: Final = 20


class GoneError(CliError):
    """The registry knows the session no more."""


class IncompleteError(CliError):
    """The storage lacks parts that it once took."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of a multipart upload; `sha256` in base64, as S3 has it; '' where the engine keeps none."""

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
    arrived: Mapping[int, Part] = field(default_factory=dict)
    verified: int = 0
    detail: str = ""


class Uploads:
    """Into one repository. Everything may be asked twice, so what fails in passing is."""

    def __init__(self, connection: Connection, repository: str, patience: Patience) -> None:
        self._connection, self._repository, self._patience = connection, repository, patience
        self._threads = threading.local()

    def open(self, blob: Blob, mount_from: Sequence[str]) -> Upload:
        """Raises CliError."""
        asked: Document = {"repository": self._repository, "digest": blob.digest, "size": blob.size}
        if mount_from:
            asked["mount_from"] = list(mount_from)[:_MOUNTS]
        return _upload(self._ask(lambda api: api.post(_PATH, asked).document))

    def find(self, session: str) -> Upload:
        """With the parts that S3 has. Raises GoneError."""
        return _upload(self._ask(lambda api: api.get(f"{_PATH}{path(session)}").document))

    def sign(self, session: str, parts: Sequence[Part]) -> dict[int, Signed]:
        """By number. Raises GoneError."""
        asked = {"parts": [{"number": one.number, "size": one.size, "sha256": one.sha256} for one in parts]}
        answer = self._ask(lambda api: api.post(f"{_PATH}{path(session)}/parts", asked).document)
        return {one["number"]: Signed(one["url"], one["headers"]) for one in answer["parts"]}

    def complete(self, session: str, told: Callable[[int], None]) -> None:
        """Until the registry has verified it, telling how far it is.

        Raises DamagedError, GoneError, IncompleteError.
        """
        try:
            answer = self._ask(lambda api: api.post(f"{_PATH}{path(session)}/completion").document)
        except CliError as error:
            if error.exit_code != Exit.CONFLICT:
                raise
            raise IncompleteError(error.message, error.exit_code, error.problem) from error
        upload, begin = _upload(answer), time.monotonic()
        while upload.state == "verifying":
            told(upload.verified)
            share = (time.monotonic() - begin) * _SHARE_WAITED
            self._patience.pause(min(_LONGEST_WAIT, max(_SHORTEST_WAIT, share)))
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
    url = document.get("url")
    parts = (Part(one["number"], one["size"], one["sha256"] or "") for one in document.get("uploaded", ()))
    return Upload(
        document["state"],
        document.get("session", ""),
        document.get("part_size") or 0,
        Signed(url, document["headers"]) if url else None,
        {one.number: one for one in parts},
        document.get("verified", 0),
        document.get("detail", ""),
    )
