"""The rows of the stores in memory as fsck sees them: `RowStore`, with the conditions of its adapter."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from chalicelib.aws.keys import shard_of
from chalicelib.aws.rows import held_text
from chalicelib.registry.changes import TellMove
from chalicelib.registry.proof import Mend, Place, Row, Value, exactly
from chalicelib.registry.stores import Held, Link, ManifestRow, TagMove, TrashRow, Usage
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from tests.properties.memory_stores import Memory


class MemoryRowStore:
    """Of one account; a scope is `<account>/<repository>` where the memory has the name alone."""

    def __init__(self, memory: Memory, account: str = "account") -> None:
        self._memory, self._account = memory, account

    def repositories(self, account: str) -> list[str]:
        names = {name for owner, name in self._memory.repositories if owner == account}
        unnamed = {name for name, _ in (*self._memory.trash, *self._memory.links)}
        return sorted(f"{account}/{name}" for name in names | unnamed)

    def page(self, table: str, scope: str, after: str, limit: int) -> list[Row]:
        keys = sorted(place.key for place in self._places(table, scope) if place.key > after)
        return [row for key in keys[:limit] if (row := self._row(Place(table, scope, key)))]

    def together(self, places: Sequence[Place]) -> dict[Place, Row]:
        return {place: row for place in places if (row := self._row(place))}

    def newest_moves(self, scope: str, tag: str) -> list[Row]:
        rows = [row for row in self.page("history", scope, "", 10**6) if row.key.startswith(f"{tag}#")]
        return rows[::-1]

    def stored(self, keys: Iterable[str]) -> set[str]:
        return {key for key in keys if key in self._memory.objects}

    def mend(self, mends: Sequence[Mend]) -> bool:
        for mend in mends:
            row = self._row(mend.place)
            if (row is None) != (mend.expect is None):
                return False
            if row is not None and mend.expect and mend.expect != exactly(row):
                return False
        for mend in mends:
            if not mend.is_check:
                self._write(mend)
        return True

    # Rows as they are.

    def _places(self, table: str, scope: str) -> list[Place]:
        memory, name = self._memory, scope.partition("/")[2]
        if table == "manifests":
            edges = [f"referrers#{s}#{d}" for where, s, d in memory.referrers if where == name]
            keys = edges + [digest for where, digest in memory.manifests if where == name]
        elif table == "blobs":
            keys = [digest for owner, digest in memory.blobs if owner == scope]
        elif table == "history":
            keys = [key for key, told in self._moves().items() if told.repository.name == name]
        else:
            keys = [key for where, key in getattr(memory, table) if where == name]
        return [Place(table, scope, key) for key in keys]

    def _moves(self) -> dict[str, TellMove]:
        """By keys as the table has them; two of one millisecond stay in their order."""
        history = enumerate(self._memory.history)
        return {f"{one.move.tag}#{one.move.at:015d}-{number:08d}": one for number, one in history}

    def _row(self, place: Place) -> Row | None:
        values = getattr(self, f"_{place.table}")(place)
        if values is None:
            return None
        return Row(place, {name: value for name, value in values.items() if value is not None})

    def _version(self, place: Place) -> int | None:
        return self._memory.versions.get((place.table, place.scope.partition("/")[2], place.key))

    def _manifests(self, place: Place) -> dict[str, Value] | None:
        key: Any = (place.scope.partition("/")[2], place.key)
        if place.key.startswith("referrers#"):
            _, subject, digest = place.key.split("#")
            edge: Any = (key[0], subject, digest)
            return {} if edge in self._memory.referrers else None
        row, idle = self._memory.manifests.get(key), self._memory.idle_manifests.get(key)
        if row is None:
            return None
        values: dict[str, Value] = {"media_type": row.media_type, "size": row.size, "state": row.state}
        values |= {"held": row.held, "tags": row.tags, "parents": row.parents, "holds": held_text(row.holds)}
        values |= {"subject": row.subject, "storage_key": row.storage_key, "version": self._version(place)}
        return values | _marks(idle, place.key)

    def _tags(self, place: Place) -> dict[str, Value] | None:
        row = self._memory.tags.get((place.scope.partition("/")[2], place.key))
        if row is None:
            return None
        return {
            "digest": row.digest,
            "media_type": row.media_type,
            "size": row.size,
            "version": row.version,
            "moved": self._version(place),
        }

    def _links(self, place: Place) -> dict[str, Value] | None:
        key: Any = (place.scope.partition("/")[2], place.key)
        row = self._memory.links.get(key)
        if row is None:
            return None
        values: dict[str, Value] = {"size": row.size, "storage_key": row.storage_key}
        values |= {"references": row.references, "version": self._version(place)}
        return values | _marks(row.idle or None, place.key)

    def _blobs(self, place: Place) -> dict[str, Value] | None:
        key: Any = (place.scope, place.key)
        row = self._memory.blobs.get(key)
        if row is None:
            return None
        values: dict[str, Value] = {"size": row.size, "storage_key": row.storage_key}
        values |= {"links": self._memory.blob_links[key], "kept": self._memory.blob_keeps.get(key)}
        values["version"] = self._memory.versions.get(("blobs", *key))
        return values | _marks(row.idle or None, place.key)

    def _trash(self, place: Place) -> dict[str, Value] | None:
        key: Any = (place.scope.partition("/")[2], place.key)
        row: TrashRow | None = self._memory.trash.get(key)
        if row is None:
            return None
        holds = [*(Held(one, is_manifest=False) for one in row.blobs)]
        holds += [Held(one, is_manifest=True) for one in row.children]
        values: dict[str, Value] = {"state": row.state, "held": row.held, "holds": held_text(holds)}
        giving = self._account if row.gives_way else None
        return values | {"storage_key": row.storage_key, "due": row.due, "giving": giving}

    def _history(self, place: Place) -> dict[str, Value] | None:
        told = self._moves().get(place.key)
        return None if told is None else {"digest": told.move.digest}

    def _usage(self, place: Place) -> dict[str, Value] | None:
        usage = self._memory.usage.get(place.scope)
        if usage is None:
            return None
        turn = self._memory.versions.get(("usage", place.scope))
        return {"bytes": usage.bytes, "free": usage.free, "turn": turn}

    def _buried(self, place: Place) -> dict[str, Value] | None:
        return {} if place.key in self._memory.buried else None

    # Writes.

    def _write(self, mend: Mend) -> None:
        memory, place = self._memory, mend.place
        scope, key = place.scope.partition("/")[2], Digest(place.key) if ":" in place.key else place.key
        if mend.put is None:
            self._delete(place, scope, key)
            return
        put: Any = dict(mend.put)
        match place.table:
            case "usage":
                before = memory.usage.get(place.scope, Usage(0, 0))
                used = put.get("bytes", before.bytes)
                memory.usage[place.scope] = Usage(used, used + put.get("free", before.free))
            case "buried":
                memory.buried.add(place.key)
            case "history":
                tag, _, rest = place.key.partition("#")
                digest, previous = (put[name] and Digest(put[name]) for name in ("digest", "previous"))
                move = TagMove(tag, int(rest.partition("-")[0]), digest, previous, "", put["action"])
                memory.history.append(TellMove(Repository(self._account, scope), move))
            case "tags":
                where: Any = (scope, place.key)
                memory.tags[where] = replace(memory.tags[where], **put)
            case _:
                self._update(place, scope, key, put)
        self._count(place)

    def _count(self, place: Place) -> None:
        name = place.scope if place.table in {"blobs", "usage"} else place.scope.partition("/")[2]
        key = (place.table, name) if place.table == "usage" else (place.table, name, place.key)
        self._memory.versions[key] += 1

    def _update(self, place: Place, scope: str, key: Any, put: dict[str, Any]) -> None:
        memory = self._memory
        idle = (put.pop("idle") or 0) if "idle" in put else None
        put.pop("shard", None)
        if place.table == "manifests" and place.key.startswith("referrers#"):
            _, subject, digest = place.key.split("#")
            memory.referrers[scope, Digest(subject), Digest(digest)] = json.loads(put["descriptor"])
        elif place.table == "manifests":
            row: ManifestRow = memory.manifests[scope, key]
            memory.manifests[scope, key] = replace(row, **put)
            if idle is not None:
                memory.idle_manifests[scope, key] = idle
        elif place.table == "links":
            link: Link = memory.links[scope, key]
            memory.links[scope, key] = replace(link, **put, idle=link.idle if idle is None else idle)
        elif place.table == "blobs":
            self._update_blob((place.scope, key), put, idle)
        else:
            raise AssertionError(place)

    def _update_blob(self, key: Any, put: dict[str, Any], idle: int | None) -> None:
        memory = self._memory
        memory.blob_links[key] = put.get("links", memory.blob_links[key])
        if "kept" in put:
            memory.blob_keeps[key] = put["kept"]
        if idle is not None:
            memory.blobs[key] = replace(memory.blobs[key], idle=idle)

    def _delete(self, place: Place, scope: str, key: Any) -> None:
        memory = self._memory
        if place.table == "buried":
            memory.buried.discard(place.key)
        elif place.table == "usage":
            del memory.usage[place.scope]
        elif place.table == "blobs":
            blob = (place.scope, key)
            del memory.blobs[blob], memory.blob_links[blob], memory.blob_keeps[blob]
        elif place.key.startswith("referrers#"):
            _, subject, digest = place.key.split("#")
            del memory.referrers[scope, Digest(subject), Digest(digest)]
        else:
            del getattr(memory, place.table)[scope, key]


def _marks(idle: int | None, key: str) -> dict[str, Value]:
    return {} if idle is None else {"idle": idle, "shard": shard_of(key)}
