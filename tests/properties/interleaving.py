"""Runs domain operations one store call at a time, in any order, and breaks them at any call.

An operation has a thread, of which one at a time runs: it stops before each store call until it is told
how that call shall end. Nothing but store calls is seen by others, so this covers every interleaving.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from enum import Enum
from queue import SimpleQueue
from types import GeneratorType
from typing import Any, Final

from hypothesis import currently_in_test_context, note

from chalicelib.spec.errors import ErrorCode

STUCK_SECONDS: Final = 60
# Far more than any operation takes, however often it starts over.
MOST_CALLS: Final = 500


class Fate(Enum):
    """How a store call ends."""

    WELL = "is answered"
    FAIL = "fails without an effect"
    LOSE_ANSWER = "takes effect but its answer is lost"
    DIE_BEFORE = "is never made: the process dies"
    DIE_AFTER = "takes effect, then the process dies"


BROKEN: Final = (Fate.FAIL, Fate.LOSE_ANSWER, Fate.DIE_BEFORE, Fate.DIE_AFTER)


class OutageError(Exception):
    """The store could not be reached, or its answer did not arrive."""


class DeathError(BaseException):
    """Unwinds the thread of a dead process, whose handlers reach no store any more."""


_running = threading.local()


def _tell(line: str) -> None:
    """Into the trace of a failing example."""
    if currently_in_test_context():
        note(line)


class Operation:
    """One call of the domain on its way; `waiting` is the store call it stands before, or ''.

    `allowed` are the refusals it may end with when nothing breaks.
    """

    def __init__(
        self, label: str, work: Callable[[], Any], allowed: AbstractSet[ErrorCode] = frozenset()
    ) -> None:
        self.label, self.allowed = label, allowed
        self.waiting = ""
        self.is_done = self.is_dead = False
        self.calls = 0
        self.broken: list[str] = []
        self.result: Any = None
        self.error: BaseException | None = None
        self._work = work
        self._orders: SimpleQueue[Fate] = SimpleQueue()
        self._reports: SimpleQueue[str | None] = SimpleQueue()
        threading.Thread(target=self._main, daemon=True).start()
        self._await()

    def step(self, fate: Fate = Fate.WELL) -> None:
        """Let the waiting call end like this, and run to the next one."""
        assert not self.is_done
        self.calls += 1
        assert self.calls < MOST_CALLS, f"{self.label} goes on for ever"
        _tell(f"    {self.label}: {self.waiting} {fate.value}")
        if fate is not Fate.WELL:
            self.broken.append(f"{self.waiting} {fate.value}")
        self._orders.put(fate)
        self._await()
        if self.is_done:
            _tell(f"    {self.label}: ends with {self.error or self.result!r:.150}")

    def finish(self) -> Operation:
        while not self.is_done:
            self.step()
        return self

    def stop_before(self, call: str) -> Fate:
        """Called on the operation's own thread."""
        if self.is_dead:
            raise DeathError
        self._reports.put(call)
        fate = self._orders.get()
        if fate in {Fate.DIE_BEFORE, Fate.DIE_AFTER}:
            self.is_dead = True
        if fate is Fate.DIE_BEFORE:
            raise DeathError
        if fate is Fate.FAIL:
            raise OutageError(call)
        return fate

    def _await(self) -> None:
        report = self._reports.get(timeout=STUCK_SECONDS)
        self.waiting, self.is_done = report or "", report is None

    def _main(self) -> None:
        _running.operation = self
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001 - the test judges it
            self.error = error
        self._reports.put(None)


def current() -> Operation | None:
    """The operation on whose thread this runs; None for the test itself."""
    return getattr(_running, "operation", None)


def pause(before: str = "the next read") -> None:
    """A stop inside a store call that is not atomic, or where something else takes time."""
    operation = current()
    if operation is not None:
        fate = operation.stop_before(before)
        if fate is Fate.DIE_AFTER:
            raise DeathError
        if fate is Fate.LOSE_ANSWER:
            raise OutageError


class Stopping:
    """A store whose every call is a stop of the operation that makes it."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)

        def call(*arguments: Any, **named: Any) -> Any:
            operation = current()
            if operation is None:
                return method(*arguments, **named)
            fate = operation.stop_before(f"{name}{_shown(arguments)}")
            answer = method(*arguments, **named)
            if isinstance(answer, GeneratorType):
                answer = iter(list(answer))
            if fate is Fate.DIE_AFTER:
                raise DeathError
            if fate is Fate.LOSE_ANSWER:
                raise OutageError(name)
            return answer

        return call


def _shown(arguments: tuple[Any, ...]) -> str:
    """Enough of the arguments to follow a trace by."""
    shown = []
    for one in arguments:
        if isinstance(one, list):
            shown.append(" + ".join(type(change).__name__ for change in one))
        elif isinstance(one, str) and len(one) < 80:
            shown.append(one)
    return f"({', '.join(shown)})"
