"""Blobs for clients that cannot reach S3: follows the redirect for them, block by block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import urllib3

from chalicelib.gateway.events import Headers
from chalicelib.spec.errors import ErrorCode, RegistryError

BLOCK: Final = 256 * 1024
_ASKED: Final = ("range", "if-range")
_TOLD: Final = ("content-length", "content-range", "accept-ranges", "last-modified")
# A blob is what a client chose: a browser that is shown it runs nothing of it.
_INERT: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"sandbox; default-src 'none'"),
]
_GOOD: Final = {200, 206}
_TRIES: Final = 2


class Passthrough:
    """One pool of connections to S3."""

    def __init__(self) -> None:
        self._pool = urllib3.PoolManager(maxsize=32, timeout=urllib3.Timeout(connect=3, read=60))

    def open(
        self, method: str, url: str, headers: Mapping[str, str], digest: bytes
    ) -> tuple[int, Headers, urllib3.BaseHTTPResponse]:
        """Status and headers for the client, and the rest to read.

        Raises SIZE_INVALID (416) for a range outside the blob, BLOB_UNKNOWN (502) when S3 fails.
        """
        asked = {name: headers[name] for name in _ASKED if name in headers}
        answer = self._request(method, url, asked)
        if answer.status not in _GOOD:
            answer.drain_conn()
            answer.release_conn()
            raise _range_outside(answer) if answer.status == 416 else _unavailable()
        told = [(n.encode(), answer.headers[n].encode("latin-1")) for n in _TOLD if n in answer.headers]
        told += [(b"content-type", b"application/octet-stream"), (b"docker-content-digest", digest), *_INERT]
        return answer.status, told, answer

    def _request(self, method: str, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Tries again by itself: urllib3 would write the presigned URL into the log."""
        for _ in range(_TRIES):
            try:
                return self._pool.request(
                    method,
                    url,
                    headers=headers,
                    preload_content=False,
                    decode_content=False,
                    redirect=False,
                    retries=False,
                )
            except urllib3.exceptions.HTTPError:
                continue
        raise _unavailable()


def _unavailable() -> RegistryError:
    message = "the storage does not answer for this blob; try again"
    return RegistryError(ErrorCode.BLOB_UNKNOWN, message, status=502)


def _range_outside(answer: urllib3.BaseHTTPResponse) -> RegistryError:
    known = {"Content-Range": answer.headers["content-range"]} if "content-range" in answer.headers else {}
    return RegistryError(ErrorCode.SIZE_INVALID, "the range is outside the blob", status=416, headers=known)
