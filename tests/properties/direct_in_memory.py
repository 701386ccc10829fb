"""Direct uploads on stores in memory, with limits small enough to be met, whose every store call can stop."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from chalicelib.registry import direct, verification
from chalicelib.registry.blobs import Blobs
from chalicelib.registry.direct import DirectUploads
from chalicelib.registry.quota import Quota
from chalicelib.registry.stores import (
    CheckedPart,
    DirectRow,
    Presigned,
    Stat,
    Usage,
)
from chalicelib.registry.verification import Verifier
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from tests.properties.interleaving import Stopping, pause
from tests.properties.memory_stores import (
    Memory,
    MemoryDirectStore,
    MemoryLinkStore,
    MemoryObjectStore,
    MemoryTransactions,
    MemoryUsageStore,
)
from tests.properties.registry_in_memory import CountedSecrets

PUT_LIMIT: Final = 12
PART_SIZE: Final = 12
COPY_LIMIT: Final = 40
BLOCK: Final = 7
REPOSITORY: Final = Repository("account", "registry/app")


def checksum(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


class MemoryCheckedStore:
    """`CheckedObjects` and `CheckedParts` in the bucket of the other stores.

    `is_amazon`: a copy tells its checksum. Parts are put past it, by clients.
    """

    def __init__(self, memory: Memory, *, is_amazon: bool) -> None:
        self._memory, self.copies_checked = memory, is_amazon
        self._store = MemoryObjectStore(memory, 1)

    def put_url(self, key: str, size: int, sha256: str) -> Presigned:
        return Presigned(f"memory:PUT:{key}", {"content-length": str(size), "x-amz-checksum-sha256": sha256})

    def stat(self, key: str) -> Stat | None:
        content = self._memory.objects.get(key)
        return None if content is None else Stat(len(content))

    def copy(self, source: str, key: str) -> str:
        content = self._memory.objects[key] = self._memory.objects[source]
        return checksum(content) if self.copies_checked else ""

    def read_ahead(self, key: str, start: int, size: int) -> Iterator[bytes]:
        for begin in range(start, size, BLOCK):
            pause(f"read {key} from {begin}")
            yield self._memory.objects[key][begin : min(begin + BLOCK, size)]

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def begin_checked(self, key: str) -> str:
        return self._store.begin(key)

    def part_url(self, key: str, _multipart_id: str, part: CheckedPart) -> Presigned:
        return self.put_url(f"{key}#{part.number}", part.size, part.sha256)

    def stored_parts(self, _key: str, multipart_id: str) -> list[CheckedPart] | None:
        upload = self._memory.multiparts.get(multipart_id)
        if upload is None:
            return None
        return [
            CheckedPart(number, len(content), "", etag)
            for number, (etag, content) in sorted(upload.parts.items())
        ]

    def complete_checked(self, key: str, multipart_id: str, parts: Sequence[CheckedPart]) -> None:
        self._store.complete(key, multipart_id, [part.etag for part in parts])

    def abort(self, key: str, multipart_id: str) -> None:
        self._store.abort(key, multipart_id)


class StoppingChecked(Stopping):
    """Reading stops at each block, on its own."""

    def __init__(self, store: MemoryCheckedStore) -> None:
        super().__init__(store)
        self.copies_checked, self.read_ahead = store.copies_checked, store.read_ahead


@contextmanager
def small_direct_limits() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "PUT_LIMIT", PUT_LIMIT)
        patch.setattr(direct, "PART_SIZE", PART_SIZE)
        patch.setattr(direct, "MEBIBYTE", 1)
        patch.setattr(direct, "COPY_LIMIT", COPY_LIMIT)
        patch.setattr(verification, "SAVE_SECONDS", 0)
        numbers = CountedSecrets()
        patch.setattr(direct, "secrets", numbers)
        patch.setattr(verification, "secrets", numbers)
        yield


@dataclass
class DirectInMemory:
    """`started` are the sessions that some verifier was asked to look at."""

    is_amazon: bool
    now: float = 1000.0
    memory: Memory = field(default_factory=Memory)
    started: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        memory = self.memory
        checked: Any = StoppingChecked(MemoryCheckedStore(memory, is_amazon=self.is_amazon))
        sessions: Any = Stopping(MemoryDirectStore(memory))
        links: Any = Stopping(MemoryLinkStore(memory))
        transactions: Any = Stopping(MemoryTransactions(memory))
        objects: Any = Stopping(MemoryObjectStore(memory, 1))
        memory.usage["account"] = Usage(0, 10**9)
        quota = Quota(MemoryUsageStore(memory), lambda _: 10**9)
        self.blobs = Blobs(links, objects, transactions, quota)
        self.verifier = Verifier(sessions, checked, checked, self.blobs, self._key, self._clock)
        self.uploads = DirectUploads(
            sessions=sessions,
            objects=checked,
            parts=checked,
            blobs=self.blobs,
            verifier=self.verifier,
            incoming_key=lambda _repository, session: f"incoming/{session}",
            start=self.started.append,
            clock=self._clock,
        )

    def _clock(self) -> float:
        return self.now

    @staticmethod
    def _key(_repository: Repository, session: str, writer: str) -> str:
        return f"blobs/{session}/{writer}"

    def opened(self, digest: Digest, content: bytes) -> DirectRow:
        """A session whose client has sent everything."""
        row = self.uploads.open(REPOSITORY, digest, len(content))
        self.send(row, content)
        return row

    def send(self, row: DirectRow, content: bytes) -> None:
        """As S3 takes it: no byte passes the registry."""
        if row.multipart_id is None:
            self.memory.objects[row.key] = content
            return
        parts = self.memory.multiparts[row.multipart_id].parts
        for begin in range(0, len(content), row.part_size):
            part = content[begin : begin + row.part_size]
            parts[begin // row.part_size + 1] = hashlib.md5(part).hexdigest(), part
