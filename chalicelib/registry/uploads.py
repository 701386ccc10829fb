"""Upload sessions: open, add bytes, close with a digest, cancel. One writer at a time."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from chalicelib.registry.blobs import Blobs, unknown_upload
from chalicelib.registry.changes import EndUpload
from chalicelib.registry.parts import PartWriter, delete_multipart
from chalicelib.registry.quota import is_exceeded
from chalicelib.registry.stores import Link, MultipartStore, ObjectStore, UploadRow, UploadStore
from chalicelib.spec import running_digest
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository

SESSION_SECONDS: Final = 24 * 3600
LEASE_SECONDS: Final = 60
_RENEW_SECONDS: Final = 20
# As `open` makes them: what is none must not reach the table, whose keys have a size.
SESSION: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Chunk:
    """The bytes of one request, in blocks, and what the request said of them beforehand."""

    blocks: Iterable[bytes]
    length: int | None = None
    start: int | None = None
    end: int | None = None

    @property
    def announced(self) -> int | None:
        return self.length if self.end is None else self.end - (self.start or 0) + 1


@dataclass(slots=True)
class _Room:
    """How many bytes there is room for, as `check` said last."""

    check: Callable[[int], int]
    free: int

    def take(self, size: int) -> None:
        """Raises DENIED (403)."""
        if size > self.free:
            self.free = self.check(size)


@dataclass(frozen=True, slots=True)
class Uploads:
    """A session's progress is saved when a request ends well, and is what it was when one does not."""

    sessions: UploadStore
    objects: ObjectStore
    multipart: MultipartStore
    blobs: Blobs
    key_for: Callable[[Repository, str, str], str]
    clock: Callable[[], float] = time.time

    def open(self, repository: Repository, size: int = 1, digest: Digest | None = None) -> UploadRow:
        """For `size` bytes or more. Raises DENIED (403) where the account has no room for them."""
        self.blobs.check_room(repository.account, size, digest)
        expires = int(self.clock()) + SESSION_SECONDS
        row = UploadRow(session=secrets.token_hex(16), repository=repository, expires=expires)
        self.sessions.create(row)
        return row

    def status(self, repository: Repository, session: str) -> UploadRow:
        """Raises BLOB_UPLOAD_UNKNOWN (404)."""
        row = self.sessions.get(session) if SESSION.fullmatch(session) else None
        if row is None or row.repository != repository or row.expires < self.clock():
            raise unknown_upload()
        return row

    def append(self, repository: Repository, session: str, chunk: Chunk) -> UploadRow:
        """Add a chunk at the end.

        Raises BLOB_UPLOAD_UNKNOWN (404), BLOB_UPLOAD_INVALID (416 off the end, 409 while another
        writes), SIZE_INVALID (400); DENIED (403) for more than there is room for, after which the session
        is gone.
        """
        writer, row = self._acquire(repository, session)
        if row.verified is not None:
            self.sessions.save(row, writer)
            raise unknown_upload()
        transfer = self._transfer(row, chunk, writer, row.algorithm)
        try:
            transfer.run(chunk)
            saved = transfer.paused()
        except BaseException as error:
            self._undo(transfer, writer, row, is_over=is_exceeded(error))
            raise
        self._save(saved, transfer, writer, row)
        self._delete(transfer.parts.replaced)
        return saved

    def close(self, repository: Repository, session: str, digest: Digest, chunk: Chunk) -> Link:
        """Add the last chunk, verify all, publish. What is verified already is published as it is.

        Raises what `append` raises, and DIGEST_INVALID (400), after which the session is gone too.
        """
        writer, row = self._acquire(repository, session)
        if row.verified is not None:
            return self._publish_verified(row, row.verified, writer, digest)
        transfer, link = self._complete(row, writer, digest, chunk)
        self._publish(link, transfer, writer, row)
        self._delete([*transfer.parts.replaced, *self._unused_tail(row, link.storage_key, transfer)])
        return link

    def verify(self, repository: Repository, session: str, digest: Digest, chunk: Chunk) -> Link:
        """Add the last chunk and verify all, for somebody else to publish by `close` without a byte.

        For a gateway, which may write no row but the session's. What is verified already stays as it is,
        and the bytes of the request are not read. Raises what `close` raises.
        """
        writer, row = self._acquire(repository, session)
        if row.verified is not None:
            self.sessions.save(row, writer)
            _check_verified(row.verified, digest)
            return row.verified
        transfer, link = self._complete(row, writer, digest, chunk)
        parts = transfer.parts.row
        saved = replace(parts, offset=link.size, tail_key=None, tail_size=0, verified=link)
        self._save(saved, transfer, writer, row)
        self._delete([*transfer.parts.replaced, *self._unused_tail(row, link.storage_key, transfer)])
        return link

    def _complete(self, row: UploadRow, writer: str, digest: Digest, chunk: Chunk) -> tuple[_Transfer, Link]:
        algorithm = digest.algorithm if row.offset == 0 else row.algorithm
        transfer = self._transfer(row, chunk, writer, algorithm, digest)
        try:
            transfer.run(chunk)
            key = self._verified(transfer, digest)
        except BaseException as error:
            self._undo(transfer, writer, row, is_over=_is_mismatch(error) or is_exceeded(error))
            raise
        return transfer, Link(digest, transfer.offset, key)

    def _publish_verified(self, row: UploadRow, link: Link, writer: str, digest: Digest) -> Link:
        try:
            _check_verified(link, digest)
            is_published = self.blobs.publish(row.repository, link, EndUpload(row.session, writer))
        except BaseException as error:
            self._let_go(row, writer, error)
            raise
        if not is_published:
            raise unknown_upload()
        return link

    def _let_go(self, row: UploadRow, writer: str, error: BaseException) -> None:
        """Of a session to which this request added nothing: of what there is no room for nothing is kept."""
        if not is_exceeded(error):
            self.sessions.save(row, writer)
        elif not self.blobs.transactions.write([EndUpload(row.session, writer)]):
            self.delete_bytes(row)

    def cancel(self, repository: Repository, session: str) -> None:
        """Raises BLOB_UPLOAD_UNKNOWN (404)."""
        self.status(repository, session)
        if not self.end(session):
            raise unknown_upload()

    def end(self, session: str) -> bool:
        """Whatever its state; nobody can publish its bytes then. False: it was gone."""
        row = self.sessions.remove(session)
        if row is None:
            return False
        self.delete_bytes(row)
        return True

    def _acquire(self, repository: Repository, session: str) -> tuple[str, UploadRow]:
        writer, now = secrets.token_hex(8), int(self.clock())
        if not SESSION.fullmatch(session):
            raise unknown_upload()
        row = self.sessions.acquire(session, writer, now=now, lease=now + LEASE_SECONDS)
        if row is None:
            self.status(repository, session)
            message = (
                "another request is writing to this upload; wait for it, then ask for the status with GET"
            )
            raise RegistryError(ErrorCode.BLOB_UPLOAD_INVALID, message, status=409)
        if row.repository != repository or row.expires < now:
            self.sessions.save(row, writer)
            raise unknown_upload()
        return writer, row

    def _transfer(
        self, row: UploadRow, chunk: Chunk, writer: str, algorithm: str, digest: Digest | None = None
    ) -> _Transfer:
        if chunk.start is not None and chunk.start != row.offset:
            self.sessions.save(row, writer)
            raise out_of_range(row)
        room = self._room_for(row, chunk, writer, digest)
        parts = PartWriter(
            objects=self.objects,
            multipart=self.multipart,
            row=row,
            own_multipart_key=self.key_for(row.repository, row.session, f"{writer}-multipart"),
            own_key=self.key_for(row.repository, row.session, writer),
        )
        return _Transfer(parts, self.sessions, writer, algorithm, clock=self.clock, room=room)

    def _room_for(self, row: UploadRow, chunk: Chunk, writer: str, digest: Digest | None) -> _Room:
        """Before any byte is read. Raises DENIED (403)."""

        def check(size: int) -> int:
            return self.blobs.check_room(row.repository.account, size, digest)

        try:
            return _Room(check, check(row.offset + (chunk.announced or 0)))
        except BaseException as error:
            self._let_go(row, writer, error)
            raise

    def _save(self, saved: UploadRow, transfer: _Transfer, writer: str, row: UploadRow) -> None:
        try:
            is_saved = self.sessions.save(saved, writer)
        except BaseException:
            self._give_back(transfer, writer, row)
            raise
        if not is_saved:
            transfer.parts.discard()
            raise unknown_upload()

    def _publish(self, link: Link, transfer: _Transfer, writer: str, row: UploadRow) -> None:
        try:
            is_published = self.blobs.publish(row.repository, link, EndUpload(row.session, writer))
        except BaseException as error:
            self._give_back(transfer, writer, row, is_over=is_exceeded(error))
            raise
        if not is_published:
            transfer.parts.discard()
            raise unknown_upload()

    def _verified(self, transfer: _Transfer, digest: Digest) -> str:
        """The key of all bytes as one object. Raises DIGEST_INVALID (400)."""
        known = transfer.digest_if(digest.algorithm)
        if known is not None and known != digest:
            raise _mismatch(digest, known)
        key = transfer.parts.finish()
        if known is None:
            self._read_back(key, digest)
        return key

    def _read_back(self, key: str, digest: Digest) -> None:
        """The slow way, for an algorithm announced late or a state that could not be carried."""
        running = running_digest.start(digest.algorithm)
        for block in self.objects.blocks(key):
            running.update(block)
        if running.digest() != digest:
            raise _mismatch(digest, running.digest())

    def _undo(self, transfer: _Transfer, writer: str, row: UploadRow, *, is_over: bool = False) -> None:
        """After a failure before any row was to name what this request wrote."""
        transfer.parts.discard()
        self._give_back(transfer, writer, row, is_over=is_over)

    def _give_back(self, transfer: _Transfer, writer: str, row: UploadRow, *, is_over: bool = False) -> None:
        """Leave the session as it was found, or end it where it cannot go on from there.

        Either holds only while the session is still this writer's, and shuts out whatever it tried
        before without an answer: only then is it certain that no row names what it wrote.
        """
        if is_over or transfer.parts.spent:
            is_ours = not self.blobs.transactions.write([EndUpload(row.session, writer)])
            if is_ours:
                self.delete_bytes(row)
        else:
            is_ours = self.sessions.save(row, writer)
        if is_ours:
            transfer.parts.discard()

    def delete_bytes(self, row: UploadRow) -> None:
        """Of a session whose row is gone, so that nobody can publish them any more."""
        if row.multipart_key and row.multipart_id:
            delete_multipart(self.objects, self.multipart, row.multipart_key, row.multipart_id)
        if row.tail_key:
            self.objects.delete(row.tail_key)
        if row.verified:
            self.objects.delete(row.verified.storage_key)

    def _unused_tail(self, row: UploadRow, key: str, transfer: _Transfer) -> list[str]:
        spent = row.tail_key and row.tail_key != key and row.tail_key not in transfer.parts.replaced
        return [row.tail_key] if spent and row.tail_key else []

    def _delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.objects.delete(key)


class _Transfer:
    """One request's bytes on their way to S3, hashed as they pass."""

    def __init__(
        self,
        parts: PartWriter,
        sessions: UploadStore,
        writer: str,
        algorithm: str,
        *,
        clock: Callable[[], float],
        room: _Room,
    ) -> None:
        row = parts.row
        self.parts = parts
        self.offset = row.offset
        self._sessions, self._writer, self._clock, self._room = sessions, writer, clock, room
        self._renewed = clock()
        self._running = (
            running_digest.start(algorithm)
            if row.offset == 0
            else running_digest.resume(row.algorithm, row.hash_state or b"")
        )

    def run(self, chunk: Chunk) -> None:
        begin = self.offset
        for block in chunk.blocks:
            self._room.take(self.offset + len(block))
            if self._running is not None:
                self._running.update(block)
            self.parts.write(block)
            self.offset += len(block)
            self._keep_lease()
        received, expected = self.offset - begin, chunk.announced
        if expected is not None and received != expected:
            message = f"the request announced {expected} bytes and carried {received}; send the chunk again"
            raise RegistryError(ErrorCode.SIZE_INVALID, message)

    def paused(self) -> UploadRow:
        running = self._running
        return replace(
            self.parts.pause(),
            offset=self.offset,
            algorithm=running.algorithm if running else self.parts.row.algorithm,
            hash_state=running.state() if running else None,
        )

    def digest_if(self, algorithm: str) -> Digest | None:
        """The digest of everything so far, where it was kept in that algorithm."""
        if self._running is None or self._running.algorithm != algorithm:
            return None
        return self._running.digest()

    def _keep_lease(self) -> None:
        now = self._clock()
        if now - self._renewed < _RENEW_SECONDS:
            return
        if not self._sessions.renew(self.parts.row.session, self._writer, int(now) + LEASE_SECONDS):
            raise unknown_upload()
        self._renewed = now


def _check_verified(link: Link, digest: Digest) -> None:
    if link.digest != digest:
        raise _mismatch(digest, link.digest)


def content_range(row: UploadRow) -> str:
    """`Range` of an upload: first and last byte held; an empty one says 0-0, as clients expect."""
    return f"0-{max(row.offset - 1, 0)}"


def out_of_range(row: UploadRow) -> RegistryError:
    return RegistryError(
        ErrorCode.BLOB_UPLOAD_INVALID,
        f"the next chunk must start at byte {row.offset}",
        ({"offset": row.offset},),
        status=416,
        headers={"Range": content_range(row)},
    )


def _is_mismatch(error: BaseException) -> bool:
    return isinstance(error, RegistryError) and error.code is ErrorCode.DIGEST_INVALID


def _mismatch(asked: Digest, found: Digest) -> RegistryError:
    message = f"the uploaded bytes hash to {found}, not to {asked}; the upload was discarded, start again"
    return RegistryError(ErrorCode.DIGEST_INVALID, message, ({"digest": asked, "computed": found},))
