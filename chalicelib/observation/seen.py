"""What is noted of one request on its way through, by whoever knows it, and its id."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

REQUEST_ID: Final = "X-Request-Id"
UNMATCHED: Final = "unmatched"
# As nginx has it: the client went away before its answer was there.
CLIENT_LEFT: Final = 499
AGENT_LIMIT: Final = 120
_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
# https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
_ROOT: Final = re.compile(r"(?:^|;)\s*Root=(1-[0-9a-fA-F]{8}-[0-9a-fA-F]{24})(?:;|$)")
_EDGE_ID: Final = re.compile(r"[A-Za-z0-9_=-]{1,120}")
_current: Final[ContextVar[str]] = ContextVar("request_id", default="")


@dataclass(slots=True)
class Seen:
    """Times are in seconds, sizes in bytes. No path and no query: either may be a capability."""

    request_id: str = ""
    trace_id: str = ""
    edge_id: str = ""
    method: str = ""
    # One of few, for metrics: `blobs.get`. The route is a template, such as `/v2/<name>/tags/list`.
    operation: str = UNMATCHED
    route: str = ""
    status: int = 0
    account: str = ""
    repository: str = ""
    actor: str = ""
    error: str = ""
    source_ip: str = ""
    agent: str = ""
    bytes_redirected: int = 0
    bytes_sent: int = 0
    uploads_opened: int = 0
    uploads_closed: int = 0
    calls: Mapping[str, int] = field(default_factory=dict)
    begun: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0

    def end(self, status: int) -> None:
        self.status, self.seconds = status, time.perf_counter() - self.begun

    def line(self) -> dict[str, Any]:
        """The fields of its line in the log, in their order; what is empty is left out."""
        told = {
            "request_id": self.request_id,
            "xray_trace_id": self.trace_id,
            "edge_request_id": self.edge_id,
            "method": self.method,
            "route": self.route,
            "operation": self.operation,
            "status": self.status,
            "duration_ms": round(self.seconds * 1000, 3),
            "account": self.account,
            "repository": self.repository,
            "actor": self.actor,
            "error": self.error,
            "source_ip": self.source_ip,
            "user_agent": self.agent,
            "bytes_redirected": self.bytes_redirected,
            "bytes_sent": self.bytes_sent,
            "dynamodb_calls": self.calls.get("dynamodb", 0),
            "s3_calls": self.calls.get("s3", 0),
        }
        return {name: value for name, value in told.items() if value not in {"", 0} or name == "duration_ms"}


def seen_of(method: str, headers: Mapping[str, str], source_ip: str, own_id: str = "") -> Seen:
    """As it begins; header names are in lower case. The id is the client's where that is a sane one, so that
    its own log and ours can be laid beside each other; else `own_id`, else one that is made.
    """
    told, traced = headers.get("x-request-id", ""), _ROOT.search(headers.get("x-amzn-trace-id", ""))
    edge = headers.get("x-amz-cf-id", "")
    return Seen(
        request_id=told if _ID.fullmatch(told) else own_id or secrets.token_hex(16),
        trace_id=traced[1] if traced else "",
        edge_id=edge if _EDGE_ID.fullmatch(edge) else "",
        method=method if method.isalpha() and len(method) < 16 else "",
        source_ip=source_ip,
        agent="".join(filter(str.isprintable, headers.get("user-agent", "")))[:AGENT_LIMIT],
    )


@contextmanager
def within(request_id: str) -> Iterator[None]:
    """What is logged in here is of that request."""
    token = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> str:
    """The id of the request that this context answers; '' for none."""
    return _current.get()
