"""Direct uploads: clients send the bytes to S3; here they are announced, signed for and completed."""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from chalicelib.registry.blobs import Blobs, unknown_upload
from chalicelib.registry.stores import (
    OPEN,
    PUBLISHED,
    REFUSED,
    VERIFYING,
    CheckedObjects,
    CheckedPart,
    CheckedParts,
    DirectRow,
    DirectStore,
    Presigned,
)
from chalicelib.registry.verification import Verifier
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository

MEBIBYTE: Final = 1024 * 1024
PUT_LIMIT: Final = 16 * MEBIBYTE
PART_SIZE: Final = 16 * MEBIBYTE
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
PARTS_LIMIT: Final = 10_000
SIZE_LIMIT: Final = 5 * 1024**4
COPY_LIMIT: Final = 5 * 1024**3
SESSION_SECONDS: Final = 24 * 3600
START_SECONDS: Final = 15
NAMED: Final = 20
# No upload of /v2 looks like this: neither way in takes the other's sessions.
_SESSION: Final = re.compile(r"direct-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class DirectUploads:
    """`start` has a session verified, by now or later, by this process or another."""

    sessions: DirectStore
    objects: CheckedObjects
    parts: CheckedParts
    blobs: Blobs
    verifier: Verifier
    incoming_key: Callable[[Repository, str], str]
    start: Callable[[str], None]
    clock: Callable[[], float] = time.time

    def present(self, repository: Repository, digest: Digest) -> bool:
        return self.blobs.links.get(repository, digest) is not None

    def mounted(self, repository: Repository, digest: Digest, sources: Iterable[Repository]) -> bool:
        """Linked from the first of `sources` that has it."""
        return any(self.blobs.mount(repository, digest, source) for source in sources)

    def open(self, repository: Repository, digest: Digest, size: int) -> DirectRow:
        """Raises DIGEST_INVALID, SIZE_INVALID (422), DENIED (403) before bytes travel that have no room."""
        _check(digest, size)
        if self.blobs.links.blob(repository.account, digest) is None:
            self.blobs.quota.make_room(repository.account, size)
        session = f"direct-{secrets.token_hex(16)}"
        is_put = size <= PUT_LIMIT
        is_final = not is_put and not (self.objects.copies_checked and size <= COPY_LIMIT)
        key = (
            self.verifier.key_for(repository, session, "parts")
            if is_final
            else self.incoming_key(repository, session)
        )
        row = DirectRow(
            session=session,
            repository=repository,
            digest=digest,
            size=size,
            key=key,
            is_final=is_final,
            multipart_id=None if is_put else self.parts.begin_checked(key),
            part_size=0 if is_put else part_size(size),
            expires=int(self.clock()) + SESSION_SECONDS,
        )
        self.sessions.create(row)
        return row

    def find(self, session: str) -> DirectRow:
        """Raises BLOB_UPLOAD_UNKNOWN (404)."""
        row = self.sessions.get(session) if _SESSION.fullmatch(session) else None
        if row is None or row.expires < self.clock():
            raise unknown_upload()
        return row

    def put_url(self, row: DirectRow) -> Presigned:
        return self.objects.put_url(row.key, row.size, base64_of(row.digest))

    def part_urls(self, row: DirectRow, wanted: Sequence[CheckedPart]) -> list[Presigned]:
        """Raises BLOB_UPLOAD_INVALID (409), SIZE_INVALID (422)."""
        if row.multipart_id is None or row.state != OPEN:
            raise _not_open(row)
        for part in wanted:
            if part.size != size_of_part(row, part.number):
                raise _wrong_part(row, part)
        return [self.parts.part_url(row.key, row.multipart_id, part) for part in wanted]

    def uploaded(self, row: DirectRow) -> list[CheckedPart]:
        """What S3 has of a session that is open."""
        if row.multipart_id is None or row.state != OPEN:
            return []
        return self.parts.stored_parts(row.key, row.multipart_id) or []

    def complete(self, row: DirectRow) -> DirectRow:
        """Have it verified: one that came whole at once, another by `start`.

        Raises BLOB_UPLOAD_INVALID (409) while bytes are missing.
        """
        if row.state == OPEN:
            self._check_complete(row)
            self.sessions.verifying(row.session, self._begin_by())
            row = self.find(row.session)
        if row.state == REFUSED:
            self.verifier.delete_bytes(row)
        if row.state != VERIFYING:
            return row
        if row.multipart_id is not None:
            self.start(row.session)
            return row
        self.verifier.verify(row.session)
        return self.find(row.session)

    def revive(self, row: DirectRow) -> None:
        """Start again what should have been verified, where whoever was at it is gone."""
        if row.state == VERIFYING and row.lease < self.clock():
            self.start(row.session)

    def cancel(self, row: DirectRow) -> None:
        """Raises BLOB_UPLOAD_INVALID (409) once it is published."""
        removed = self.sessions.remove(row.session)
        if removed is not None:
            self.verifier.delete_bytes(removed)
            return
        if self.find(row.session).state == PUBLISHED:
            message = "this upload is published; delete the blob instead"
            raise RegistryError(ErrorCode.BLOB_UPLOAD_INVALID, message, status=409)

    def _begin_by(self) -> int:
        return int(self.clock()) + START_SECONDS

    def _check_complete(self, row: DirectRow) -> None:
        if row.multipart_id is None:
            if self.objects.stat(row.key) is None:
                raise _incomplete("the bytes are not there: PUT them to the session's url")
            return
        stored = self.parts.stored_parts(row.key, row.multipart_id)
        sizes = {part.number: part.size for part in stored or ()}
        count = count_of_parts(row)
        wrong = [n for n in range(1, count + 1) if sizes.get(n) != size_of_part(row, n)]
        if wrong:
            named = ", ".join(map(str, wrong[:NAMED])) + (", …" if len(wrong) > NAMED else "")
            raise _incomplete(f"{len(wrong)} of {count} parts are missing or of a wrong size: {named}")


def part_size(size: int) -> int:
    """Whole MiB, so that there are no more than `PARTS_LIMIT`."""
    least = -(-size // PARTS_LIMIT)
    return max(PART_SIZE, -(-least // MEBIBYTE) * MEBIBYTE)


def count_of_parts(row: DirectRow) -> int:
    return -(-row.size // row.part_size) if row.part_size else 0


def size_of_part(row: DirectRow, number: int) -> int | None:
    """None for a number that it has not."""
    if not 1 <= number <= count_of_parts(row):
        return None
    return min(row.part_size, row.size - (number - 1) * row.part_size)


def base64_of(digest: Digest) -> str:
    """As S3 writes checksums."""
    return base64.b64encode(bytes.fromhex(digest.partition(":")[2])).decode()


def _check(digest: Digest, size: int) -> None:
    if digest.algorithm != "sha256":
        message = f"a direct upload takes a sha256 digest; push {digest.algorithm} through /v2"
        raise RegistryError(ErrorCode.DIGEST_INVALID, message, status=422)
    if size > SIZE_LIMIT:
        raise RegistryError(ErrorCode.SIZE_INVALID, "S3 takes 5 TiB an object; split the layer", status=422)


def _incomplete(message: str) -> RegistryError:
    return RegistryError(ErrorCode.BLOB_UPLOAD_INVALID, message, status=409)


def _not_open(row: DirectRow) -> RegistryError:
    if row.multipart_id is None:
        message = "this upload is one PUT to the session's url; it has no parts"
    else:
        message = f"this upload is {row.state}; it takes no more parts"
    return RegistryError(ErrorCode.BLOB_UPLOAD_INVALID, message, status=409)


def _wrong_part(row: DirectRow, part: CheckedPart) -> RegistryError:
    size = size_of_part(row, part.number)
    if size is None:
        message = f"there is no part {part.number}: parts go from 1 to {count_of_parts(row)}"
    else:
        message = f"part {part.number} has {size} bytes, not {part.size}"
    return RegistryError(ErrorCode.SIZE_INVALID, message, status=422)
