"""What the local deployment does now and then, beside its requests."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_LOG: Final = logging.getLogger(__name__)


@contextmanager
def every(seconds: float, work: Callable[[], object]) -> Iterator[None]:
    """In a thread, until left; never where `seconds` is 0. What it is at then is left as it is."""
    if not seconds:
        yield
        return
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            try:
                work()
            except Exception:  # noqa: BLE001 - whatever it is, there is a next time
                _LOG.exception("scheduled work failed; it is tried again in %s s", seconds)

    threading.Thread(target=run, name="schedule", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
