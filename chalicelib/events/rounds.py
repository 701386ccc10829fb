"""One round of the stream function: the outbox into the queues, then what is due to those who are told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final

from chalicelib.events.courier import Courier
from chalicelib.events.drain import Drainer
from chalicelib.events.stores import Queue, Queues
from chalicelib.events.turns import in_turns

# Many more than one account may have webhooks: those of one that all hang leave enough for the others.
AT_ONCE: Final = 128
DUE_LIMIT: Final = 500
_LOG: Final = logging.getLogger(__name__)


@dataclass
class Rounds:
    """A target has a thread of its own at the most, so that a slow one keeps nobody else waiting."""

    drainer: Drainer
    courier: Courier
    queues: Queues
    clock: Callable[[], float]
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE, "courier"))
    _busy: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def drain(self, lanes: Iterable[tuple[str, str]] | None = None) -> list[Queue]:
        return self.drainer.drain(lanes)

    def run(self, seconds: float, lanes: Iterable[tuple[str, str]] | None = None) -> None:
        """Drain, and deliver what is due; within about `seconds`.

        Where `lanes` are given, only what is new in them: all else is looked for once a minute.
        """
        wait(self._begin(seconds, self.drain(lanes), self._due() if lanes is None else []))

    def begin(self, seconds: float) -> None:
        """The same, without waiting for what is delivered."""
        self._begin(seconds, self.drain(), self._due())

    def _due(self) -> list[Queue]:
        return self.queues.due(int(self.clock()), DUE_LIMIT)

    def _begin(self, seconds: float, filled: list[Queue], due: list[Queue]) -> list[Future[None]]:
        until = self.clock() + seconds
        by_target: dict[str, list[Queue]] = {}
        for queue in dict.fromkeys([*filled, *due]):
            by_target.setdefault(queue.target, []).append(queue)
        with self._lock:
            free = in_turns((target for target in by_target if target not in self._busy), _account)
            self._busy.update(free)
        return [self.pool.submit(self._deliver, target, by_target[target], until) for target in free]

    def _deliver(self, target: str, queues: list[Queue], until: float) -> None:
        try:
            self._in_turn(queues, until)
        finally:
            with self._lock:
                self._busy.discard(target)

    def _in_turn(self, queues: list[Queue], until: float) -> None:
        """Of one target, until it cannot be reached."""
        for queue in queues:
            if self.clock() >= until:
                return
            try:
                outcome = self.courier.deliver(queue, until)
            except Exception:  # noqa: BLE001 - its lease ends, and somebody else goes on
                _LOG.warning("the queue of %s for %s was left", queue.target, queue.lane, exc_info=True)
                continue
            if outcome is not None and outcome.is_unreachable:
                return


def _account(target: str) -> str:
    return target.partition("/")[0]
