"""The simple model: what must be pullable, named and restorable, as sets of what may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.properties.whole_registry import Key

Effects = Mapping[Key, Any]


@dataclass
class Expectations:
    """For each key the values that it may have: one alone where no operation is under way or was broken.

    A key is a link, a live manifest, a tag or a kept deletion of one repository; absent is None.
    """

    may: dict[Key, set[Any]] = field(default_factory=dict)

    def of(self, key: Key) -> set[Any]:
        return self.may.get(key, {None})

    def surely(self, key: Key) -> bool:
        """Whether it certainly is there."""
        return None not in self.of(key)

    def begin(self, possible: Iterable[tuple[Key, Any]]) -> None:
        """An operation is under way that may do this, wholly or not."""
        for key, value in possible:
            self.may[key] = self.of(key) | {value}

    def end(self, effects: Effects) -> None:
        """It was acknowledged, and nothing else touched these."""
        for key, value in effects.items():
            self.may[key] = {value}

    def check(self, facts: Mapping[Key, Any]) -> None:
        for key in facts.keys() | self.may.keys():
            assert facts.get(key) in self.of(key), f"{key} is {facts.get(key)}, expected of {self.of(key)}"

    def settle(self, facts: Mapping[Key, Any]) -> None:
        """Nothing is under way: what it came to is what it is."""
        self.check(facts)
        self.may = {key: {value} for key, value in facts.items()}
