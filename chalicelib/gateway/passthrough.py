"""Blobs for clients that cannot reach S3: follows the redirect for them, block by block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import urllib3

from chalicelib.gateway.events import Headers

BLOCK: Final = 256 * 1024
_ASKED: Final = ("range", "if-range")
_TOLD: Final = ("content-length", "content-range", "accept-ranges", "last-modified")
_GOOD: Final = {200, 206}


class Passthrough:
    """One pool of connections to S3."""

    def __init__(self) -> None:
        timeout = urllib3.Timeout(connect=3, read=60)
        self._pool = urllib3.PoolManager(maxsize=32, timeout=timeout, retries=urllib3.Retry(2, redirect=0))

    def open(
        self, method: str, url: str, headers: Mapping[str, str], digest: bytes
    ) -> tuple[int, Headers, urllib3.BaseHTTPResponse] | None:
        """Status and headers for the client, and the rest to read; None when S3 has not got it."""
        asked = {name: headers[name] for name in _ASKED if name in headers}
        answer = self._pool.request(method, url, headers=asked, preload_content=False, decode_content=False)
        if answer.status not in _GOOD:
            answer.drain_conn()
            answer.release_conn()
            return None
        told = [(n.encode(), answer.headers[n].encode("latin-1")) for n in _TOLD if n in answer.headers]
        told += [(b"content-type", b"application/octet-stream"), (b"docker-content-digest", digest)]
        return answer.status, told, answer
