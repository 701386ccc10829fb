"""Everything of a registry in one memory: every way to upload, undo, collection, time; each call can stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.registry.adoption import Adoption
from chalicelib.registry.direct import DirectUploads, count_of_parts, size_of_part
from chalicelib.registry.policies import Policy
from chalicelib.registry.stores import LIVE, STAGING, DirectRow, Staged
from chalicelib.registry.verification import Verifier
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from tests.properties.direct_in_memory import MemoryCheckedStore, StoppingChecked, small_direct_limits
from tests.properties.interleaving import Stopping
from tests.properties.memory_stores import Memory, MemoryDirectStore
from tests.properties.registry_in_memory import (
    RegistryInMemory,
    check_blobs,
    check_counts,
    check_keys,
    check_pullable,
    check_referrers,
    check_tags,
    small_limits,
)

Key = tuple[str, str, str]


class MemoryStagedStore:
    """`StagedStore`: S3 vouches for what a client has put under the digest that it hashes to."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def waiting(self, repository: Repository, digest: Digest) -> list[Staged]:
        every = (self.named(key) for key in sorted(self._memory.objects))
        return [one for one in every if one and (one.repository, one.digest) == (repository, digest)]

    def named(self, key: str) -> Staged | None:
        kind, _, rest = key.partition("|")
        if kind != "staged":
            return None
        name, digest, session = rest.split("|")
        return Staged(Repository("account", name), Digest(digest), session, key)

    def verified_size(self, one: Staged) -> int | None:
        content = self._memory.objects.get(one.key)
        return len(content) if content is not None and Digest.of(content) == one.digest else None


def staged_key(repository: Repository, digest: Digest, session: str) -> str:
    return f"staged|{repository.name}|{digest}|{session}"


@contextmanager
def small_everything() -> Iterator[None]:
    with small_limits(), small_direct_limits():
        yield


@dataclass
class WholeRegistry(RegistryInMemory):
    started: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        memory = self.memory
        checked: Any = StoppingChecked(MemoryCheckedStore(memory, is_amazon=False))
        sessions: Any = Stopping(MemoryDirectStore(memory))
        self.verifier = Verifier(sessions, checked, checked, self.blobs, self._blob_key, lambda: self.now)
        self.direct = DirectUploads(
            sessions=sessions,
            objects=checked,
            parts=checked,
            blobs=self.blobs,
            verifier=self.verifier,
            incoming_key=lambda _repository, session: f"incoming/{session}",
            start=self.started.append,
            clock=lambda: self.now,
        )
        staged: Any = Stopping(MemoryStagedStore(memory))
        self.adoption = Adoption(self.blobs, self.uploads, staged, lambda: self.now)
        self.manifests = replace(self.manifests, adopt=self.adoption.adopt)
        self.undo = replace(self.undo, manifests=self.manifests)

    def send(self, row: DirectRow, content: bytes) -> None:
        """As S3 takes it: no byte passes the registry."""
        if row.multipart_id is None:
            self.memory.objects[row.key] = content
            return
        for number in range(1, count_of_parts(row) + 1):
            first, size = (number - 1) * row.part_size, size_of_part(row, number) or 0
            part = content[first : first + size]
            self.memory.multiparts[row.multipart_id].parts[number] = Digest.of(part), part

    def stage(self, repository: Repository, digest: Digest, session: str, content: bytes) -> None:
        """As a client puts it into S3 for an upload session."""
        self.memory.objects[staged_key(repository, digest, session)] = content

    def set_policy(self, policy: Policy) -> None:
        """In place of whichever there is."""
        self.memory.policies[policy.scope, policy.kind] = policy

    def is_staged(self, repository: Repository, digest: Digest) -> bool:
        prefix = staged_key(repository, digest, "")
        return any(key.startswith(prefix) for key in self.memory.objects)


def facts(memory: Memory) -> dict[Key, Any]:
    """What can be pulled, had, named and restored."""
    found = dict[Key, Any]()
    for name, digest in memory.links:
        found["link", name, digest] = True
    for (name, digest), row in memory.manifests.items():
        if row.state == LIVE:
            found["live", name, digest] = True
    for (name, tag), row in memory.tags.items():
        found["tag", name, tag] = row.digest
    for (name, digest), kept in memory.trash.items():
        if kept.state == "kept":
            found["kept", name, digest] = True
    return found


def check_everything(memory: Memory) -> None:
    """What must hold between any two calls."""
    check_pullable(memory)
    check_tags(memory)
    check_counts(memory)
    check_referrers(memory)
    check_blobs(memory)
    check_keys(memory)
    check_marks(memory)
    check_buried(memory)
    check_trash(memory)
    check_history(memory)


def check_marks(memory: Memory) -> None:
    """What is unused is in the collector's list."""
    for (name, digest), link in memory.links.items():
        assert link.references or link.idle, f"nobody will look at the link {name} {digest}"
    for key, blob in memory.blobs.items():
        assert memory.blob_links[key] or memory.blob_keeps[key] or blob.idle, f"nobody will look at {key}"
    for key, row in memory.manifests.items():
        assert (row.state != LIVE) == (key in memory.idle_manifests), f"{key} is {row.state}"


def check_buried(memory: Memory) -> None:
    """What is to be deleted is named by nothing that can be had."""
    named = {blob.storage_key for blob in memory.blobs.values()}
    named |= {row.storage_key for row in memory.manifests.values() if row.storage_key}
    named |= {row.storage_key for row in memory.trash.values() if row.storage_key and row.state != STAGING}
    assert not named & memory.buried, f"{named & memory.buried} are to be deleted, and can be had"


def check_trash(memory: Memory) -> None:
    """What can be restored is there whole: the bytes and every blob, with its bytes."""
    for (_, digest), row in memory.trash.items():
        if row.state != "kept":
            continue
        assert row.held == len(row.blobs), f"deleted {digest} keeps {row.held} of {len(row.blobs)}"
        content = memory.objects[row.storage_key] if row.storage_key else row.raw
        assert content is not None
        assert Digest.of(content) == digest
        for blob in row.blobs:
            assert ("account", blob) in memory.blobs, f"deleted {digest} needs {blob}, which is gone"


def check_history(memory: Memory) -> None:
    """The last move told of each tag is to what it names; they were told in the order of their times."""
    told = sorted(memory.history, key=lambda one: one.move.at)
    last = {(one.repository.name, one.move.tag): one.move.digest for one in told}
    named = {key: row.digest for key, row in memory.tags.items()}
    for key, digest in last.items():
        assert named.get(key) == digest, f"{key} names {named.get(key)}, its history ends at {digest}"
    assert named.keys() <= last.keys()
