"""Work that is done again and again beside everything else."""

from __future__ import annotations

import threading

from ccr.schedule import every


def test_work_that_fails_is_done_again_until_it_is_left() -> None:
    begun, often = 0, threading.Event()

    def work() -> None:
        nonlocal begun
        begun += 1
        if begun == 3:
            often.set()
        raise OSError("cannot be reached")

    with every(0.001, work):
        assert often.wait(60)


def test_an_interval_of_0_is_never() -> None:
    before = threading.active_count()
    with every(0, lambda: None):
        assert threading.active_count() == before
