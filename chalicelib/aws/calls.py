"""Counts the calls that one request makes to DynamoDB and S3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

_current: Final[ContextVar[Counter[str] | None]] = ContextVar("backend_calls", default=None)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Everything sent in this context, retries too, by service name."""
    calls: Counter[str] = Counter()
    token = _current.set(calls)
    try:
        yield calls
    finally:
        _current.reset(token)


def count(service: str) -> None:
    """One call more in this context."""
    calls = _current.get()
    if calls is not None:
        calls[service] += 1


def watch(client: Any, service: str) -> None:
    """Count what `client` sends."""

    def sent(**_: object) -> None:
        count(service)

    client.meta.events.register(f"before-send.{service}", sent)
