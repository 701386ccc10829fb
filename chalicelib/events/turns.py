"""Whose turn it is: whoever has much to be told of keeps nobody waiting who has little."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

T = TypeVar("T")


def in_turns(items: Iterable[T], owner: Callable[[T], Hashable]) -> list[T]:
    """The first of each owner, then the second of each, and so on; in the order of `items` otherwise."""
    seen: Counter[Hashable] = Counter()
    ranked: list[tuple[int, T]] = []
    for item in items:
        ranked.append((seen[owner(item)], item))
        seen[owner(item)] += 1
    return [item for _, item in sorted(ranked, key=lambda pair: pair[0])]
