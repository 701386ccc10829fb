"""`/healthz`, whether the process lives, and `/readyz`, whether it can serve; neither takes a credential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from chalicelib.endpoints.event import Request
from chalicelib.endpoints.responses import Response, as_json
from chalicelib.spec.errors import ErrorCode, RegistryError

LIVE: Final = "/healthz"
READY: Final = "/readyz"
_KEPT_BY_NOBODY: Final = {"Cache-Control": "no-store"}


def is_asked(path: str) -> bool:
    return path in {LIVE, READY}


def answer(request: Request, path: str, is_ready: Callable[[], bool]) -> Response:
    """200; 503 at `READY` where what it stands on does not answer. Raises UNSUPPORTED (405) for a change.

    Nothing is told of what is wrong: that is in the log.
    """
    request.seen.operation = "health.live" if path == LIVE else "health.ready"
    request.seen.route = path
    if request.method not in {"GET", "HEAD"}:
        message = f"{request.method} is not possible here; GET and HEAD are"
        raise RegistryError(ErrorCode.UNSUPPORTED, message, status=405, headers={"Allow": "GET, HEAD"})
    if path == LIVE:
        return as_json({"status": "alive"}, headers=_KEPT_BY_NOBODY)
    if is_ready():
        return as_json({"status": "ready"}, headers=_KEPT_BY_NOBODY)
    return as_json({"status": "not ready"}, status=503, headers=_KEPT_BY_NOBODY)
