"""Asks the registry to publish what a gateway has verified: the upload's own PUT, without its bytes."""

from __future__ import annotations

import logging
from typing import Final

import urllib3

from chalicelib.endpoints.edge import PROOF, VIEWER
from chalicelib.endpoints.event import Request
from chalicelib.endpoints.responses import Response
from chalicelib.observation.seen import REQUEST_ID
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError

_PASSED_ON: Final = ("location", "docker-content-digest", "content-type", "retry-after")
_TIMEOUT: Final = urllib3.Timeout(connect=3, read=60)
# A PUT that is sent again finds the blob published, and is answered as the first one was.
_RETRY: Final = urllib3.Retry(
    4, allowed_methods={"PUT"}, status_forcelist={429, 500, 502, 503, 504}, backoff_factor=0.2, redirect=0
)
_LOG: Final = logging.getLogger(__name__)


class Registry:
    """The registry function behind its URL."""

    def __init__(self, url: str, origin_secret: str) -> None:
        self._url = url
        self._secret = {PROOF: origin_secret} if origin_secret else {}
        self._pool = urllib3.PoolManager(maxsize=16, timeout=_TIMEOUT, cert_reqs="CERT_REQUIRED")

    def publish(self, request: Request, digest: Digest) -> Response:
        """Relay the registry's answer. Raises BLOB_UPLOAD_INVALID (503): what is verified stays so."""
        headers = {
            **self._secret,
            "Content-Length": "0",
            VIEWER: request.headers.get(VIEWER, request.source_ip),
        }
        if request.seen.request_id:
            headers[REQUEST_ID] = request.seen.request_id
        url = f"{self._url}{request.raw_path}?digest={digest}"
        try:
            answer = self._pool.request("PUT", url, headers=headers, retries=_RETRY, body=b"")
        except urllib3.exceptions.HTTPError as error:
            _LOG.warning("the registry does not publish: %s", type(error).__name__)
            message = "the bytes arrived and are right, but the registry is away; send the last request again"
            raise RegistryError(
                ErrorCode.BLOB_UPLOAD_INVALID, message, status=503, headers={"Retry-After": "2"}
            ) from error
        kept = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
        return Response(answer.status, kept, answer.data)
