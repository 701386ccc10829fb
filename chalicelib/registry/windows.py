"""Counts held to what they count, a window of rows at a time.

A counted row is read, everything that may name it is read, and the row is read again. Whatever begins or
ceases to name it changes its version in the same transaction: if it is the same row, what was counted
in between is the truth, whoever wrote meanwhile. If it is not, it is counted again in a smaller window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chalicelib.registry.proof import (
    BLOBS,
    LINKS,
    MANIFESTS,
    TAGS,
    TRASH,
    Finding,
    Ground,
    Mend,
    Place,
    Row,
    exactly,
)

WINDOW: Final = 1000
PAGE: Final = 250
TRIES: Final = 4
AGAIN: Final = 100
# After every edge of a referrer, before every manifest.
FIRST_MANIFEST: Final = "referrers~"


@dataclass(frozen=True, slots=True)
class Source:
    """Rows that name counted ones: `counter` says which of their counts, `names` which of them."""

    table: str
    counter: int
    names: Callable[[Row], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Counted:
    """A table whose rows count what names them. `is_wide`: rows of every repository of the account do."""

    table: str
    counters: tuple[str, ...]
    sources: tuple[Source, ...]
    is_wide: bool = False
    first: str = ""


COUNTED: Final = {
    LINKS: Counted(LINKS, ("references",), (Source(MANIFESTS, 0, lambda row: row.names("b")),)),
    MANIFESTS: Counted(
        MANIFESTS,
        ("tags", "parents"),
        (
            Source(TAGS, 0, lambda row: [row.text("digest")]),
            Source(MANIFESTS, 1, lambda row: row.names("m")),
        ),
        first=FIRST_MANIFEST,
    ),
    BLOBS: Counted(
        BLOBS,
        ("links", "kept"),
        (Source(LINKS, 0, lambda row: [row.key]), Source(TRASH, 1, lambda row: row.names("b"))),
        is_wide=True,
    ),
}
# What a row of another table that names nothing is called, and what to do about it.
_DANGLING: Final = {
    (LINKS, MANIFESTS): ("manifest-blob-missing", "push the blob to this repository again"),
    (MANIFESTS, TAGS): ("tag-dangling", "the tag can be taken away"),
    (MANIFESTS, MANIFESTS): ("manifest-child-missing", "push the child to this repository again"),
    (BLOBS, LINKS): ("link-dangling", "push the blob again after the link has been deleted"),
    (BLOBS, TRASH): ("trash-blob-missing", "the deleted manifest cannot be restored; purge it"),
}


class Window:
    """One window on its way; `state` is all of it, as JSON. `check` looks at each row as it comes in."""

    def __init__(self, ground: Ground, kind: Counted, scope: str, state: dict[str, Any]) -> None:
        self._ground, self._kind, self._scope, self._state = ground, kind, scope, state

    def step(self, check: Callable[[Sequence[Row]], Iterable[Finding]]) -> Iterator[Finding]:
        """One page of work; `is_done` tells when there is no more."""
        if "rows" not in self._state:
            yield from self._open(check)
        elif self._state["source"] is not None:
            yield from self._count()
        else:
            yield from self._settle()

    @property
    def is_done(self) -> bool:
        return bool(self._state.get("done"))

    def _open(self, check: Callable[[Sequence[Row]], Iterable[Finding]]) -> Iterator[Finding]:
        state = self._state
        again = state.get("again")
        if again:
            found = self._ground.many(Place(self._kind.table, self._scope, key) for key in again)
            rows = list(found.values())
        else:
            after = state.get("after") or self._kind.first
            rows = self._ground.rows.page(self._kind.table, self._scope, after, WINDOW)
            # The last one reaches to the end, so that what names nothing is in some window.
            state["until"] = rows[-1].key if len(rows) == WINDOW else ""
            yield from check(rows)
        state["rows"] = {_short(row.key): [row.token, *(0 for _ in self._kind.counters)] for row in rows}
        state["source"] = self._next_source(None)
        state["source_after"] = ""

    def _next_source(self, before: list[Any] | None) -> list[Any] | None:
        """The one after `before`: a repository and a number among the sources."""
        count = len(self._kind.sources)
        if not self._kind.is_wide:
            number = 0 if before is None else before[1] + 1
            return [self._scope, number] if number < count else None
        if before is not None and before[1] + 1 < count:
            return [before[0], before[1] + 1]
        # One that comes later changes what it links, which is looked at again then.
        every = self._ground.repositories(self._scope, is_new=before is None)
        later = next((one for one in every if before is None or one > before[0]), None)
        return None if later is None else [later, 0]

    def _count(self) -> Iterator[Finding]:
        state = self._state
        scope, number = state["source"]
        source = self._kind.sources[number]
        after = state["source_after"] or (FIRST_MANIFEST if source.table == MANIFESTS else "")
        page = self._ground.rows.page(source.table, scope, after, PAGE)
        for row in page:
            for name in source.names(row):
                counts = state["rows"].get(_short(name))
                if counts is not None:
                    counts[1 + source.counter] += 1
                elif self._reaches(name):
                    yield from self._dangling(source, row, name)
        if len(page) == PAGE:
            state["source_after"] = page[-1].key
        else:
            state["source"], state["source_after"] = self._next_source(state["source"]), ""

    def _reaches(self, name: str) -> bool:
        state = self._state
        is_before = bool(state.get("until")) and name > state["until"]
        return not state.get("again") and name > (state.get("after") or "") and not is_before

    def _dangling(self, source: Source, row: Row, name: str) -> Iterator[Finding]:
        """Both at one instant, so that no write beside this explains it."""
        target = Place(self._kind.table, self._scope, name)
        found = self._ground.rows.together([row.place, target])
        now = found.get(row.place)
        if now is None or name not in source.names(now) or target in found:
            return
        code, advice = _DANGLING[self._kind.table, source.table]
        message = f"{row.key} names {name}, which is not there: {advice}"
        is_tag = source.table == TAGS
        mends = (Mend(now.place, exactly(now)), Mend(target, None, is_check=True)) if is_tag else ()
        yield Finding(code, row.place, message, {"names": name}, {}, mends)

    def _settle(self) -> Iterator[Finding]:
        """Read them again: those that are the same were counted right."""
        state, again = self._state, list[str]()
        for row in self._rows_again():
            counts = state["rows"].get(_short(row.key))
            if counts is None:
                continue
            token, *counted = counts
            if row.token == token:
                yield from self._compare(row, counted)
            elif [row.number(name) for name in self._kind.counters] != counted:
                again.append(row.key)
        tries, pending = state.get("tries", 0), state.get("pending", [])
        unsettled = state.get("unsettled", 0)
        if state.get("again"):
            if tries + 1 >= TRIES:
                unsettled, again = unsettled + len(again), []
            pending = [*again, *pending] if again else pending
        else:
            pending = [*pending, *again]
            tries = 0
        self._move_on(pending, tries + 1 if again and state.get("again") else 0, unsettled)

    def _move_on(self, pending: list[str], tries: int, unsettled: int) -> None:
        state = self._state
        is_last = not state.get("until")
        after = state.get("after") if state.get("again") else state.get("until")
        until = state.get("until")
        state.clear()
        state["unsettled"] = unsettled
        if pending:
            state.update(again=pending[:AGAIN], pending=pending[AGAIN:], tries=tries)
            state.update(after=after or "", until=until or "")
        elif is_last:
            state["done"] = True
        else:
            state["after"] = until

    def _rows_again(self) -> Iterator[Row]:
        state = self._state
        if state.get("again"):
            yield from self._ground.many(
                Place(self._kind.table, self._scope, key) for key in state["again"]
            ).values()
            return
        after = state.get("after") or self._kind.first
        while True:
            page = self._ground.rows.page(self._kind.table, self._scope, after, WINDOW)
            yield from (row for row in page if not state["until"] or row.key <= state["until"])
            if len(page) < WINDOW or (state["until"] and page[-1].key >= state["until"]):
                return
            after = page[-1].key

    def _compare(self, row: Row, counted: Sequence[int]) -> Iterator[Finding]:
        names = self._kind.counters
        found = {name: row.number(name) for name in names}
        should = dict(zip(names, counted, strict=True))
        put: dict[str, Any] = {**should}
        if self._kind.table != MANIFESTS and not any(counted):
            put |= self._ground.marks(row.key)
        mends = (Mend(row.place, exactly(row), put),)
        if found != should:
            message = f"{row.key} counts {_said(found)}, there are {_said(should)}"
            yield Finding(f"{self._kind.table[:-1]}-count", row.place, message, found, should, mends)
        elif self._kind.table == BLOBS and row.values.get("kept") is None:
            message = f"{row.key} does not count what keeps it: it is of before there was anything to"
            yield Finding("blob-unmarked", row.place, message, {}, should, mends)


def _said(counts: dict[str, int]) -> str:
    return " and ".join(f"{count} {name}" for name, count in counts.items())


def _short(key: str) -> str:
    """128 bits: of 64, somebody could make two that are the same."""
    return key[-32:]
