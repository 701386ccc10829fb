"""Has direct uploads verified by threads of this process, a few at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

AT_ONCE: Final = 2
_LOG: Final = logging.getLogger(__name__)


class Background:
    """Threads that do not keep the process alive: what they leave, the next one to ask has done again."""

    def __init__(self, verify: Callable[[str], object]) -> None:
        self._verify = verify
        self._asked: SimpleQueue[str] = SimpleQueue()
        self._waiting: set[str] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def __call__(self, session: str) -> None:
        with self._lock:
            if session in self._waiting:
                return
            self._waiting.add(session)
            if len(self._threads) < AT_ONCE:
                self._threads.append(threading.Thread(target=self._work, name="verifier", daemon=True))
                self._threads[-1].start()
        self._asked.put(session)

    def _work(self) -> None:
        while True:
            session = self._asked.get()
            with self._lock:
                self._waiting.discard(session)
            try:
                self._verify(session)
            except Exception:  # noqa: BLE001 - whatever it is, the next one is verified
                _LOG.exception("a direct upload could not be verified yet")
