"""Work on several blobs, or parts of one, at once: all of it, or the first thing that goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Final, TypeVar

from ccr.cli.transfer.retry import Patience

BLOBS_AT_ONCE: Final = 4

Blob = TypeVar("Blob")
Outcome = TypeVar("Outcome")


def each(
    blobs: Iterable[Blob], work: Callable[[Blob], Outcome], patience: Patience, parts: ThreadPoolExecutor
) -> list[Outcome]:
    """What `work`, whose parts travel in `parts`, makes of each; nothing goes on in the background then."""
    pool = ThreadPoolExecutor(BLOBS_AT_ONCE, "blob")
    try:
        return all_of([pool.submit(work, one) for one in blobs])
    finally:
        patience.stop()
        for one in (pool, parts):
            one.shutdown(cancel_futures=True)


def all_of(under_way: Sequence[Future[Outcome]]) -> list[Outcome]:
    """Raises what one of them raises, at once."""
    wait(under_way, return_when=FIRST_EXCEPTION)
    raise_broken(under_way)
    return [one.result() for one in under_way]


def raise_broken(under_way: Iterable[Future[Outcome]]) -> None:
    """What one of those that have ended has raised."""
    for one in under_way:
        if one.done() and one.exception() is not None:
            one.result()
