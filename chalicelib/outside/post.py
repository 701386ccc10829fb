"""One POST to a URL that somebody else chose: https, no redirects, limits on size and time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Final
from urllib.parse import SplitResult, urlsplit

from chalicelib.outside.connection import connected, is_loopback

SECONDS: Final = 10.0
ANSWER_LIMIT: Final = 16 * 1024
URL_LIMIT: Final = 2048
LOOPBACK: Final = "loopback"


class RefusedUrlError(ValueError):
    """A URL that is never connected to; the message says why."""


@dataclass(frozen=True, slots=True)
class Outside:
    """`inside`: names of hosts that may have private addresses, or `loopback`."""

    allows_http: bool = False
    inside: Collection[str] = ()
    seconds: float = SECONDS

    def check(self, url: str) -> SplitResult:
        """What can be known of a URL before its name is resolved. Raises RefusedUrlError."""
        if len(url) > URL_LIMIT or not (url.isascii() and url.isprintable()) or " " in url:
            raise RefusedUrlError(f"a URL has at most {URL_LIMIT} printable ASCII characters, and no space")
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise RefusedUrlError(f"that is no URL: {error}") from error
        if parts.scheme not in {"https", "http"} or not parts.hostname:
            raise RefusedUrlError("a webhook has an https:// URL")
        if parts.scheme == "http" and not self.allows_http:
            raise RefusedUrlError("a webhook has an https:// URL; http:// takes CCR_WEBHOOK_HTTP=on")
        if parts.username is not None or parts.fragment:
            raise RefusedUrlError("the URL of a webhook has no user and no fragment")
        return parts

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status; of the answer, no more than `ANSWER_LIMIT` bytes are read.

        The host is resolved once, and connected to at the address that was checked. Raises RefusedUrlError,
        PrivateAddressError, OSError.
        """
        parts = self.check(url)
        host = (parts.hostname or "").lower()

        def allows(address: str) -> bool:
            if is_loopback(address) and LOOPBACK in self.inside:
                return True
            return host in self.inside and host != LOOPBACK

        target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        try:
            with connected(parts, self.seconds, allows) as connection:
                sent = {**headers, "Connection": "close", "User-Agent": "ccr"}
                connection.request("POST", target, body, sent)
                answer = connection.getresponse()
                answer.read(ANSWER_LIMIT)
                return answer.status
        except HTTPException as error:
            raise OSError(f"it does not speak HTTP: {type(error).__name__}") from error
