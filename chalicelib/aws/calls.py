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


def watch(client: Any, service: str) -> None:
    """Count what `client` sends."""

    def count(**_: object) -> None:
        calls = _current.get()
        if calls is not None:
            calls[service] += 1

    client.meta.events.register(f"before-send.{service}", count)
