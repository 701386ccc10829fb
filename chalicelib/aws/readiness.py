"""Whether the tables answer, asked seldom however often it is to be told."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

READY_SECONDS: Final = 5
# No session has it.
_NOBODYS: Final = "0" * 32
_LOG: Final = logging.getLogger(__name__)


class Readiness:
    """One read by `look` in `READY_SECONDS`."""

    def __init__(self, look: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._look, self._clock = look, clock
        self._looked, self._is_ready = -float(READY_SECONDS), False
        self._lock = threading.Lock()

    def __call__(self) -> bool:
        with self._lock:
            if self._clock() - self._looked < READY_SECONDS:
                return self._is_ready
            self._looked, self._is_ready = self._clock(), self._answers()
            return self._is_ready

    def _answers(self) -> bool:
        try:
            self._look(_NOBODYS)
        except Exception as error:  # noqa: BLE001 - whatever is wrong, it is not ready
            _LOG.warning("not ready, the tables do not answer: %s", type(error).__name__)
            return False
        return True
