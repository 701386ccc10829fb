"""Doing something again after it failed in passing, and stopping all of it at once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from ccr.cli.exits import CliError, PassingError

ATTEMPTS: Final = 8
_FIRST_SECONDS: Final = 0.2
_LONGEST_SECONDS: Final = 15.0

T = TypeVar("T")


class StoppedError(CliError):
    """Another part of the same transfer failed, or a person pressed Ctrl-C."""

    def __init__(self) -> None:
        super().__init__("stopped")


class Patience:
    """For everything in one transfer."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def check(self) -> None:
        """Raises StoppedError."""
        if self._stopped.is_set():
            raise StoppedError

    def pause(self, seconds: float) -> None:
        """Raises StoppedError."""
        if self._stopped.wait(seconds):
            raise StoppedError

    def again(self, call: Callable[[], T]) -> T:
        """Until it works, or has failed often enough. Raises what it raised last."""
        for attempt in range(ATTEMPTS - 1):
            self.check()
            try:
                return call()
            except PassingError as error:
                self.pause(max(error.wait, _backoff(attempt)))
        return call()


def _backoff(attempt: int) -> float:
    longest = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2**attempt)
    return random.uniform(longest / 2, longest)  # noqa: S311 - to spread requests, not to keep a secret
