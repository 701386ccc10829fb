"""Bytes that clients send to S3, which checks them: `registry.stores.CheckedObjects` and `CheckedParts`.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, Final

import urllib3
from botocore.exceptions import IncompleteReadError

from chalicelib.aws.blob_store import S3BlobStore
from chalicelib.registry.stores import CheckedPart, Presigned, Stat

# A verification holds one range more than it fetches: 64 MiB.
RANGE: Final = 16 * 1024 * 1024
AHEAD: Final = 3
_OCTETS: Final = "application/octet-stream"
_GONE: Final = {"NoSuchKey", "NoSuchUpload", "404"}


class S3CheckedStore:
    """`is_amazon`: S3 itself keeps the checksums of parts and tells the full one of a copy; other engines
    check each part no less, but then want or tell them in ways of their own.
    """

    def __init__(self, client: Any, bucket: str, store: S3BlobStore, *, is_amazon: bool) -> None:
        self._client, self._bucket, self._store = client, bucket, store
        self._is_amazon = is_amazon

    @property
    def copies_checked(self) -> bool:
        return self._is_amazon

    def put_url(self, key: str, size: int, sha256: str) -> Presigned:
        return self._presigned(key, size, sha256)

    def part_url(self, key: str, multipart_id: str, part: CheckedPart) -> Presigned:
        parameters = {"partNumber": str(part.number), "uploadId": multipart_id}
        return self._presigned(key, part.size, part.sha256, parameters)

    def _presigned(
        self, key: str, size: int, sha256: str, parameters: Mapping[str, str] | None = None
    ) -> Presigned:
        headers = {"content-length": str(size), "x-amz-checksum-sha256": sha256}
        url = self._store.presigned("PUT", key, headers=headers, parameters=parameters or {})
        return Presigned(url, headers)

    def stat(self, key: str) -> Stat | None:
        try:
            answer = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        except self._client.exceptions.ClientError as error:
            if _code(error) not in _GONE:
                raise
            return None
        return Stat(int(answer["ContentLength"]), _full(answer))

    def copy(self, source: str, key: str) -> str:
        """Of the bytes alone: a Content-Encoding of the client's would be undone by whoever pulls."""
        answer = self._client.copy_object(
            Bucket=self._bucket,
            Key=key,
            CopySource={"Bucket": self._bucket, "Key": source},
            ChecksumAlgorithm="SHA256",
            MetadataDirective="REPLACE",
            ContentType=_OCTETS,
        )
        return _full(answer["CopyObjectResult"])

    def read_ahead(self, key: str, start: int, size: int) -> Iterator[bytearray]:
        """Ranges are fetched while those before them are hashed, in buffers that are used again and again:
        fresh memory for each costs more CPU than all the rest.
        """
        buffers = deque(bytearray(min(RANGE, max(size - start, 0))) for _ in range(AHEAD + 1))
        under_way: deque[Future[bytearray]] = deque()
        with ThreadPoolExecutor(AHEAD, "range") as pool:
            try:
                for begin in range(start, size, RANGE):
                    end = min(begin + RANGE, size)
                    under_way.append(pool.submit(self._fill, buffers.popleft(), key, begin, end))
                    if len(under_way) == AHEAD:
                        done = under_way.popleft().result()
                        yield done
                        buffers.append(done)
                while under_way:
                    yield under_way.popleft().result()
            finally:
                for one in under_way:
                    one.cancel()

    def _fill(self, buffer: bytearray, key: str, begin: int, end: int) -> bytearray:
        """Only the last range is shorter than its buffer."""
        asked = f"bytes={begin}-{end - 1}"
        answer = self._client.get_object(Bucket=self._bucket, Key=key, Range=asked)
        size = end - begin
        with closing(answer["Body"]), memoryview(buffer) as view:
            count = _read_into(answer["Body"]._raw_stream, view[:size])  # noqa: SLF001
        if count < size:
            raise IncompleteReadError(actual_bytes=count, expected_bytes=size)
        del buffer[size:]
        return buffer

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def begin_checked(self, key: str) -> str:
        told = {"ChecksumAlgorithm": "SHA256"} if self._is_amazon else {}
        answer = self._client.create_multipart_upload(
            Bucket=self._bucket, Key=key, ContentType=_OCTETS, **told
        )
        return str(answer["UploadId"])

    def stored_parts(self, key: str, multipart_id: str) -> list[CheckedPart] | None:
        pages = self._client.get_paginator("list_parts").paginate(
            Bucket=self._bucket, Key=key, UploadId=multipart_id
        )
        try:
            found = [part for page in pages for part in page.get("Parts", ())]
        except self._client.exceptions.ClientError as error:
            if _code(error) not in _GONE:
                raise
            return None
        return [
            CheckedPart(int(one["PartNumber"]), int(one["Size"]), one.get("ChecksumSHA256", ""), one["ETag"])
            for one in found
        ]

    def complete_checked(self, key: str, multipart_id: str, parts: Sequence[CheckedPart]) -> None:
        """Amazon S3 wants each part's checksum again."""
        told = [
            {"PartNumber": part.number, "ETag": part.etag}
            | ({"ChecksumSHA256": part.sha256} if part.sha256 else {})
            for part in parts
        ]
        self._client.complete_multipart_upload(
            Bucket=self._bucket, Key=key, UploadId=multipart_id, MultipartUpload={"Parts": told}
        )

    def abort(self, key: str, multipart_id: str) -> None:
        self._store.abort(key, multipart_id)


def _read_into(response: Any, view: memoryview) -> int:
    """Below the reads of botocore and urllib3, which copy each byte twice: half of what a range costs."""
    is_pooled = isinstance(response, urllib3.HTTPResponse)
    source = response._fp if is_pooled else response  # noqa: SLF001
    at = 0
    while at < len(view) and (count := source.readinto(view[at:])):
        at += count
    if is_pooled and at == len(view):
        # Read to its end: the next range may have the connection.
        response.release_conn()
    return at


def _code(error: Any) -> str:
    return str(error.response["Error"].get("Code"))


def _full(answer: Mapping[str, Any]) -> str:
    """A checksum of checksums has another type, or a dash and the number of parts at its end."""
    checksum = str(answer.get("ChecksumSHA256") or "")
    is_full = answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT" and "-" not in checksum
    return checksum if is_full else ""
