"""A registry on stores in memory, with limits small enough to be met, whose every store call can stop."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import pytest

from chalicelib.registry import expiry, manifests, parts, staging, steps, trash, undo, uploads
from chalicelib.registry.blobs import Blobs
from chalicelib.registry.collection import Collector
from chalicelib.registry.eviction import Eviction
from chalicelib.registry.expiry import Expiry
from chalicelib.registry.manifests import Manifests
from chalicelib.registry.quota import Quota
from chalicelib.registry.retention import Retention
from chalicelib.registry.staging import Staging
from chalicelib.registry.steps import Steps
from chalicelib.registry.stores import LIVE, STAGING, Held, ManifestRow, Usage
from chalicelib.registry.trash import Trash
from chalicelib.registry.undo import Undo
from chalicelib.registry.uploads import Uploads
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from tests.properties.collectable_in_memory import MemoryBucket, MemoryCollectableStore
from tests.properties.documents import BY_DIGEST
from tests.properties.interleaving import Operation, Stopping, current, pause
from tests.properties.memory_stores import (
    Memory,
    MemoryDirectStore,
    MemoryHistoryStore,
    MemoryLinkStore,
    MemoryManifestStore,
    MemoryObjectStore,
    MemoryPolicyStore,
    MemoryTagStore,
    MemoryTransactions,
    MemoryTrashStore,
    MemoryUploadStore,
    MemoryUsageStore,
)

LIMIT: Final = 8
INLINE: Final = 2000
PART_SIZE: Final = 16
MINIMUM_PART: Final = 10
GRACE: Final = 24 * 3600


class CountedSecrets:
    """`secrets.token_hex`, the same in every run."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def token_hex(self, size: int) -> str:
        return f"{next(self._numbers):0{2 * size}x}"


@contextmanager
def small_transactions() -> Iterator[None]:
    """Of which a few rows are more than one, whatever the backend."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifests, "TRANSACTION_LIMIT", LIMIT)
        patch.setattr(staging, "STEP", LIMIT - 1)
        patch.setattr(trash, "STEP", LIMIT - 1)
        patch.setattr(steps, "TRANSACTION_LIMIT", LIMIT)
        patch.setattr(expiry, "TRANSACTION_LIMIT", LIMIT)
        patch.setattr(manifests, "INLINE_LIMIT", INLINE)
        patch.setattr(undo, "TAGS_AT_ONCE", 1)
        yield


@contextmanager
def small_limits() -> Iterator[None]:
    with small_transactions(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART_SIZE", PART_SIZE)
        patch.setattr(parts, "MINIMUM_PART", MINIMUM_PART)
        patch.setattr(uploads, "secrets", CountedSecrets())
        yield


@dataclass
class RegistryInMemory:
    """`authors` tells which operation thought of an S3 key."""

    answers_again: bool = False
    now: float = 1000.0
    memory: Memory = field(default_factory=Memory)
    authors: dict[str, Operation | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        memory, self._keys = self.memory, itertools.count(1)
        memory.between = pause
        stored = MemoryObjectStore(memory, MINIMUM_PART, answers_again=self.answers_again)
        objects: Any = Stopping(stored)
        transactions: Any = Stopping(MemoryTransactions(memory, LIMIT))
        rows: Any = Stopping(MemoryManifestStore(memory))
        tags: Any = Stopping(MemoryTagStore(memory))
        links: Any = Stopping(MemoryLinkStore(memory))
        trash: Any = Stopping(MemoryTrashStore(memory))
        sessions: Any = Stopping(MemoryUploadStore(memory))
        usages: Any = Stopping(MemoryUsageStore(memory))
        memory.clock = lambda: self.now
        memory.usage["account"] = Usage(0, 10**9)
        direct: Any = Stopping(MemoryDirectStore(memory))
        policies: Any = Stopping(MemoryPolicyStore(memory))
        retention = Retention(policies, 7)
        self.trash = Trash(trash, transactions, retention.terms, lambda: self.now)
        eviction = Eviction(self.trash, links, clock=lambda: self.now)
        quota = Quota(usages, lambda _: 10**9, lambda: self.now, eviction)
        self.blobs = Blobs(links, objects, transactions, quota, GRACE, lambda: self.now)
        self.uploads = Uploads(sessions, objects, objects, self.blobs, self._blob_key, lambda: self.now)
        self.manifests = Manifests(
            rows,
            tags,
            objects,
            transactions,
            Staging(rows, objects, transactions),
            self._manifest_key,
            trash=self.trash,
            clock=lambda: self.now,
        )
        found: Any = Stopping(MemoryCollectableStore(memory))
        bucket: Any = Stopping(MemoryBucket(memory, stored))
        prefix_of = lambda _repository, session: f"blobs/{session}/"  # noqa: E731
        self.collector = Collector(
            found=found,
            graves=found,
            manifests=rows,
            staging=self.manifests.staging,
            trash=self.trash,
            expiry=Expiry(sessions, direct, links, bucket, transactions, prefix_of, lambda: self.now),
            steps=Steps(transactions, quota.usage),
            shards="0",
            account_of=lambda _: "account",
            settle=lambda account: quota.settle(account, transactions),
            grace=GRACE,
            clock=lambda: self.now,
        )
        history: Any = Stopping(MemoryHistoryStore(memory))
        self.undo = Undo(self.manifests, self.blobs, self.trash, history, lambda: self.now)

    def _blob_key(self, _repository: Repository, session: str, writer: str) -> str:
        key = f"blobs/{session}/{writer}"
        self.authors.setdefault(key, current())
        return key

    def _manifest_key(self, _repository: Repository, digest: Digest) -> str:
        key = f"manifests/{BY_DIGEST[digest].name}/{next(self._keys)}"
        self.authors[key] = current()
        return key


def check_pullable(memory: Memory) -> None:
    """Every manifest that can be pulled has every blob and child it names, with the bytes of its digest."""
    for (name, digest), row in memory.manifests.items():
        if row.state != LIVE:
            continue
        check_bytes(memory, digest, row.raw, row.storage_key)
        document = BY_DIGEST[digest]
        assert {Held(blob, is_manifest=False) for blob in document.blobs} <= set(row.holds)
        assert {Held(child, is_manifest=True) for child in document.children} <= set(row.holds)
        assert row.held == len(row.holds)
        for held in row.holds:
            if held.is_manifest:
                child = memory.manifests.get((name, held.digest))
                assert child is not None, f"{document.name} names a manifest that is gone"
                assert child.state == LIVE
            else:
                assert (name, held.digest) in memory.links, f"{document.name} names a blob that is gone"
        for descriptor in document.manifest.unclear:
            assert descriptor.digest in {held.digest for held in row.holds}


def check_blobs(memory: Memory) -> None:
    """Every link and every blob of an account leads to the bytes of its digest."""
    for (account, digest), blob in memory.blobs.items():
        check_bytes(memory, digest, None, blob.storage_key, blob.size)
        names = [name for name, linked in memory.links if linked == digest]
        assert memory.blob_links[account, digest] == len(names)
        keeps = [row for row in memory.trash.values() if digest in row.blobs[: row.held]]
        assert memory.blob_keeps[account, digest] == len(keeps)
    for account, usage in memory.usage.items():
        stored = sum(blob.size for (owner, _), blob in memory.blobs.items() if owner == account)
        assert usage.bytes == stored
    for (_, digest), link in memory.links.items():
        assert link.storage_key == memory.blobs["account", digest].storage_key


def check_bytes(
    memory: Memory, digest: Digest, raw: bytes | None, storage_key: str | None, size: int | None = None
) -> None:
    content = memory.objects.get(storage_key) if storage_key else raw
    assert content is not None, f"the bytes of {digest} at {storage_key} are gone"
    assert _hash(content, digest.algorithm) == digest, f"{storage_key} holds other bytes than {digest}"
    assert size in {None, len(content)}


@cache
def _hash(content: bytes, algorithm: str) -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def check_tags(memory: Memory) -> None:
    """A tag that resolves names a manifest that can be pulled, and says its type and size."""
    for (name, _), tag in memory.tags.items():
        row = memory.manifests.get((name, tag.digest))
        assert row is not None, f"{tag.tag} names a manifest that is gone"
        assert (row.state, row.media_type, row.size) == (LIVE, tag.media_type, tag.size)


def check_counts(memory: Memory) -> None:
    """Every count is the truth, always: it changes in the transaction that changes what it counts."""
    for (name, digest), row in memory.manifests.items():
        named = [tag for (where, _), tag in memory.tags.items() if (where, tag.digest) == (name, digest)]
        assert row.tags == len(named)
        assert row.parents == _count(memory, name, Held(digest, is_manifest=True))
    for (name, digest), link in memory.links.items():
        assert link.references == _count(memory, name, Held(digest, is_manifest=False))


def _count(memory: Memory, name: str, held: Held) -> int:
    return sum(held in counted(row) for (where, _), row in memory.manifests.items() if where == name)


def counted(row: ManifestRow) -> tuple[Held, ...]:
    """What of its content a row in any state has counted so far."""
    return row.holds[: row.held]


def check_referrers(memory: Memory) -> None:
    """What is listed is what can be pulled."""
    live = {
        (name, row.subject, digest)
        for (name, digest), row in memory.manifests.items()
        if row.state == LIVE and row.subject is not None
    }
    assert set(memory.referrers) == live


def check_keys(memory: Memory) -> None:
    """No bytes that a row names are deleted, whatever its state."""
    for row in (*memory.manifests.values(), *memory.trash.values()):
        if row.state != STAGING:
            assert row.storage_key is None or row.storage_key in memory.objects


def named_keys(memory: Memory) -> set[str]:
    """Every S3 key that some row names."""
    keys = {row.storage_key for row in memory.manifests.values()}
    keys |= {row.storage_key for row in memory.trash.values()} | memory.buried
    keys |= {blob.storage_key for blob in memory.blobs.values()}
    keys |= {session.row.tail_key for session in memory.uploads.values()}
    keys |= {one.row.verified.storage_key for one in memory.uploads.values() if one.row.verified}
    return {key for key in keys if key is not None}
