"""What must be true of a row, and of two that belong together; suspicious ones are read at one instant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from chalicelib.registry.proof import (
    BLOBS,
    BURIED,
    HISTORY,
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
    unchanged,
)
from chalicelib.registry.stores import KEPT, LIVE, STAGING

# Clocks of two functions differ by less: of two moves so close, either may be told as the newest.
SKEW_MS: Final = 2000
_UNUSED: Final[Mapping[str, tuple[str, ...]]] = {LINKS: ("references",), BLOBS: ("links", "kept")}


def check_links(ground: Ground, rows: Sequence[Row]) -> Iterator[Finding]:
    """The account has every linked blob, under the same key."""
    yield from unmarked(ground, rows)
    account = _account(rows)
    blobs = ground.many(Place(BLOBS, account, row.key) for row in rows)
    for row in rows:
        blob = blobs.get(Place(BLOBS, account, row.key))
        if blob is None or _differ(row, blob, ("storage_key", "size")):
            yield from _wrong_link(ground, row, Place(BLOBS, account, row.key))


def _wrong_link(ground: Ground, row: Row, place: Place) -> Iterator[Finding]:
    now = ground.rows.together([row.place, place])
    link, blob = now.get(row.place), now.get(place)
    if link is None:
        return
    if blob is None:
        message = f"{row.key} is linked and the account has no such blob: delete the link, and push it again"
        yield Finding("link-dangling", row.place, message)
    elif wrong := _differ(link, blob, ("storage_key", "size")):
        should = {name: blob.values.get(name) for name in wrong}
        found = {name: link.values.get(name) for name in wrong}
        message = f"the link of {row.key} is not to the account's copy"
        mends = (Mend(link.place, exactly(link), should), unchanged(blob))
        yield Finding("link-differs", row.place, message, found, should, mends)


def check_blobs(ground: Ground, rows: Sequence[Row]) -> Iterator[Finding]:
    yield from unmarked(ground, rows)
    yield from stored(ground, rows)


def check_manifests(ground: Ground, rows: Sequence[Row]) -> Iterator[Finding]:
    yield from unmarked(ground, rows)
    yield from stored(ground, [row for row in rows if row.text("state") != STAGING])
    yield from _unlisted(ground, rows)


def _unlisted(ground: Ground, rows: Sequence[Row]) -> Iterator[Finding]:
    """Whoever asks for referrers finds every one that can be pulled."""
    edges = {row.place: _edge(row) for row in rows if row.text("state") == LIVE and row.text("subject")}
    there = ground.many(edges.values())
    for place, edge in edges.items():
        if edge in there:
            continue
        now = ground.rows.together([place, edge])
        row = now.get(place)
        if row is None or row.text("state") != LIVE or edge in now:
            continue
        descriptor = ground.descriptor_of(place.scope, place.key)
        message = f"{row.key} refers to {row.text('subject')} and is not in its list"
        put = (Mend(edge, None, {"descriptor": descriptor}), unchanged(row)) if descriptor else ()
        yield Finding("referrer-missing", place, message, {}, {"subject": row.text("subject")}, put)


def _edge(row: Row) -> Place:
    return Place(MANIFESTS, row.place.scope, f"referrers#{row.text('subject')}#{row.key}")


def check_edges(ground: Ground, edges: Sequence[Row]) -> Iterator[Finding]:
    """What is listed as a referrer can be pulled."""
    manifests = ground.many(_of_edge(edge) for edge in edges)
    for edge in edges:
        if _is_listed(manifests.get(_of_edge(edge)), edge):
            continue
        now = ground.rows.together([edge.place, _of_edge(edge)])
        manifest = now.get(_of_edge(edge))
        if edge.place in now and not _is_listed(manifest, edge):
            message = f"{_of_edge(edge).key} is listed as a referrer and cannot be pulled"
            beside = Mend(_of_edge(edge), None, is_check=True) if manifest is None else unchanged(manifest)
            mends = (Mend(edge.place, {}), beside)
            yield Finding("referrer-dangling", edge.place, message, {}, {}, mends)


def _of_edge(edge: Row) -> Place:
    return Place(MANIFESTS, edge.place.scope, edge.key.rpartition("#")[2])


def _is_listed(manifest: Row | None, edge: Row) -> bool:
    subject = edge.key.split("#")[1]
    return manifest is not None and (manifest.text("state"), manifest.text("subject")) == (LIVE, subject)


def check_tags(ground: Ground, rows: Sequence[Row]) -> Iterator[Finding]:
    """A tag says the type and size of a manifest that can be pulled; that there is one, the counts say."""
    manifests = ground.many(Place(MANIFESTS, row.place.scope, row.text("digest")) for row in rows)
    for row in rows:
        place = Place(MANIFESTS, row.place.scope, row.text("digest"))
        manifest = manifests.get(place)
        if manifest is not None and _is_named(row, manifest):
            continue
        now = ground.rows.together([row.place, place])
        tag, manifest = now.get(row.place), now.get(place)
        if tag is None or manifest is None or tag.text("digest") != place.key or _is_named(tag, manifest):
            continue
        names = ("media_type", "size")
        should = {name: manifest.values.get(name) for name in names}
        found = {name: tag.values.get(name) for name in names}
        if manifest.text("state") != LIVE:
            message = f"the tag {row.key} names {place.key}, which cannot be pulled: it can be taken away"
            mends = (Mend(tag.place, exactly(tag)), unchanged(manifest))
            yield Finding("tag-dangling", row.place, message, {"names": place.key}, {}, mends)
        else:
            message = f"the tag {row.key} says another type or size than its manifest"
            mend = Mend(tag.place, exactly(tag), should)
            yield Finding("tag-differs", row.place, message, found, should, (mend, unchanged(manifest)))


def _is_named(tag: Row, manifest: Row) -> bool:
    return manifest.text("state") == LIVE and not _differ(tag, manifest, ("media_type", "size"))


def check_history(ground: Ground, scope: str, tag: str) -> Iterator[Finding]:
    """Its newest move is to what it names."""
    place = Place(TAGS, scope, tag)
    before = ground.rows.together([place]).get(place)
    moves = ground.rows.newest_moves(scope, tag)
    after = ground.rows.together([place]).get(place)
    names = None if after is None else after.text("digest")
    is_same = (before and before.values) == (after and after.values)
    if not moves or not is_same:
        return
    newest = _at(moves[0])
    told = {row.values.get("digest") for row in moves if _at(row) >= newest - SKEW_MS}
    if names in told:
        return
    last = moves[0].values.get("digest")
    # One move more, by nobody, that leads from the last one told to what is.
    move = Place(HISTORY, scope, f"{tag}#{max(ground.now * 1000, newest + 1):015d}-fsck")
    put = {"digest": names, "previous": last, "action": "fsck"}
    guard = Mend(place, None, is_check=True) if after is None else unchanged(after)
    message = f"the history of the tag {tag} ends at {last or 'its end'}, and it names {names or 'nothing'}"
    yield Finding(
        "tag-history", place, message, {"digest": last}, {"digest": names}, (Mend(move, None, put), guard)
    )


def _at(move: Row) -> int:
    return int(move.key.partition("#")[2].partition("-")[0])


def check_trash(ground: Ground, rows: Sequence[Row]) -> Iterator[Finding]:
    """What is kept is counted whole, and its bytes are there; that its blobs are, the counts say."""
    yield from stored(ground, [row for row in rows if row.text("state") != STAGING])
    for row in rows:
        count = sum(line.startswith("b") for line in row.text("holds").splitlines())
        if row.text("state") == KEPT and row.number("held") != count:
            message = f"deleted {row.key} keeps {row.number('held')} of its {count} blobs: purge it"
            yield Finding("trash-held", row.place, message, {"held": row.number("held")}, {"held": count})


def unmarked(ground: Ground, rows: Iterable[Row]) -> Iterator[Finding]:
    """What may be unused is in the collector's list, or it would stay for ever."""
    for row in rows:
        table = row.place.table
        if table == MANIFESTS:
            is_unused = row.text("state") != LIVE
        else:
            is_unused = not any(row.number(name) for name in _UNUSED[table])
        marks = [row.values.get(name) is not None for name in ("idle", "shard")]
        if (is_unused and not all(marks)) or any(marks) != all(marks):
            should = ground.marks(row.key)
            message = f"{row.key} may be unused and is not in the collector's list"
            mends = (Mend(row.place, exactly(row), should),)
            found = {name: row.values.get(name) for name in should}
            yield Finding(f"{table[:-1]}-unmarked", row.place, message, found, should, mends)


def stored(ground: Ground, rows: Iterable[Row]) -> Iterator[Finding]:
    """The object that a row names is there, and not on its way out."""
    named = {row.text("storage_key"): row for row in rows if row.text("storage_key")}
    there = ground.rows.stored(named)
    dying = ground.many(Place(BURIED, "", key) for key in named)
    for key, row in named.items():
        if key not in there:
            yield from _lost(ground, row, key)
        elif Place(BURIED, "", key) in dying:
            yield from _dying(ground, row, key)


def _lost(ground: Ground, row: Row, key: str) -> Iterator[Finding]:
    """A key is written once, before any row names it: what is gone while it is named was deleted."""
    now = ground.rows.together([row.place]).get(row.place)
    if now is not None and now.text("storage_key") == key and not ground.rows.stored([key]):
        message = f"the bytes of {row.key} are gone from {key}: push them again, or restore the bucket"
        yield Finding("object-missing", row.place, message, {"storage_key": key})


def _dying(ground: Ground, row: Row, key: str) -> Iterator[Finding]:
    grave = Place(BURIED, "", key)
    now = ground.rows.together([row.place, grave])
    named = now.get(row.place)
    if grave in now and named is not None and named.text("storage_key") == key:
        if named.text("state") == STAGING and named.place.table == TRASH:
            return
        message = f"the bytes of {row.key} are to be deleted, and it can be had"
        yield Finding("object-buried", row.place, message, {}, {}, (Mend(grave, {}), unchanged(named)))


def _differ(one: Row, other: Row, names: Iterable[str]) -> list[str]:
    return [name for name in names if one.values.get(name) != other.values.get(name)]


def _account(rows: Sequence[Row]) -> str:
    return rows[0].place.scope.partition("/")[0] if rows else ""


def usage_finding(ground: Ground, account: str, row: Row | None, stored_bytes: int) -> Iterator[Finding]:
    """`bytes` is the sum of what is stored, and with `free` the limit."""
    limit = ground.limit_of(account)
    place = Place("usage", account, "")
    should: dict[str, Any] = {"bytes": stored_bytes, "free": limit - stored_bytes}
    if row is None:
        message = f"nobody counts what {account} uses: it is of before there was a quota"
        # Nothing comes in or goes while it is not counted, so the sum stays true.
        mend = Mend(place, None, {**should, "level": 0})
        yield Finding("usage-missing", place, message, {}, should, (mend,))
        return
    found = {name: row.number(name) for name in should}
    if found != should:
        message = f"{account} uses {found['bytes']} bytes of {found['bytes'] + found['free']} by its row, "
        message += f"and stores {stored_bytes} of {limit}"
        yield Finding("usage", place, message, found, should, (Mend(place, exactly(row), should),))
