"""The keys of an issuer by its discovery document: `identity.oidc.KeySource` over HTTPS.

https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from chalicelib.outside.connection import connected, is_loopback

DOCUMENT_LIMIT: Final = 256 * 1024
SECONDS: Final = 3.0
_HEADERS: Final = {"Accept": "application/json", "Connection": "close", "User-Agent": "ccr"}
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class IssuerKeys:
    """HTTPS only, no redirects, 256 KiB at most, and `SECONDS` for each document however slowly it comes.

    Whoever makes a trust chooses where this connects to, so it connects to public addresses only: to the
    very one that was looked at, since a name may mean another a moment later.
    `loopback`: this machine too, and by HTTP.
    """

    def __init__(self, *, loopback: bool) -> None:
        self._loopback = loopback

    def fetch(self, issuer: str) -> Mapping[str, Any]:
        """Raises OSError when it cannot be had, ValueError for what is no such document."""
        discovery = self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if discovery.get("issuer") != issuer:
            raise ValueError("the discovery document is of another issuer")
        keys = self._get(str(discovery.get("jwks_uri")))
        if not isinstance(keys.get("keys"), list):
            raise ValueError("the key set is none")  # noqa: TRY004 - what a stranger sent, not a caller's type
        return keys

    def _get(self, url: str) -> dict[str, Any]:
        parts = urlsplit(url)
        self._check(parts)
        try:
            status, body = self._answer(parts)
        except HTTPException as error:
            raise OSError(f"{parts.netloc} does not speak HTTP") from error
        if status != 200 or len(body) > DOCUMENT_LIMIT:
            raise OSError(f"{parts.netloc} answers {status} with {len(body)} bytes")
        try:
            document = json.loads(body)
        except RecursionError as error:
            raise ValueError("the document is nested too deeply") from error
        if not isinstance(document, dict):
            raise ValueError("the document is no JSON object")  # noqa: TRY004
        return document

    def _answer(self, parts: SplitResult) -> tuple[int, bytes]:
        with connected(parts, SECONDS, self._allows) as connection:
            target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
            connection.request("GET", target, headers=_HEADERS)
            answer = connection.getresponse()
            return answer.status, answer.read(DOCUMENT_LIMIT + 1)

    def _allows(self, address: str) -> bool:
        return self._loopback and is_loopback(address)

    def _check(self, parts: SplitResult) -> None:
        if parts.scheme == "https" and parts.hostname and not parts.username:
            return
        if not (self._loopback and parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError("issuers and their keys are fetched over https:// only")
