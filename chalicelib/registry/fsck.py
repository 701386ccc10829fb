"""Proves what must hold of a live registry: read-only, by slices, never a finding that a write explains.

A plan is its findings, each with the writes that mend it; they hold only while the rows are as found.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chalicelib.registry.manifests import Manifests
from chalicelib.registry.proof import (
    BLOBS,
    HISTORY,
    LINKS,
    MANIFESTS,
    TAGS,
    TRASH,
    USAGE,
    Finding,
    Ground,
    Mend,
    Place,
    Row,
    RowStore,
)
from chalicelib.registry.row_checks import (
    check_blobs,
    check_edges,
    check_history,
    check_links,
    check_manifests,
    check_tags,
    check_trash,
    usage_finding,
)
from chalicelib.registry.windows import COUNTED, FIRST_MANIFEST, PAGE, TRIES, Window
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import RegistryError
from chalicelib.spec.manifest import parse_manifest
from chalicelib.spec.reference import Repository

# Of one slice: a plan is read by people.
FINDINGS_LIMIT: Final = 200
Check = Callable[[Ground, Sequence[Row]], Iterable[Finding]]
_WINDOWS: Final[Mapping[str, Check]] = {
    LINKS: check_links,
    MANIFESTS: check_manifests,
    BLOBS: check_blobs,
}
_PAGES: Final[Mapping[str, tuple[str, str, Check]]] = {
    "referrers": (MANIFESTS, FIRST_MANIFEST, check_edges),
    TAGS: (TAGS, "", check_tags),
    TRASH: (TRASH, "", check_trash),
}
OF_REPOSITORY: Final = (LINKS, MANIFESTS, "referrers", TAGS, HISTORY, TRASH)
OF_ACCOUNT: Final = (BLOBS, USAGE)


@dataclass(slots=True)
class Slice:
    """What one call came to; `state` is where the next one goes on, None at the end.

    `unsettled` are rows that changed each time they were looked at.
    """

    findings: list[Finding] = field(default_factory=list)
    state: dict[str, Any] | None = None
    unsettled: int = 0


@dataclass(frozen=True, slots=True)
class Fsck:
    rows: RowStore
    shard_of: Callable[[str], str]
    limit_of: Callable[[str], int]
    manifests: Manifests
    clock: Callable[[], float] = time.time

    def begin(self, account: str, scope: str = "") -> dict[str, Any]:
        """Of one repository where `scope` is given, and else of the account and all that it has."""
        return {"account": account, "only": scope, "scope": scope, "step": 0, "work": {}}

    def slice(self, state: Mapping[str, Any], until: float) -> Slice:
        """At least one page of work, and no more once the clock says `until`."""
        made, state = Slice(), dict(state)
        ground = Ground(self.rows, self.shard_of, self.limit_of, self._descriptor, int(self.clock()))
        if not state["only"] and not state["scope"] and "at_account" not in state:
            self._next_scope(state)
        while True:
            made.findings += self._step(ground, state)
            work = state["work"]
            if work.get("done"):
                made.unsettled += work.get("unsettled", 0)
                if not self._next_step(state):
                    return made
            if self.clock() >= until or len(made.findings) >= FINDINGS_LIMIT:
                made.state = state
                return made

    def run(self, account: str, scope: str = "") -> Slice:
        """All of it at once."""
        whole, state = Slice(), self.begin(account, scope)
        while True:
            made = self.slice(state, float("inf"))
            whole.findings += made.findings
            whole.unsettled += made.unsettled
            if made.state is None:
                return whole
            state = made.state

    def apply(self, mends: Sequence[Mend]) -> bool:
        """False: the rows are no longer as they were found."""
        return self.rows.mend(mends)

    def _descriptor(self, scope: str, digest: str) -> str | None:
        """As referrers are listed; None where the manifest is gone."""
        account, _, name = scope.partition("/")
        try:
            stored = self.manifests.get(Repository(account, name), Digest(digest))
        except RegistryError:
            return None
        manifest = parse_manifest(stored.raw or b"", stored.media_type)
        return json.dumps(manifest.referrer_descriptor(stored.digest))

    def _steps(self, state: Mapping[str, Any]) -> tuple[str, ...]:
        return OF_ACCOUNT if state.get("at_account") else OF_REPOSITORY

    def _next_step(self, state: dict[str, Any]) -> bool:
        state["work"], state["step"] = {}, state["step"] + 1
        if state["step"] < len(self._steps(state)):
            return True
        if state["only"] or state.get("at_account"):
            return False
        self._next_scope(state)
        return True

    def _next_scope(self, state: dict[str, Any]) -> None:
        every = self.rows.repositories(state["account"])
        later = next((one for one in every if one > state["scope"]), None)
        state["step"] = 0
        if later is None:
            state["scope"], state["at_account"] = state["account"], True
        else:
            state["scope"] = later

    def _step(self, ground: Ground, state: dict[str, Any]) -> Iterator[Finding]:
        name, work, scope = self._steps(state)[state["step"]], state["work"], state["scope"]
        if name in _WINDOWS:
            window, check = Window(ground, COUNTED[name], scope, work), _WINDOWS[name]
            yield from window.step(lambda rows: check(ground, rows))
        elif name in _PAGES:
            yield from _page(ground, name, scope, work)
        elif name == HISTORY:
            yield from _history(ground, scope, work)
        else:
            yield from _usage(ground, scope, work)


def _page(ground: Ground, name: str, scope: str, work: dict[str, Any]) -> Iterator[Finding]:
    table, end, check = _PAGES[name]
    rows = ground.rows.page(table, scope, work.get("after", ""), PAGE)
    mine = [row for row in rows if not end or row.key < end]
    yield from check(ground, mine)
    work["after"] = rows[-1].key if rows else ""
    work["done"] = len(mine) < PAGE


def _history(ground: Ground, scope: str, work: dict[str, Any]) -> Iterator[Finding]:
    """One tag, by skipping what is older of the one before: `~` is after every move of it."""
    after = work.get("after", "")
    rows = ground.rows.page(HISTORY, scope, f"{after}#~" if after else "", 1)
    if not rows:
        work["done"] = True
        return
    work["after"] = rows[0].key.partition("#")[0]
    yield from check_history(ground, scope, work["after"])


def _usage(ground: Ground, account: str, work: dict[str, Any]) -> Iterator[Finding]:
    """A sum is right if nothing was charged while it was made."""
    place = Place(USAGE, account, "")
    row = ground.rows.together([place]).get(place)
    if "token" not in work:
        work.update(token=row.token if row else "", sum=0, after="")
    page = ground.rows.page(BLOBS, account, work["after"], PAGE)
    work["sum"] += sum(one.number("size") for one in page)
    if len(page) == PAGE:
        work["after"] = page[-1].key
        return
    row = ground.rows.together([place]).get(place)
    if (row.token if row else "") == work["token"]:
        yield from usage_finding(ground, account, row, work["sum"])
        work["done"] = True
        return
    tries = work.get("tries", 0) + 1
    work.clear()
    work.update({"tries": tries} if tries < TRIES else {"done": True, "unsettled": 1})
