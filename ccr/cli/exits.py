"""How a command ends: exit codes that scripts can use, and the error that carries one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """Part of the interface: numbers stay, new ones come at the end."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NOT_LOGGED_IN = 3
    FORBIDDEN = 4
    NOT_FOUND = 5
    CONFLICT = 6
    INVALID = 7
    LOCKED = 8
    UNREACHABLE = 9
    DAMAGED = 10

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS: Mapping[Exit, str] = {
    Exit.OK: "it worked",
    Exit.FAILURE: "it failed in a way that none of the others is",
    Exit.USAGE: "the command line is none: see --help",
    Exit.NOT_LOGGED_IN: "not logged in, or the id and secret are wrong",
    Exit.FORBIDDEN: "the credential may not do this",
    Exit.NOT_FOUND: "there is no such thing, or the credential may not see it",
    Exit.CONFLICT: "the name is taken, it is not empty, or it has changed since it was read",
    Exit.INVALID: "the registry does not take these values",
    Exit.LOCKED: "too many failed logins or requests: wait as long as the message says",
    Exit.UNREACHABLE: "the registry cannot be reached, or what answers is none",
    Exit.DAMAGED: "what was read is no whole image, or not what its digest says",
}

_BY_STATUS: Mapping[int, Exit] = {
    400: Exit.INVALID,
    401: Exit.NOT_LOGGED_IN,
    403: Exit.FORBIDDEN,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
    412: Exit.CONFLICT,
    413: Exit.INVALID,
    422: Exit.INVALID,
    429: Exit.LOCKED,
}


class CliError(Exception):
    """Ends the command with `exit_code`, one line, and for JSON the `problem` that the registry gave."""

    def __init__(
        self, message: str, exit_code: Exit = Exit.FAILURE, problem: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.problem = problem or {"type": "about:blank", "title": exit_code.meaning, "detail": message}


class PassingError(CliError):
    """The same may well work a moment later, after `wait` seconds where the registry says how long."""

    wait: float = 0


def of_status(status: int) -> Exit:
    return _BY_STATUS.get(status, Exit.FAILURE)


def listing() -> str:
    """For `ccr --help`."""
    lines = "  \n".join(f"{one.value} {one.meaning}" for one in Exit)
    return f"Exit codes:\n\n{lines}"
