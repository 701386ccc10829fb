"""A condition that did not hold is an answer; anything else is an error."""

from __future__ import annotations

from typing import Final

from pynamodb.exceptions import DeleteError, PutError, UpdateError

_FAILED: Final = "ConditionalCheckFailedException"


def check_lost(error: PutError | UpdateError | DeleteError) -> None:
    """Raises `error` again unless it says that a condition did not hold."""
    if error.cause_response_code != _FAILED:
        raise error
