"""Verifies what a direct upload left in S3, then publishes its digest: at any time, by anybody, once.

It can die between any two calls: the next verifier goes on from what is in S3 and in the row.
"""

from __future__ import annotations

import base64
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from chalicelib.registry.blobs import Blobs
from chalicelib.registry.changes import EndDirect
from chalicelib.registry.stores import REFUSED, CheckedObjects, CheckedParts, DirectRow, DirectStore, Link
from chalicelib.spec import running_digest
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository

SHA256: Final = "sha256"
LEASE_SECONDS: Final = 60
SLOW_SECONDS: Final = 300
SAVE_SECONDS: Final = 5
KEPT_SECONDS: Final = 24 * 3600


class _RefusedError(Exception):
    """These bytes will never be what was announced; the message is for the client."""


class _LateError(Exception):
    """Time is up; what was done is saved."""


class _LostError(Exception):
    """Another verifier has the session, or nobody any more."""


@dataclass(slots=True)
class _Run:
    """One verifier's work on a session; `row` is as it was last saved."""

    row: DirectRow
    writer: str


@dataclass(frozen=True, slots=True)
class Verifier:
    """One verifier at a time holds the lease of a session."""

    sessions: DirectStore
    objects: CheckedObjects
    parts: CheckedParts
    blobs: Blobs
    key_for: Callable[[Repository, str, str], str]
    clock: Callable[[], float] = time.time

    def verify(self, session: str, until: float = math.inf) -> bool:
        """False: it is `until` o'clock; what was done is kept, call again."""
        writer, now = secrets.token_hex(8), int(self.clock())
        row = self.sessions.acquire(session, writer, now=now, lease=now + LEASE_SECONDS)
        if row is None:
            return True
        run = _Run(row, writer)
        try:
            self._assemble(run)
            key = self._in_place(run, until) if row.is_final else self._copied(run)
        except _RefusedError as why:
            self._refuse(run, str(why))
            return True
        except _LateError:
            return False
        except Exception:
            # Whoever cancelled it may have taken the bytes away under this verifier.
            if self._is_lost(run):
                return True
            raise
        self._publish(run, key)
        return True

    def delete_bytes(self, row: DirectRow) -> None:
        """Of a session that nobody can publish any more."""
        kept = self.blobs.links.blob(row.repository.account, row.digest)
        if row.multipart_id is not None:
            self.parts.abort(row.key, row.multipart_id)
        if kept is None or kept.storage_key != row.key:
            self.objects.delete(row.key)

    def _assemble(self, run: _Run) -> None:
        """Make one object of the parts, unless an earlier verifier did; of the size announced."""
        row = run.row
        if row.verified:
            return
        if row.multipart_id is not None:
            self._extend(run)
            stored = self.parts.stored_parts(row.key, row.multipart_id)
            if stored is not None:
                self.parts.complete_checked(row.key, row.multipart_id, stored)
        found = self.objects.stat(row.key)
        if found is None:
            raise _RefusedError("the uploaded bytes are gone; start again")
        if found.size != row.size:
            raise _RefusedError(f"{found.size} bytes were uploaded, {row.size} announced; start again")

    def _copied(self, run: _Run) -> str:
        """The key of a copy whose bytes have the digest."""
        row = run.row
        own = self.key_for(row.repository, row.session, run.writer)
        if row.multipart_id is not None:
            self._extend(run)
        try:
            told = self.objects.copy(row.key, own) or self._told(own)
            _check(row, _digest(told) if told else self._hashed(own, row.size))
        except Exception:
            self.objects.delete(own)
            raise
        return own

    def _extend(self, run: _Run) -> None:
        """Amazon S3 may take minutes to complete and to copy, in one call each; others read back."""
        if self.objects.copies_checked:
            self._save(run, run.row, lease=int(self.clock()) + SLOW_SECONDS)

    def _told(self, key: str) -> str:
        found = self.objects.stat(key)
        return found.sha256 if found else ""

    def _hashed(self, key: str, size: int) -> Digest:
        running = running_digest.start(SHA256)
        for block in self.objects.read_ahead(key, 0, size):
            running.update(block)
        return running.digest()

    def _in_place(self, run: _Run, until: float) -> str:
        """Where the bytes are, once they are known to have the digest. Raises _LateError."""
        row = run.row
        running = running_digest.resume(SHA256, row.hash_state) if row.hash_state else None
        # From the beginning where the state of another could not be carried.
        verified = 0 if running is None else row.verified
        running = running or running_digest.start(SHA256)
        saved = self.clock()
        for block in self.objects.read_ahead(row.key, verified, row.size):
            running.update(block)
            verified += len(block)
            now = self.clock()
            is_late = now >= until
            if is_late or now - saved >= SAVE_SECONDS:
                reached = replace(row, verified=verified, hash_state=running.state())
                self._save(run, reached, lease=0 if is_late else int(now) + LEASE_SECONDS)
                saved = now
            if is_late:
                raise _LateError
        _check(row, running.digest())
        return row.key

    def _save(self, run: _Run, reached: DirectRow, lease: int) -> None:
        """Raises _LostError."""
        if not self.sessions.save(reached, run.writer, lease):
            raise _LostError
        run.row = reached

    def _refuse(self, run: _Run, why: str) -> None:
        refused = replace(run.row, state=REFUSED, detail=why, hash_state=None)
        if self.sessions.save(refused, run.writer):
            self.delete_bytes(run.row)
        else:
            self._leave(run)

    def _publish(self, run: _Run, key: str) -> None:
        row = run.row
        link = Link(row.digest, row.size, key)
        end = EndDirect(row.session, run.writer, int(self.clock()) + KEPT_SECONDS)
        try:
            is_published = self.blobs.publish(row.repository, link, end)
        except Exception as error:
            if _has_no_room(error):
                self._discard(row, key)
                self._refuse(run, str(error))
                return
            # Only while it is still this writer's is it certain that nothing was published, nor will be.
            if self.sessions.save(row, run.writer):
                self._discard(row, key)
            raise
        if not is_published:
            self._discard(row, key)
            self._leave(run)
        elif not row.is_final:
            self.objects.delete(row.key)

    def _is_lost(self, run: _Run) -> bool:
        """Let go of the session, so that another may try again."""
        if self.sessions.save(run.row, run.writer):
            return False
        self._leave(run)
        return True

    def _leave(self, run: _Run) -> None:
        """To the verifier that has it now; or to nobody, where it was cancelled."""
        if self.sessions.get(run.row.session) is None:
            self.delete_bytes(run.row)

    def _discard(self, row: DirectRow, key: str) -> None:
        if not row.is_final:
            self.objects.delete(key)


def _has_no_room(error: Exception) -> bool:
    """Nothing was written then, and the bytes must not wait for ever until there is."""
    return isinstance(error, RegistryError) and error.code is ErrorCode.DENIED


def _check(row: DirectRow, found: Digest) -> None:
    if found != row.digest:
        raise _RefusedError(f"the uploaded bytes hash to {found}, not to {row.digest}; start again")


def _digest(sha256: str) -> Digest:
    return Digest(f"{SHA256}:{base64.b64decode(sha256).hex()}")
