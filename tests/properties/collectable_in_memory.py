"""What the collector lists, in memory: every row, whatever shard is asked for, and the bucket's keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from chalicelib.registry.collection import IdleBlob, IdleLink, IdleRow
from chalicelib.registry.expiry import OpenMultipart, StoredObject
from chalicelib.registry.stores import LIVE
from chalicelib.spec.reference import Repository
from tests.properties.memory_stores import Memory, MemoryObjectStore

Row = TypeVar("Row")
ACCOUNT = "account"
PAGE = 3


class MemoryCollectableStore:
    """`Collectable` and `Graveyard`. The lists are those of the moment of the first page."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def trash(self, _shard: str, before: int) -> Iterator[list[IdleRow]]:
        rows = [
            IdleRow(Repository(ACCOUNT, name), digest, row.due)
            for (name, digest), row in self._memory.trash.items()
        ]
        return _pages([row for row in rows if row.at <= before])

    def manifests(self, _shard: str, before: int) -> Iterator[list[IdleRow]]:
        marks = self._memory.idle_manifests.items()
        rows = [IdleRow(Repository(ACCOUNT, name), digest, idle) for (name, digest), idle in marks]
        assert all(self._memory.manifests[name, digest].state != LIVE for (name, digest), _ in marks)
        return _pages([row for row in rows if row.at <= before])

    def links(self, _shard: str, before: int) -> Iterator[list[IdleLink]]:
        return _pages(
            [
                IdleLink(Repository(ACCOUNT, name), digest, link.idle, link.references)
                for (name, digest), link in self._memory.links.items()
                if 0 < link.idle <= before
            ]
        )

    def blobs(self, _shard: str, before: int) -> Iterator[list[IdleBlob]]:
        memory = self._memory
        return _pages(
            [
                IdleBlob(
                    account=account,
                    digest=digest,
                    idle=blob.idle,
                    size=blob.size,
                    storage_key=blob.storage_key,
                    is_used=bool(memory.blob_links[account, digest] or memory.blob_keeps[account, digest]),
                )
                for (account, digest), blob in memory.blobs.items()
                if 0 < blob.idle <= before
            ]
        )

    def sessions(self, _shard: str, before: int) -> Iterator[list[str]]:
        every = {**self._memory.uploads, **self._memory.direct}
        return _pages([session for session, found in every.items() if found.row.expires <= before])

    def buried(self, _shard: str) -> Iterator[list[str]]:
        return _pages(sorted(self._memory.buried))

    def delete_all(self, keys: Sequence[str]) -> list[str]:
        for key in keys:
            self._memory.objects.pop(key, None)
        return []

    def forget(self, keys: Sequence[str]) -> None:
        self._memory.buried.difference_update(keys)


class MemoryBucket:
    """`Bucket`."""

    def __init__(self, memory: Memory, objects: MemoryObjectStore) -> None:
        self._memory, self._objects = memory, objects

    def objects(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        keys = [key for key in sorted(self._memory.objects) if key.startswith(prefix) and key > after]
        return iter([StoredObject(key, 0, len(self._memory.objects[key])) for key in keys])

    def has(self, key: str) -> bool:
        return key in self._memory.objects

    def multiparts(self, prefix: str) -> Iterator[OpenMultipart]:
        begun = self._memory.multiparts.items()
        return iter([OpenMultipart(one.key, id_, 0) for id_, one in begun if one.key.startswith(prefix)])

    def abort(self, key: str, multipart_id: str) -> None:
        self._objects.abort(key, multipart_id)


def _pages(rows: Sequence[Row]) -> Iterator[list[Row]]:
    return iter([list(rows[first : first + PAGE]) for first in range(0, len(rows), PAGE)])
