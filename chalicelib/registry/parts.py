"""Cuts a stream into S3 parts: at most one part is held here, whatever the stream's length.

Each request has keys of its own: a writer that lost its session never touches its successor's objects.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from chalicelib.registry.blobs import unknown_upload
from chalicelib.registry.stores import MultipartStore, ObjectStore, Part, UploadRow

PART_SIZE: Final = 8 * 1024 * 1024
MINIMUM_PART: Final = 5 * 1024 * 1024


@dataclass(slots=True)
class PartWriter:
    """Adds to the upload in `row`. Nothing is final until the row it leaves is saved."""

    objects: ObjectStore
    multipart: MultipartStore
    row: UploadRow
    own_multipart_key: str
    own_key: str
    _buffer: bytearray = field(default_factory=bytearray)
    _began: str | None = None
    replaced: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    spent: bool = False

    def write(self, block: bytes | memoryview) -> None:
        if not block:
            return
        self._load_tail()
        view = memoryview(block)
        while view:
            room = PART_SIZE - len(self._buffer)
            self._buffer += view[:room]
            view = view[room:]
            if len(self._buffer) == PART_SIZE:
                self._put_part()

    def pause(self) -> UploadRow:
        """Put down what is left until the next request: as a part where S3 takes one, else as a tail."""
        if self.row.multipart_id and len(self._buffer) >= MINIMUM_PART:
            self._put_part()
        elif self._buffer:
            self._put_own()
            self.row = replace(self.row, tail_key=self.own_key, tail_size=len(self._buffer))
            self._buffer = bytearray()
        return self.row

    def finish(self) -> str:
        """Make one object of everything; return its key."""
        key, multipart_id = self.row.multipart_key, self.row.multipart_id
        if key is None or multipart_id is None:
            return self._finish_small()
        number = len(self.row.parts) + 1
        if self._buffer:
            self._put_part()
        elif self.row.tail_key:
            source = self.row.tail_key
            etag = self.multipart.copy_part(key, multipart_id, number, source)
            self.row = replace(self.row, parts=(*self.row.parts, Part(etag, self.row.tail_size)))
            self.replaced.append(source)
        etags = [part.etag for part in self.row.parts]
        # Whatever S3 answers, and if it never does, the upload that the table's row names may be used up.
        self.spent = self._began is None
        self.multipart.complete(key, multipart_id, etags)
        return key

    def discard(self) -> None:
        """Forget what this request alone wrote; the row in the table still describes the rest."""
        for key in self.written:
            self.objects.delete(key)
        if self._began:
            delete_multipart(self.objects, self.multipart, self.own_multipart_key, self._began)
        self.written, self._began = [], None

    def _finish_small(self) -> str:
        if self.row.tail_key and not self._buffer:
            return self.row.tail_key
        self._put_own()
        return self.own_key

    def _put_own(self) -> None:
        # Named before it is there: an answer that is lost says nothing of the bytes.
        self.written.append(self.own_key)
        self.objects.put(self.own_key, self._buffer)

    def _load_tail(self) -> None:
        if self.row.tail_key and not self._buffer:
            tail = self.objects.get(self.row.tail_key)
            if tail is None:
                raise unknown_upload()
            self._buffer = bytearray(tail)
            self.replaced.append(self.row.tail_key)
            self.row = replace(self.row, tail_key=None, tail_size=0)

    def _put_part(self) -> None:
        key, multipart_id = self._multipart()
        etag = self.multipart.put_part(key, multipart_id, len(self.row.parts) + 1, self._buffer)
        self.row = replace(self.row, parts=(*self.row.parts, Part(etag, len(self._buffer))))
        self._buffer = bytearray()

    def _multipart(self) -> tuple[str, str]:
        """Key and id of the multipart upload, which the first part begins."""
        key, multipart_id = self.row.multipart_key, self.row.multipart_id
        if key is None or multipart_id is None:
            key = self.own_multipart_key
            multipart_id = self._began = self.multipart.begin(key)
            self.row = replace(self.row, multipart_key=key, multipart_id=multipart_id)
        return key, multipart_id


def delete_multipart(objects: ObjectStore, multipart: MultipartStore, key: str, multipart_id: str) -> None:
    """Whether it was completed or not, which a request that got no answer cannot know."""
    multipart.abort(key, multipart_id)
    objects.delete(key)
