"""Adopts blobs that clients put into S3 themselves, through the edge, once S3 vouches for their digest."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chalicelib.registry.blobs import Blobs, unknown_blob
from chalicelib.registry.changes import Actor, EndUpload
from chalicelib.registry.quota import is_exceeded
from chalicelib.registry.stores import Link, Staged, StagedStore, UploadRow
from chalicelib.registry.uploads import LEASE_SECONDS, Uploads
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository

# Everybody who adopts is the same writer: the transaction that ends the session picks the one who did it.
_WRITER: Final = "adoption"
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Adoption:
    """`staged` is None where no edge lets clients write to S3: then a miss costs what it did."""

    blobs: Blobs
    uploads: Uploads
    staged: StagedStore | None = None
    clock: Callable[[], float] = time.time

    def find(self, repository: Repository, digest: Digest) -> Link:
        """The blob, adopted when it waits to be. Raises BLOB_UNKNOWN (404)."""
        link = self.blobs.look(repository, digest)
        if link is None and self._may_wait(digest):
            link = self._adopted(repository, digest)
        if link is None:
            raise unknown_blob(digest)
        return link

    def mount(self, repository: Repository, digest: Digest, source: Repository | None) -> bool:
        """As `Blobs.mount`, of a blob that waits in `source` too."""
        if self.blobs.mount(repository, digest, source):
            return True
        return (
            source is not None and self.adopt(source, digest) and self.blobs.mount(repository, digest, source)
        )

    def delete(self, repository: Repository, digest: Digest, actor: Actor | None = None) -> None:
        """As `Blobs.delete`: what a client was told is there can be deleted."""
        try:
            self.blobs.delete(repository, digest, actor)
        except RegistryError as error:
            if error.code is not ErrorCode.BLOB_UNKNOWN or not self.adopt(repository, digest):
                raise
            self.blobs.delete(repository, digest, actor)

    def adopt(self, repository: Repository, digest: Digest) -> bool:
        """Whether the repository has the blob now, by this call or one beside it."""
        return self._may_wait(digest) and self._adopted(repository, digest) is not None

    def _may_wait(self, digest: Digest) -> bool:
        return self.staged is not None and digest.algorithm == "sha256"

    def _adopted(self, repository: Repository, digest: Digest) -> Link | None:
        """Read last, even when nothing waits: who adopted it meanwhile may have deleted a second copy."""
        if self.staged is not None:
            staged = self.staged
            any(self._adopt(staged, one) for one in staged.waiting(repository, digest))
        return self.blobs.links.get(repository, digest)

    def receive(self, key: str) -> None:
        """S3 says that an object has come: adopt it, or delete what nobody can adopt any more."""
        one = self.staged.named(key) if self.staged else None
        if self.staged is None or one is None:
            return
        try:
            self._adopt(self.staged, one)
        except RegistryError as error:
            if not is_exceeded(error):
                raise
            _LOG.warning("a staged object of session %s is refused: %s", one.session, error.message)
        row = self.uploads.sessions.get(one.session)
        if row is not None and row.repository == one.repository and row.expires > self.clock():
            return  # somebody may still publish these bytes
        self._drop(one, row)

    def _drop(self, one: Staged, row: UploadRow | None) -> None:
        """End its session, and delete the object unless it was published before that."""
        if row is not None and row.repository == one.repository:
            self.uploads.end(row.session)
        # A session and its blob change in one transaction, so what is read after its end is final.
        kept = self.blobs.links.blob(one.repository.account, one.digest)
        if kept is None or kept.storage_key != one.key:
            self.blobs.objects.delete(one.key)

    def _adopt(self, staged: StagedStore, one: Staged) -> bool:
        now = int(self.clock())
        row = self.uploads.sessions.acquire(one.session, _WRITER, now=now, lease=now + LEASE_SECONDS)
        if row is None or row.repository != one.repository or row.expires <= now:
            return self._has(one)
        size = staged.verified_size(one)
        if size is None:
            _LOG.warning("S3 does not vouch for the digest of a staged object of session %s", one.session)
            return False
        link = Link(one.digest, size, one.key)
        try:
            is_published = self.blobs.publish(one.repository, link, EndUpload(one.session, _WRITER))
        except RegistryError as error:
            if is_exceeded(error):
                self._drop(one, row)
            raise
        if not is_published:
            return self._has(one)
        self.uploads.delete_bytes(row)
        return True

    def _has(self, one: Staged) -> bool:
        """Whether somebody else was first."""
        return self.blobs.links.get(one.repository, one.digest) is not None
