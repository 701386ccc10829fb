"""Blobs: look up, publish once verified, mount across repositories, delete."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chalicelib.registry.changes import (
    Actor,
    Change,
    Charge,
    CountBlob,
    EndDirect,
    EndUpload,
    PutBlob,
    PutLink,
    RemoveLink,
    TouchLink,
    Transactions,
    WriteAudit,
)
from chalicelib.registry.quota import Quota
from chalicelib.registry.stores import Link, LinkStore, ObjectStore
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository

ATTEMPTS: Final = 8
GRACE_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class Blobs:
    """A blob is stored once an account and seen in a repository only through a link there.

    A link that no manifest names stays for `grace` seconds. Whoever is told that it is there counts on it:
    it stays for half as long from then on.
    """

    links: LinkStore
    objects: ObjectStore
    transactions: Transactions
    quota: Quota
    grace: int = GRACE_SECONDS
    clock: Callable[[], float] = time.time

    def find(self, repository: Repository, digest: Digest) -> Link:
        """Raises BLOB_UNKNOWN (404)."""
        link = self.links.get(repository, digest)
        if link is None:
            raise unknown_blob(digest)
        return link

    def look(self, repository: Repository, digest: Digest) -> Link | None:
        """For somebody who will name it in a manifest soon; one read, but for a link about to go."""
        link = self.links.get(repository, digest)
        if link is None or link.references or link.idle > self.clock() - self.grace / 2:
            return link
        if not self.transactions.write([TouchLink(repository, digest, link.idle)]):
            return link
        return self.links.get(repository, digest)

    def location(self, method: str, link: Link) -> str:
        return self.objects.presign(method, link.storage_key)

    def check_room(self, account: str, needed: int, digest: Digest | None = None) -> int:
        """How much the account has room for: anything, where that is `digest` and it has it already.

        Raises DENIED (403).
        """
        try:
            return self.quota.check_room(account, needed)
        except RegistryError:
            if digest is None or self.links.blob(account, digest) is None:
                raise
            return sys.maxsize

    def publish(self, repository: Repository, link: Link, upload: EndUpload | EndDirect) -> bool:
        """Make verified bytes visible, in one transaction when the blob is new to the account.

        The bytes at `link.storage_key` are deleted when the account already has them elsewhere.
        False when the session has another writer or is gone: the bytes may be that one's by now.
        Raises DENIED (403) for what the account has no room for: then nothing is written.
        """
        changes: list[Change] = [upload, *self._first_copy(repository, link)]
        for _ in range(ATTEMPTS):
            refused = self.transactions.write(changes)
            if not refused:
                self._written(repository.account, link, changes)
                return True
            if upload in refused:
                return False
            if len(refused) == 1 and isinstance(refused[0], Charge):
                changes = [upload, *self._after_no_room(repository, link)]
                continue
            changes = [upload, *self._second_copy(repository, link, refused)]
        raise busy()

    def _first_copy(self, repository: Repository, link: Link) -> list[Change]:
        account = repository.account
        return [PutLink(repository, link), PutBlob(account, link), Charge(account, link.size)]

    def _second_copy(self, repository: Repository, link: Link, refused: list[Change]) -> list[Change]:
        """What is left to write when the blob, or the link too, was there before."""
        if any(isinstance(change, PutLink) for change in refused):
            return [TouchLink(repository, link.digest)]
        if any(isinstance(change, TouchLink) for change in refused):
            return self._first_copy(repository, link)
        kept = self.links.blob(repository.account, link.digest)
        if kept is None:
            return self._first_copy(repository, link)
        return link_changes(repository, kept)

    def _after_no_room(self, repository: Repository, link: Link) -> list[Change]:
        """Raises DENIED (403), unless another pushed the same blob meanwhile: it costs nothing then."""
        account = repository.account
        try:
            self.quota.make_room(account, link.size)
        except RegistryError:
            kept = self.links.blob(account, link.digest)
            if kept is None:
                raise
            return link_changes(repository, kept)
        return self._first_copy(repository, link)

    def _written(self, account: str, link: Link, changes: list[Change]) -> None:
        if any(isinstance(change, Charge) for change in changes):
            self.quota.charged(account, link.size, self.transactions)
        else:
            self.objects.delete(link.storage_key)

    def mount(self, repository: Repository, digest: Digest, source: Repository | None) -> bool:
        """Link a blob that `source` has (None: that the account has). False: it has not."""
        if source is None:
            kept = self.links.blob(repository.account, digest)
            link = kept if kept is not None and kept.references else None
        else:
            link = self.links.get(source, digest)
        if link is None:
            return False
        for _ in range(ATTEMPTS):
            refused = self.transactions.write(link_changes(repository, link))
            if not any(isinstance(change, PutLink) for change in refused):
                return not refused
            if not self.transactions.write([TouchLink(repository, digest)]):
                return True
        raise busy()

    def relink(self, repository: Repository, digest: Digest) -> bool:
        """Link the account's copy of what was here before, linked or not. False: it is gone."""
        for _ in range(ATTEMPTS):
            if self.links.get(repository, digest) is not None:
                return True
            kept = self.links.blob(repository.account, digest)
            if kept is None:
                return False
            if not self.transactions.write(link_changes(repository, kept)):
                return True
        raise busy()

    def delete(self, repository: Repository, digest: Digest, actor: Actor | None = None) -> None:
        """Take the blob out of the repository; the audit trail tells of it where somebody asked for it.

        Raises BLOB_UNKNOWN (404), or DENIED (405) while a manifest there names it.
        """
        for _ in range(ATTEMPTS):
            link = self.find(repository, digest)
            if link.references:
                message = f"{digest} is named by {link.references} manifest(s) here; delete those first"
                raise RegistryError(ErrorCode.DENIED, message, ({"digest": digest},), status=405)
            changes: list[Change] = [
                RemoveLink(repository, digest),
                CountBlob(repository.account, digest, links=-1),
            ]
            if actor is not None:
                changes.append(WriteAudit(repository, actor, "delete-blob", digest))
            if not self.transactions.write(changes):
                return
        raise busy()


def link_changes(repository: Repository, kept: Link) -> list[Change]:
    fresh = Link(kept.digest, kept.size, kept.storage_key)
    count = CountBlob(repository.account, kept.digest, links=1, storage_key=kept.storage_key)
    return [PutLink(repository, fresh), count]


def unknown_blob(digest: Digest) -> RegistryError:
    return RegistryError(ErrorCode.BLOB_UNKNOWN, "this repository has no such blob", ({"digest": digest},))


def unknown_upload() -> RegistryError:
    message = "no such upload: it was completed, cancelled or has expired; start again with POST"
    return RegistryError(ErrorCode.BLOB_UPLOAD_UNKNOWN, message)


def busy() -> RegistryError:
    message = "too many requests change the same content at once; try again"
    return RegistryError(ErrorCode.TOOMANYREQUESTS, message, headers={"Retry-After": "1"})
