"""Presigned URLs: parts to S3 and ranges from it, over connections that each thread keeps."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import requests
import urllib3
from requests.adapters import HTTPAdapter

from ccr.cli.exits import CliError, PassingError
from ccr.cli.transfer.content import BLOCK, DamagedError, Region
from ccr.cli.transfer.retry import Patience

# The first is also how long one block may take to be sent.
_SECONDS: Final = (30, 120)
_CODE: Final = re.compile(rb"<Code>(\w+)</Code>")
_MISMATCH: Final = frozenset(
    {"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "InvalidDigest"}
)
_BROKEN: Final = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError)

Moved = Callable[[int], None]


class ExpiredError(CliError):
    """S3 takes the URL no more: a new one may do."""


class ForgottenError(CliError):
    """S3 knows nothing of the upload or the object any more."""


class Storage:
    """Speaks to S3 with nothing but the URLs it is given."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._threads = threading.local()

    def put(self, url: str, headers: Mapping[str, str], region: Region, moved: Moved) -> None:
        """Once. Raises PassingError, ExpiredError, ForgottenError, DamagedError, CliError."""
        body = _Body(region, self._patience, moved)
        kept = {name: value for name, value in headers.items() if name.lower() != "host"}
        # Of nothing, requests would make a body of unknown length.
        sent: Any = body if region.size else b""
        try:
            answer = self._session().put(
                url, data=sent, headers=kept, timeout=_SECONDS, allow_redirects=False
            )
        except _BROKEN as error:
            body.rewind()
            raise PassingError("the connection to the storage broke") from error
        except BaseException:
            body.rewind()
            raise
        if answer.status_code != 200:
            body.rewind()
            raise _refusal(answer.status_code, answer.content)

    def get(self, url: str, headers: Mapping[str, str], region: Region, first: int, moved: Moved) -> None:
        """The bytes from `first` on that fill `region`. Raises as `put` does."""
        # Compressed on its way, a range would be one of something else.
        last = first + region.size - 1
        asked = {**headers, "Range": f"bytes={first}-{last}", "Accept-Encoding": "identity"}
        arrived = 0
        try:
            with self._session().get(
                url, headers=asked, timeout=_SECONDS, allow_redirects=False, stream=True
            ) as answer:
                _check(answer)
                for block in _wanted(answer, first, region.size):
                    self._patience.check()
                    _write(region, arrived, block)
                    arrived += len(block)
                    moved(len(block))
        except _BROKEN as error:
            moved(-arrived)
            raise PassingError("the connection to the storage broke") from error
        except BaseException:
            moved(-arrived)
            raise
        if arrived != region.size:
            moved(-arrived)
            raise PassingError("the storage sent fewer bytes than the blob has")

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._threads, "session", None)
        if session is None:
            session = requests.Session()
            # Else ~/.netrc would add a credential, and S3 refuse two of them.
            session.auth = _no_credential
            for scheme in ("http://", "https://"):
                session.mount(scheme, _Adapter(pool_maxsize=1))
            self._threads.session = session
        return session


class _Adapter(HTTPAdapter):
    """Sends blocks as large as they are read."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, blocksize=BLOCK)


class _Body:
    """A region as requests sends it, a block at a time in the same memory."""

    def __init__(self, region: Region, patience: Patience, moved: Moved) -> None:
        self._size, self._blocks = region.size, region.blocks()
        self._patience, self._moved, self._sent = patience, moved, 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[memoryview]:
        return self._blocks

    def read(self, _size: int = -1) -> memoryview:
        self._patience.check()
        block = next(self._blocks, memoryview(b""))
        self._sent += len(block)
        self._moved(len(block))
        return block

    def rewind(self) -> None:
        """Nothing of it counts."""
        self._moved(-self._sent)


def _no_credential(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _check(answer: requests.Response) -> None:
    if answer.status_code not in {200, 206}:
        raise _refusal(answer.status_code, answer.raw.read(65536))


def _refusal(status: int, content: bytes) -> CliError:
    found = _CODE.search(content)
    code = found[1].decode() if found else ""
    if status >= 500 or status in {408, 429} or code in {"RequestTimeout", "SlowDown"}:
        return PassingError(f"the storage answers {status} {code}".strip())
    if code in _MISMATCH:
        return DamagedError("the storage got other bytes than were read: the source changed meanwhile")
    if code == "NoSuchUpload" or status == 404:
        return ForgottenError("the storage no longer has it")
    if status in {401, 403}:
        return ExpiredError(f"the storage refuses the request: {code or status}")
    return CliError(f"the storage refuses the request: {status} {code}".strip())


def _wanted(answer: requests.Response, first: int, size: int) -> Iterator[bytes]:
    """Of a whole body where S3 sent that: only what was asked for."""
    skip = first if answer.status_code == 200 else 0
    while size > 0:
        block = answer.raw.read(min(BLOCK, skip or size))
        if not block:
            return
        if skip:
            skip -= len(block)
            continue
        size -= len(block)
        yield block


def _write(region: Region, at: int, block: bytes) -> None:
    with region.opened(os.O_WRONLY) as descriptor:
        view = memoryview(block)
        while view:
            written = os.pwrite(descriptor, view, region.offset + at)
            at, view = at + written, view[written:]
