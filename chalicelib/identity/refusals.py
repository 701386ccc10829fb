"""What the domain of identity refuses, and why: one exception, told apart by its reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Reason(Enum):
    """Each with the status that HTTP has for it."""

    INVALID = 422
    FORBIDDEN = 403
    NOT_FOUND = 404
    CONFLICT = 409
    STALE = 412


@dataclass(slots=True)
class RefusedError(Exception):
    """A refusal with a message that a person can act on."""

    reason: Reason
    message: str

    def __post_init__(self) -> None:
        Exception.__init__(self, self.message)


def not_found(what: str, name: str) -> RefusedError:
    """The same for what is not there and for what the caller may not see."""
    return RefusedError(Reason.NOT_FOUND, f"there is no {what} {name!r} that you may see")


def stale(what: str, name: str) -> RefusedError:
    message = f"the {what} {name!r} has changed since you read it: read it again, then decide"
    return RefusedError(Reason.STALE, message)
