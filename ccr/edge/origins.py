"""What stands behind the edge: S3, for which it signs, and the gateway. Bodies go through as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest

from ccr.edge.cloudfront import Answer, Pairs, pairs_of, query_text

# Of one connection, or made anew for the next one.
_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "date", "server"})
_CONNECT_SECONDS: Final = 3
# S3 answers once it has written and checked all of it.
_READ_SECONDS: Final = 600


class OriginError(Exception):
    """The origin does not answer: CloudFront would say 502 or 504."""


def _pool() -> urllib3.PoolManager:
    timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS)
    return urllib3.PoolManager(maxsize=32, timeout=timeout)


@dataclass(frozen=True, slots=True)
class HttpOrigin:
    """One that gets every request as the functions left it."""

    url: str
    pool: urllib3.PoolManager = field(default_factory=_pool)

    def send(self, request: Mapping[str, Any], blocks: Iterable[bytes]) -> Answer:
        """Raises OriginError."""
        query = query_text(request["querystring"])
        url = f"{self.url}{request['uri']}{'?' if query else ''}{query}"
        return send(self.pool, request["method"], url, _sendable(request), blocks)


@dataclass(frozen=True, slots=True)
class StorageOrigin:
    """S3 with origin access control: signed here, whatever credential the request had."""

    endpoint: str
    bucket: str
    region: str
    credentials: Callable[[], Any]
    pool: urllib3.PoolManager = field(default_factory=_pool)

    def send(self, request: Mapping[str, Any], blocks: Iterable[bytes]) -> Answer:
        """Raises OriginError."""
        url = f"{self.endpoint}/{self.bucket}{request['uri']}"
        signed = AWSRequest(request["method"], url, headers=dict(_sendable(request)))
        _Unsigned(self.credentials(), "s3", self.region).add_auth(signed)
        return send(self.pool, request["method"], url, list(signed.headers.items()), blocks)


class _Unsigned(S3SigV4Auth):  # type: ignore[misc]
    """The edge has not seen the body when it signs; S3 checks it by its checksum."""

    def payload(self, request: AWSRequest) -> str:  # noqa: ARG002 - botocore's own signature
        return "UNSIGNED-PAYLOAD"


def send(pool: urllib3.PoolManager, method: str, url: str, headers: Pairs, blocks: Iterable[bytes]) -> Answer:
    """One try: the body can be read once. Raises OriginError, and whatever `blocks` raises."""
    told = urllib3.HTTPHeaderDict()
    for name, value in headers:
        told.add(name, value)
    length = told.get("content-length")
    try:
        answer = pool.request(
            method,
            url,
            headers=told,
            body=None if length in {None, "0"} and method not in {"PATCH", "PUT", "POST"} else blocks,
            redirect=False,
            retries=False,
            decode_content=False,
        )
    except urllib3.exceptions.HTTPError as error:
        raise OriginError(type(error).__name__) from error
    pairs = [(name.lower(), value) for name, value in answer.headers.items() if name.lower() not in _HOP]
    return Answer(answer.status, pairs, answer.data)


def _sendable(request: Mapping[str, Any]) -> Pairs:
    pairs = pairs_of(request["headers"])
    return [(name, value) for name, value in pairs if name not in _HOP and name != "host"]
