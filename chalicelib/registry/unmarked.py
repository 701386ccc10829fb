"""Migration 1: what may be unused gets the mark that the collector goes by.

Code of before the collector wrote links, blobs and staged manifests without one; whatever of those was not
touched since is in none of its lists, and would be stored and charged for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from chalicelib.registry.migrations import Page

MANIFESTS: Final = "manifests"
LINKS: Final = "links"
BLOBS: Final = "blobs"
# Manifests let go of blobs through links: what the first ones free is in the lists of the others.
TABLES: Final = (MANIFESTS, LINKS, BLOBS)


@dataclass(frozen=True, slots=True)
class Unmarked:
    """A row by its keys that seems unused and has no mark."""

    hash_key: str
    range_key: str


class UnmarkedStore(Protocol):
    def unmarked(self, table: str, after: str) -> tuple[Sequence[Unmarked], str]:
        """One page of a table, and where the next begins; '' at the end."""
        ...

    def mark(self, table: str, row: Unmarked) -> bool:
        """As of now. False: somebody uses it by now, or marked it, or it is gone."""
        ...


@dataclass(frozen=True, slots=True)
class MarkUnused:
    """Code of before it passes over the marks; code of after it marks whatever it takes away itself."""

    store: UnmarkedStore
    name: str = "mark-unused"
    meaning: str = "what was left unused before there was a collector comes into its lists"
    minimum: int = 0

    def page(self, place: str) -> Page:
        table, _, after = (place or TABLES[0]).partition(" ")
        rows, following = self.store.unmarked(table, after)
        changed = sum(self.store.mark(table, row) for row in rows)
        if following:
            return Page(f"{table} {following}", changed)
        left = TABLES[TABLES.index(table) + 1 :]
        return Page(left[0] if left else "", changed)
