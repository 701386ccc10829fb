"""How migrations go on: in their order, by pages, by any number at once, and killed anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from chalicelib.registry.migrations import (
    SETTLE_SECONDS,
    Migrations,
    Page,
    Schema,
    SchemaGuard,
    SchemaStore,
)
from chalicelib.registry.policies import Policy
from chalicelib.registry.unmarked import TABLES, MarkUnused, Unmarked
from chalicelib.spec.errors import RegistryError

PAGES = 3


class KilledError(BaseException):
    """What `kill -9` leaves: nothing after it runs."""


@dataclass
class Rows:
    """A table of one row, and calls that may be counted, refused or the last."""

    kept: Policy | None = None
    reads: int = 0
    calls_left: float = float("inf")
    between: Callable[[], None] = lambda: None

    def call(self) -> None:
        if self.calls_left <= 0:
            raise KilledError
        self.calls_left -= 1

    def get(self, _scope: str, _kind: str) -> Policy | None:
        self.call()
        self.reads += 1
        return self.kept

    def put(self, policy: Policy) -> bool:
        self.call()
        between, self.between = self.between, lambda: None
        between()
        if policy.version != (self.kept.version + 1 if self.kept else 1):
            return False
        self.kept = policy
        return True


@dataclass
class Numbered:
    """Of `PAGES` pages, each of which it changes once; `seen` is shared by all that are told of in order."""

    name: str
    rows: Rows
    seen: list[str]
    minimum: int = 0
    meaning: str = "for the test"
    changed: set[str] = field(default_factory=set)

    def page(self, place: str) -> Page:
        self.rows.call()
        number = int(place or 0)
        self.seen.append(f"{self.name}{number}")
        is_new = str(number) not in self.changed
        self.changed.add(str(number))
        return Page(str(number + 1) if number + 1 < PAGES else "", int(is_new))


@dataclass
class Clock:
    now: float = 1_000_000.0
    step: float = 0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def of(rows: Rows, clock: Clock, *known: Any) -> Migrations:
    return Migrations(SchemaStore(rows), known, clock)  # type: ignore[arg-type]


def two(rows: Rows, minimum: int = 0) -> tuple[list[str], Sequence[Numbered]]:
    seen: list[str] = []
    return seen, (Numbered("a", rows, seen), Numbered("b", rows, seen, minimum))


def finished(migrations: Migrations, clock: Clock) -> Schema:
    for _ in range(20):
        progress = migrations.run(float("inf"))
        if progress.is_complete:
            return progress.schema
        clock.now += SETTLE_SECONDS
    raise AssertionError(progress)


def test_they_go_in_their_order_page_by_page(rows: Rows, clock: Clock) -> None:
    seen, known = two(rows)
    assert finished(of(rows, clock, *known), clock) == Schema(applied=2)
    assert seen == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_none_begins_while_older_code_may_still_run(rows: Rows, clock: Clock) -> None:
    seen, known = two(rows)
    migrations = of(rows, clock, *known)
    first = migrations.run(float("inf"))
    assert first.next_at == int(clock.now) + SETTLE_SECONDS
    clock.now += SETTLE_SECONDS - 1
    assert migrations.run(float("inf")).next_at == first.next_at
    assert seen == []
    clock.now += 1
    assert migrations.run(float("inf")).schema.applied == 1
    assert seen == ["a0", "a1", "a2"]


def test_a_run_ends_with_its_time_and_the_next_goes_on(rows: Rows, clock: Clock) -> None:
    seen, known = two(rows)
    migrations = of(rows, clock, known[0])
    migrations.run(0)
    clock.now += SETTLE_SECONDS
    assert migrations.run(0).schema.place == "1"
    assert migrations.run(0).schema.place == "2"
    last = migrations.run(0)
    assert (last.schema.applied, last.is_complete, last.changed) == (1, True, 1)
    assert seen == ["a0", "a1", "a2"]


def test_what_is_done_costs_one_read(rows: Rows, clock: Clock) -> None:
    seen, known = two(rows)
    migrations = of(rows, clock, *known)
    finished(migrations, clock)
    seen.clear()
    rows.reads, before = 0, rows.kept
    migrations.run(float("inf"))
    assert (seen, rows.kept, rows.reads) == ([], before, 1)


def test_what_older_code_wrote_in_between_is_seen_by_running_all_again(rows: Rows, clock: Clock) -> None:
    seen, known = two(rows, minimum=2)
    migrations = of(rows, clock, *known)
    finished(migrations, clock)
    seen.clear()
    waiting = migrations.again()
    assert (waiting.is_complete, waiting.next_at) == (False, int(clock.now) + SETTLE_SECONDS)
    assert waiting.schema == Schema(minimum=2, since=int(clock.now))
    assert migrations.run(float("inf")).changed == 0
    assert finished(migrations, clock) == Schema(applied=2, minimum=2)
    assert seen == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_running_all_again_takes_a_run_that_is_under_way_along(rows: Rows, clock: Clock) -> None:
    """It begins at the first page between a page of another and the place that it would keep."""
    seen, known = two(rows)
    migrations, other = of(rows, clock, *known), of(rows, clock, *known)
    migrations.run(0)
    clock.now += SETTLE_SECONDS
    rows.between = lambda: void(other.again())
    assert migrations.run(0).schema == Schema(since=int(clock.now))
    assert seen == ["a0"]


@pytest.mark.parametrize("calls", range(24))
def test_a_kill_between_any_two_calls_loses_nothing(rows: Rows, clock: Clock, calls: int) -> None:
    seen, known = two(rows, minimum=2)
    migrations = of(rows, clock, *known)
    rows.calls_left = calls
    with pytest.raises(KilledError):
        finished(migrations, clock)
    rows.calls_left = float("inf")
    assert finished(migrations, clock) == Schema(applied=2, minimum=2)
    assert [one.changed for one in known] == [{"0", "1", "2"}] * 2
    assert list(dict.fromkeys(seen)) == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_who_is_overtaken_changes_no_place(rows: Rows, clock: Clock) -> None:
    """Another runs to the end between a page of this one and the place that it would keep."""
    seen, known = two(rows)
    migrations, other = of(rows, clock, *known), of(rows, clock, *known)
    migrations.run(0)
    clock.now += SETTLE_SECONDS
    rows.between = lambda: void(finished(other, clock))
    assert migrations.run(0).schema == Schema(applied=2)
    assert sorted(set(seen)) == ["a0", "a1", "a2", "b0", "b1", "b2"]


def void(_: object) -> None: ...


def test_a_contraction_raises_the_minimum_before_its_first_row(rows: Rows, clock: Clock) -> None:
    seen, known = two(rows, minimum=2)
    migrations = of(rows, clock, *known)
    minimum_at: dict[str, int] = {}
    page = Numbered.page

    def watched(self: Numbered, place: str) -> Page:
        assert rows.kept is not None
        minimum_at.setdefault(self.name, rows.kept.document["minimum"])
        return page(self, place)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Numbered, "page", watched)
        finished(migrations, clock)
    assert minimum_at == {"a": 0, "b": 2}
    assert len(seen) == 6


def guard_of(rows: Rows, known: int) -> SchemaGuard:
    return SchemaGuard(SchemaStore(rows), known)  # type: ignore[arg-type]


def kept(rows: Rows, **said: Any) -> None:
    rows.kept = Policy("#", "schema", said, 7)


def test_code_that_is_too_old_is_refused_at_every_call_and_told_what_to_do(rows: Rows) -> None:
    kept(rows, applied=3, minimum=3)
    guard = guard_of(rows, 2)
    for _ in range(2):
        with pytest.raises(RegistryError, match="schema 3, and this knows 2: deploy") as refused:
            guard.check()
        assert refused.value.status == 503


@pytest.mark.parametrize("minimum", [0, 1, 2])
def test_code_that_knows_enough_reads_the_schema_once(rows: Rows, minimum: int) -> None:
    """Also where the tables were migrated by later code, whose migrations this one's rows outlive."""
    kept(rows, applied=9, minimum=minimum, later="what this code does not know")
    guard = guard_of(rows, 2)
    for _ in range(5):
        guard.check()
    assert rows.reads == 1


def test_tables_that_cannot_be_read_are_no_reason_to_refuse_and_are_looked_at_again(rows: Rows) -> None:
    class Broken(Rows):
        def get(self, scope: str, kind: str) -> Policy | None:
            super().get(scope, kind)
            raise OSError

    broken = Broken()
    guard = guard_of(broken, 2)
    guard.check()
    guard.check()
    assert broken.reads == 2


def test_older_code_leaves_later_tables_as_they_are(rows: Rows, clock: Clock) -> None:
    kept(rows, applied=9, minimum=1)
    before = rows.kept
    _, known = two(rows)
    assert of(rows, clock, *known).run(float("inf")).is_complete
    assert rows.kept == before


def test_tables_are_marked_one_after_the_other_from_page_to_page() -> None:
    class Store:
        def unmarked(self, table: str, after: str) -> tuple[list[Unmarked], str]:
            pages = {"": ([Unmarked(table, "1")], 'a "key" of two words'), 'a "key" of two words': ([], "")}
            return pages[after]

        def mark(self, _table: str, _row: Unmarked) -> bool:
            return True

    migration, places, changed = MarkUnused(Store()), [""], 0
    while len(places) == 1 or places[-1]:
        page = migration.page(places[-1])
        places.append(page.place)
        changed += page.changed
    assert changed == len(TABLES)
    assert [place.partition(" ")[0] for place in places[1:-1]] == [
        "manifests",
        "links",
        "links",
        "blobs",
        "blobs",
    ]
