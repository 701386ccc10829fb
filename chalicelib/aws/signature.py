"""Signature Version 4 with the day's key kept: what botocore does, for the few requests made most.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_NONE: Final[Mapping[str, str]] = {}


@dataclass(slots=True)
class Signer:
    """`credentials` gives botocore's frozen ones, every time: those of a function are renewed as they age."""

    credentials: Callable[[], Any]
    region: str
    service: str
    clock: Callable[[], float] = time.time
    _kept: tuple[tuple[str, str], bytes] = field(default=(("", ""), b""), repr=False)

    def sign(self, host: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """`headers` (names in lower case) and those that prove a POST of `body` to `/` of `host`."""
        frozen, stamp = self.credentials(), self._stamp()
        signed = {**headers, "host": host, "x-amz-date": stamp, **_token(frozen, "x-amz-security-token")}
        names = sorted(signed)
        canonical = "".join(f"{name}:{signed[name]}\n" for name in names)
        request = f"POST\n/\n\n{canonical}\n{';'.join(names)}\n{sha256(body).hexdigest()}"
        signature = self._signature(frozen.secret_key, stamp, request)
        signed["authorization"] = (
            f"{_ALGORITHM} Credential={frozen.access_key}/{self._scope(stamp)}, "
            f"SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        return signed

    def presign(
        self,
        method: str,
        host: str,
        path: str,
        expires: int,
        *,
        headers: Mapping[str, str] = _NONE,
        parameters: Mapping[str, str] = _NONE,
    ) -> str:
        """The query under which `method` may be sent to `path` (encoded) of `host` for `expires` seconds.

        Only with `headers` (names in lower case); `parameters` come into the query.
        """
        frozen, stamp = self.credentials(), self._stamp()
        signed = sorted({**headers, "host": host}.items())
        names = ";".join(name for name, _ in signed)
        query_of = {
            **parameters,
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{frozen.access_key}/{self._scope(stamp)}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(expires),
            **_token(frozen, "X-Amz-Security-Token"),
            "X-Amz-SignedHeaders": names,
        }
        query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in sorted(query_of.items()))
        lines = "".join(f"{name}:{value}\n" for name, value in signed)
        request = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{_UNSIGNED}"
        return f"{query}&X-Amz-Signature={self._signature(frozen.secret_key, stamp, request)}"

    def _stamp(self) -> str:
        return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.clock()))

    def _scope(self, stamp: str) -> str:
        return f"{stamp[:8]}/{self.region}/{self.service}/aws4_request"

    def _signature(self, secret: str, stamp: str, request: str) -> str:
        hashed = sha256(request.encode()).hexdigest()
        text = f"{_ALGORITHM}\n{stamp}\n{self._scope(stamp)}\n{hashed}"
        return hmac.digest(self._key(secret, stamp[:8]), text.encode(), "sha256").hex()

    def _key(self, secret: str, day: str) -> bytes:
        kept_for, key = self._kept
        if kept_for != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self.region, self.service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._kept = ((secret, day), key)
        return key


def _token(frozen: Any, name: str) -> dict[str, str]:
    return {name: frozen.token} if frozen.token else {}
