"""A client that answers for DynamoDB or S3 before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Error = dict[str, Any]


@dataclass
class Status:
    """The part of an HTTP answer that botocore looks at."""

    status_code: int = 400


@contextmanager
def refusing(client: Any, service: str, operation: str, errors: Sequence[Error]) -> Iterator[list[Error]]:
    """Each call gets the next of `errors`, once they are all given the engine itself; yields those left."""
    left = list(errors)

    def answer(**_: object) -> tuple[Status, Error] | None:
        return (Status(), left.pop(0)) if left else None

    event = f"before-call.{service}.{operation}"
    client.meta.events.register(event, answer)
    try:
        yield left
    finally:
        client.meta.events.unregister(event, answer)


def throttled(code: str) -> Error:
    return {"Error": {"Code": code, "Message": "slow down"}}


def cancelled(*reasons: str) -> Error:
    """A transaction refused, with the reason of each of its items in the order they were sent."""
    return {
        "Error": {"Code": "TransactionCanceledException", "Message": "Transaction cancelled"},
        "CancellationReasons": [{"Code": reason, "Message": reason} for reason in reasons],
    }
