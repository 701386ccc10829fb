"""Migrations of the tables while they are in use: how far they have come, and which code may not run.

A migration is a numbered change of rows that code from before and after it both understand. It goes by pages,
each write with its condition, and its place is kept after every page: any number may run it at once, and one
that is killed is gone on with. docs/upgrades.md says what may follow what.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Final, Protocol

from chalicelib.registry.policies import DEPLOYMENT, Policy, PolicyStore
from chalicelib.spec.errors import ErrorCode, RegistryError

# As long as a function runs: until then, code of before the upgrade may still write rows of its own form.
SETTLE_SECONDS: Final = 15 * 60
_LOG: Final = logging.getLogger(__name__)
_KIND: Final = "schema"


@dataclass(frozen=True, slots=True)
class Page:
    """What of a migration is done by one call: how many rows changed, and where to go on; '' at the end."""

    place: str
    changed: int = 0


class Migration(Protocol):
    """Idempotent: the same page may be done twice, by two at once, and half."""

    @property
    def name(self) -> str: ...
    @property
    def meaning(self) -> str:
        """What it changes and why, in one sentence."""
        ...

    @property
    def minimum(self) -> int:
        """What code must know once this has begun: 0, or its own number where it is a contraction."""
        ...

    def page(self, place: str) -> Page:
        """The page at `place`, '' being the first."""
        ...


@dataclass(frozen=True, slots=True)
class Schema:
    """Of the tables: the last migration that is done, and the `minimum` that code must know to use them.

    Of the next one: `since` when somebody saw it waiting, its `place`, and how many rows it has `changed`.
    """

    applied: int = 0
    minimum: int = 0
    since: int = 0
    place: str = ""
    changed: int = 0
    version: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class SchemaStore:
    """One row, each version of which follows the one that was read."""

    policies: PolicyStore

    def read(self) -> Schema:
        """That of tables that no migration has seen, where there is no row."""
        kept = self.policies.get(DEPLOYMENT, _KIND)
        if kept is None:
            return Schema()
        # Later code may say more of it than this knows.
        known = {one.name for one in fields(Schema)}
        said = {name: value for name, value in kept.document.items() if name in known}
        return Schema(**{**said, "version": kept.version})

    def follow(self, before: Schema, after: Schema) -> bool:
        """False: somebody else went on meanwhile."""
        document = asdict(after)
        del document["version"]
        return self.policies.put(Policy(DEPLOYMENT, _KIND, document, before.version + 1))


@dataclass(slots=True)
class SchemaGuard:
    """Reads the row once in the life of a process."""

    store: SchemaStore
    known: int
    _is_checked: bool = False

    def check(self) -> None:
        """Raises UNSUPPORTED (503) where the tables take newer code than this; again at every call."""
        if self._is_checked:
            return
        try:
            schema = self.store.read()
        except Exception:  # noqa: BLE001 - whatever it is, it is no reason to refuse
            # Whoever asked meets the same trouble with the tables, and says so better.
            _LOG.warning("the schema of the tables could not be read; it is looked at again", exc_info=True)
            return
        if schema.minimum > self.known:
            message = (
                f"the tables take code that knows schema {schema.minimum}, and this knows {self.known}: "
                "deploy the release that migrated them, or a later one; docs/upgrades.md has the way back"
            )
            _LOG.error(message)
            raise RegistryError(ErrorCode.UNSUPPORTED, message, status=503)
        self._is_checked = True


@dataclass(frozen=True, slots=True)
class Progress:
    """`next_at`: from when on the next may run, in epoch seconds; 0 where none waits."""

    schema: Schema
    changed: int
    is_complete: bool
    next_at: int


@dataclass(frozen=True, slots=True)
class Migrations:
    """`known`, in their order: the schema of the code is the number of the last."""

    store: SchemaStore
    known: Sequence[Migration]
    clock: Callable[[], float] = time.time

    def progress(self) -> Progress:
        return self._progress(self.store.read())

    def run(self, until: float) -> Progress:
        """Page after page until all are done, or `until`, a time of the clock; one where any is due."""
        changed = 0
        while True:
            schema = self.store.read()
            if schema.applied >= len(self.known):
                break
            if not schema.since:
                self.store.follow(schema, replace(schema, since=int(self.clock())))
                return self._progress(self.store.read())
            if self.clock() < schema.since + SETTLE_SECONDS:
                break
            changed += self._go_on(schema)
            if self.clock() >= until:
                return self._progress(self.store.read(), changed)
        return self._progress(schema, changed)

    def again(self) -> Progress:
        """From the first one on, since older code has written rows that they have not seen."""
        while True:
            before = self.store.read()
            after = Schema(minimum=before.minimum, since=int(self.clock()))
            if self.store.follow(before, after):
                return self._progress(self.store.read())

    def _progress(self, schema: Schema, changed: int = 0) -> Progress:
        is_complete = schema.applied >= len(self.known)
        seen = schema.since or int(self.clock())
        return Progress(schema, changed, is_complete, 0 if is_complete else seen + SETTLE_SECONDS)

    def _go_on(self, schema: Schema) -> int:
        """One page of the next one; how many rows it changed. Its rows come before its place."""
        migration = self.known[schema.applied]
        if migration.minimum > schema.minimum:
            # Before the first row: no older code may meet one.
            self.store.follow(schema, replace(schema, minimum=migration.minimum))
            return 0
        page = migration.page(schema.place)
        changed = schema.changed + page.changed
        if page.place:
            after = replace(schema, place=page.place, changed=changed)
        else:
            _LOG.info("migration %d, %s: done, %d rows", schema.applied + 1, migration.name, changed)
            after = Schema(schema.applied + 1, schema.minimum)
        # Who is behind another lets it be: the next page is that other's place.
        self.store.follow(schema, after)
        return page.changed
