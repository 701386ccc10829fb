"""What schemathesis loads: it asks from ever new addresses, and fails to log in with ever new ids.

It does so with every operation on purpose, always as the same nobody, and the registry locks out the address
and the id: then every other answer would be 429, and the run would find nothing because it saw nothing.
"""

from __future__ import annotations

import base64
import os
import re
from itertools import count, cycle
from typing import Any, Final

import requests.sessions
import schemathesis
from requests.adapters import HTTPAdapter

from tests.management.seed import REPOSITORY, USERNAME

REQUESTS_OF_AN_ADDRESS: Final = 10
# 127.0.0.1 is left to the test itself.
_ADDRESSES: Final = cycle(f"127.0.{third}.{fourth}" for third in range(1, 251) for fourth in range(1, 251))


class FromManyAddresses(HTTPAdapter):
    """Each new pool of connections is bound to the next address."""

    def __init__(self, **options: Any) -> None:
        self._sent = count()
        super().__init__(**options)

    def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
        super().init_poolmanager(*sizes, **{**options, "source_address": (next(_ADDRESSES), 0)})

    def send(self, request: requests.PreparedRequest, *sending: Any, **options: Any) -> requests.Response:
        if next(self._sent) % REQUESTS_OF_AN_ADDRESS == REQUESTS_OF_AN_ADDRESS - 1:
            self.poolmanager.clear()
            self.init_poolmanager(self._pool_connections, self._pool_maxsize, self._pool_block)
        if "Authorization" in request.headers:
            request.headers["Authorization"] = _as_another_nobody(request.headers["Authorization"])
        return super().send(request, *sending, **options)


def _as_another_nobody(header: str | bytes) -> str | bytes:
    """What is wrong stays wrong, under an id that has not failed yet."""
    text = header.decode("latin-1") if isinstance(header, bytes) else header
    try:
        id_, colon, secret = base64.b64decode(text.removeprefix("Basic "), validate=True).partition(b":")
    except ValueError:
        return header
    if id_.decode("latin-1") == USERNAME or not colon:
        return header
    other = id_ + os.urandom(4).hex().encode()
    return "Basic " + base64.b64encode(other + colon + secret).decode()


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case, _kwargs: dict[str, Any]) -> None:
    """Nobody rotates the secret that this run logs in with; the simplest repository is one that exists.

    A webhook leads to an address that is never connected to.
    """
    names = case.path_parameters or {}
    if case.operation.label == "POST /api/v1/credentials/{id}/rotation" and names.get("id") == USERNAME:
        case.path_parameters = {**names, "id": "another"}
    if names.get("repository") == "0":
        case.path_parameters = {**names, "repository": REPOSITORY}
    if "/webhooks" in case.operation.label and _leads_somewhere(case.body):
        case.body = {**case.body, "url": "https://10.0.0.1/"}


def _leads_somewhere(body: object) -> bool:
    """A URL that is taken would be connected to: nobody is asked outside of this machine."""
    url = body.get("url") if isinstance(body, dict) else None
    return isinstance(url, str) and re.fullmatch(r"https?://[!-~]+", url) is not None and len(url) <= 2048


requests.sessions.HTTPAdapter = FromManyAddresses  # type: ignore[misc]
