"""What every refusal must be: the specification's envelope, its code, and words that help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chalicelib.spec.errors import ErrorCode
from tests.endpoints import inventory
from tests.endpoints.driver import Answer

CODES = {code.name for code in ErrorCode}


def refused(answer: Answer, status: int, code: str, says: str = "") -> list[dict[str, Any]]:
    """The envelope's entries, checked."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))
    entries: list[dict[str, Any]] = answer.document["errors"]
    assert entries
    for entry in entries:
        assert set(entry) == {"code", "message", "detail"}
        assert entry["code"] == code
        assert entry["code"] in CODES
        assert says in entry["message"], entry["message"]
        assert len(entry["message"]) > 10
    return entries


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """What is there before is there after, and nothing else: sessions, bytes and rows alike."""
    before = inventory.take()
    yield
    assert inventory.take() == before


@contextmanager
def nothing_but_a_failure_left_behind() -> Iterator[None]:
    """The same, but a failed login is counted and told."""
    before = inventory.take().lasting
    yield
    assert inventory.take().lasting == before


@contextmanager
def nothing_visible_left_behind() -> Iterator[None]:
    """The same, but the session of an upload may stay until it expires."""
    before = inventory.take().visible
    yield
    assert inventory.take().visible == before
