"""Streams cut into S3 parts: the same bytes whatever the blocks, and little of them in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from chalicelib.registry import parts
from chalicelib.registry.parts import MINIMUM_PART, PART_SIZE, PartWriter
from chalicelib.registry.stores import UploadRow
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository

MIB = 1024 * 1024
REPOSITORY = Repository("account", "dev/app")
SMALL, LARGE = 800, 500
Data = bytes | bytearray | memoryview


class Bucket:
    """Whole objects and multipart uploads, as strict as S3 is about the size of parts."""

    def __init__(self, minimum: int = MINIMUM_PART) -> None:
        self.objects: dict[str, bytes] = {}
        self.open: dict[str, dict[int, bytes]] = {}
        self.minimum = minimum

    def put(self, key: str, data: Data) -> None:
        self.objects[key] = bytes(data)

    def get(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def blocks(self, key: str) -> Iterator[bytes]:
        yield self.objects[key]

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    def presign(self, method: str, key: str) -> str:
        return f"{method} {key}"

    def begin(self, key: str) -> str:
        self.open[f"id of {key}"] = {}
        return f"id of {key}"

    def put_part(self, key: str, multipart_id: str, number: int, data: Data) -> str:
        assert multipart_id == f"id of {key}"
        self.open[multipart_id][number] = bytes(data)
        return f"etag {number}"

    def copy_part(self, key: str, multipart_id: str, number: int, source: str) -> str:
        return self.put_part(key, multipart_id, number, self.objects[source])

    def complete(self, key: str, multipart_id: str, etags: Sequence[str]) -> None:
        stored = self.open.pop(multipart_id)
        assert list(etags) == [f"etag {number}" for number in range(1, len(stored) + 1)]
        pieces = [stored[number] for number in sorted(stored)]
        assert all(len(piece) >= self.minimum for piece in pieces[:-1]), "EntityTooSmall"
        self.objects[key] = b"".join(pieces)

    def abort(self, key: str, multipart_id: str) -> None:
        assert multipart_id == f"id of {key}"
        self.open.pop(multipart_id, None)


@dataclass
class Requests:
    """Writers one after another on one session, each with a key of its own."""

    bucket: Bucket
    row: UploadRow = field(default_factory=lambda: UploadRow("session", REPOSITORY))
    count: int = 0

    def writer(self) -> PartWriter:
        self.count += 1
        return PartWriter(self.bucket, self.bucket, self.row, "whole", f"own {self.count}")

    def append(self, *blocks: bytes) -> None:
        writer = self.writer()
        for block in blocks:
            writer.write(block)
        self.row = writer.pause()
        self._forget(writer)

    def close(self, *blocks: bytes) -> bytes:
        writer = self.writer()
        for block in blocks:
            writer.write(block)
        key = writer.finish()
        tail = self.row.tail_key
        self._forget(writer)
        if tail and tail != key:
            self.bucket.delete(tail)
        return self.bucket.objects[key]

    def _forget(self, writer: PartWriter) -> None:
        for key in writer.replaced:
            self.bucket.delete(key)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Parts of some bytes, so that many fit into a test."""
    monkeypatch.setattr(parts, "PART_SIZE", SMALL)
    monkeypatch.setattr(parts, "MINIMUM_PART", LARGE)
    return Bucket(LARGE)


def content(size: int) -> bytes:
    return bytes(number * 7 % 251 for number in range(size))


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[begin : begin + size] for begin in range(0, len(data), size)]


@pytest.mark.parametrize("size", [0, 1, 499, 500, 799, 800, 801, 1600, 1601, 5000])
@pytest.mark.parametrize("block", [1, 7, 100, 800, 801, 3000, 10_000])
def test_one_request_gives_the_same_bytes_whatever_its_blocks(
    small_parts: Bucket, size: int, block: int
) -> None:
    requests = Requests(small_parts)
    assert requests.close(*cut(content(size), block)) == content(size)
    assert len(small_parts.objects) == 1
    assert not small_parts.open


@pytest.mark.parametrize("chunk", [1, 99, 499, 500, 501, 799, 800, 801, 1700])
@pytest.mark.parametrize("size", [1, 800, 1601, 4000])
@pytest.mark.parametrize("last_in_put", [True, False])
def test_many_requests_give_the_same_bytes_whatever_their_chunks(
    small_parts: Bucket,
    size: int,
    chunk: int,
    last_in_put: bool,  # noqa: FBT001
) -> None:
    requests = Requests(small_parts)
    *first, last = cut(content(size), chunk)
    for one in first:
        requests.append(one)
    if last_in_put:
        assert requests.close(last) == content(size)
    else:
        requests.append(last)
        assert requests.close() == content(size)
    assert len(small_parts.objects) == 1
    assert not small_parts.open


def test_a_pause_leaves_at_most_a_tail_behind_the_parts(small_parts: Bucket) -> None:
    requests = Requests(small_parts)
    for number in range(1, 30):
        requests.append(content(130))
        stored = sum(part.size for part in requests.row.parts) + requests.row.tail_size
        assert stored == number * 130
        assert len(small_parts.objects) == (1 if requests.row.tail_key else 0)
        assert len(small_parts.open) <= 1


def test_a_small_blob_is_one_object_and_no_multipart_upload(small_parts: Bucket) -> None:
    requests = Requests(small_parts)
    requests.append(content(10))
    assert requests.close() == content(10)
    assert list(small_parts.objects) == ["own 1"]


@pytest.mark.parametrize("size", [10, 900, 2000])
def test_what_is_discarded_leaves_the_bytes_of_before(small_parts: Bucket, size: int) -> None:
    requests = Requests(small_parts)
    requests.append(content(100))
    before = dict(small_parts.objects)
    writer = requests.writer()
    writer.write(content(size))
    writer.pause()
    writer.discard()
    assert small_parts.objects == before
    assert not small_parts.open
    assert requests.close() == content(100)


def test_parts_written_after_a_discard_take_the_place_of_those_before(small_parts: Bucket) -> None:
    requests = Requests(small_parts)
    requests.append(content(1700))
    lost = requests.writer()
    lost.write(b"x" * 1700)
    lost.pause()
    lost.discard()
    assert requests.close(content(3000)[1700:]) == content(3000)


def test_a_tail_that_is_gone_ends_the_upload(small_parts: Bucket) -> None:
    requests = Requests(small_parts)
    requests.append(content(100))
    small_parts.objects.clear()
    with pytest.raises(RegistryError) as refused:
        requests.append(content(1))
    assert refused.value.code is ErrorCode.BLOB_UPLOAD_UNKNOWN


class Sink(Bucket):
    """Counts what it is given and keeps none of it."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def put_part(self, key: str, multipart_id: str, number: int, data: Data) -> str:
        assert multipart_id == f"id of {key}"
        self.sizes.append(len(data))
        return f"etag {number}"

    def complete(self, key: str, multipart_id: str, etags: Sequence[str]) -> None:
        assert multipart_id == f"id of {key}"
        assert list(etags) == [f"etag {number}" for number in range(1, len(self.sizes) + 1)]


@pytest.mark.parametrize("block", [64 * 1024, MIB, PART_SIZE - 1, 3 * PART_SIZE + 1])
def test_never_more_than_two_parts_are_in_memory_however_long_the_stream(block: int) -> None:
    sink = Sink()
    writer = PartWriter(sink, sink, UploadRow("session", REPOSITORY), "whole", "own")
    data, total = bytes(block), 0
    tracemalloc.start()
    try:
        while total < 60 * MIB:
            writer.write(data)
            total += block
        writer.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * PART_SIZE
    assert sum(sink.sizes) == total
    assert set(sink.sizes[:-1]) == {PART_SIZE}
