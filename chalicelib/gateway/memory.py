"""Tells glibc to give the memory of a part back when the part is gone."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

# From malloc.h.
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
LARGE_BLOCK: Final = 1024 * 1024


def return_large_blocks() -> None:
    """One heap for all threads, and blocks of `LARGE_BLOCK` and more outside of it.

    Left alone, glibc raises that limit to the largest block it has seen freed, and every upload thread
    grows its parts in a heap of its own, whose holes no other thread can use: measured, 280 MB where
    five uploads hold 50. Without effect where malloc is another.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK)
