"""What fsck reads at once fits in one transaction, and no two rows are taken for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from chalicelib.management.models import CheckIn
from chalicelib.management.seals import Seals
from chalicelib.registry.proof import BLOBS, LINKS, MANIFESTS, TRASH, Finding, Ground, Place, Row
from chalicelib.registry.windows import COUNTED, WINDOW, Window
from chalicelib.spec.digest import Digest

# DynamoDB's, of TransactGetItems and of one row.
TRANSACTION_BYTES = 4 * 1024 * 1024
ROW_BYTES = 400 * 1024


@dataclass
class Rows:
    every: list[Row] = field(default_factory=list)
    asked: list[list[Place]] = field(default_factory=list)

    def together(self, places: Sequence[Place]) -> dict[Place, Row]:
        self.asked.append(list(places))
        return {row.place: row for row in self.every if row.place in places}

    def repositories(self, account: str) -> list[str]:
        return [f"{account}/r/app"]

    def page(self, table: str, scope: str, after: str, limit: int) -> list[Row]:
        mine = [row for row in self.every if row.place[:2] == (table, scope) and row.key > after]
        return sorted(mine, key=lambda row: row.key)[:limit]


def ground(rows: Rows) -> Ground:
    return Ground(cast("Any", rows), lambda _: "0", lambda _: 0, lambda *_: None, 0)


@pytest.mark.parametrize("table", [MANIFESTS, TRASH])
def test_rows_with_the_bytes_of_manifests_are_read_together_as_far_as_they_fit(table: str) -> None:
    rows = Rows()
    places = {Place(table, "a/r/app", str(number)) for number in range(25)}
    ground(rows).many([*places, *places])
    assert all(len(asked) * ROW_BYTES <= TRANSACTION_BYTES for asked in rows.asked)
    assert sorted(place for asked in rows.asked for place in asked) == sorted(places)


def test_small_rows_are_read_by_the_hundred() -> None:
    rows = Rows()
    ground(rows).many(Place(LINKS, "a/r/app", str(number)) for number in range(250))
    assert [len(asked) for asked in rows.asked] == [100, 100, 50]


def test_digests_that_end_alike_are_counted_apart() -> None:
    digests = [f"sha256:{first * 48}{'f' * 16}" for first in "01"]
    counted = {"links": 1, "kept": 0}
    rows = Rows([Row(Place(BLOBS, "a", one), counted) for one in digests])
    rows.every += [Row(Place(LINKS, "a/r/app", one), {}) for one in digests]
    state: dict[str, Any] = {}
    window = Window(ground(rows), COUNTED[BLOBS], "a", state)
    found: list[Finding] = []
    while not window.is_done:
        found += window.step(lambda _: [])
    assert (found, state.get("unsettled")) == ([], 0)


def test_the_cursor_of_a_full_window_is_taken_again() -> None:
    digests = [Digest.of(str(number).encode()) for number in range(WINDOW)]
    rows = Rows([Row(Place(BLOBS, "a", one), {"links": 1, "version": 1000, "key": one}) for one in digests])
    state: dict[str, Any] = {}
    next(Window(ground(rows), COUNTED[BLOBS], "a", state).step(lambda _: []), None)
    assert len(state["rows"]) == WINDOW
    whole = {"account": "a", "only": "", "scope": "a", "step": 0, "at_account": True, "work": state}
    cursor = Seals([b"key"]).packed(whole)
    assert CheckIn(cursor=cursor).cursor == cursor
