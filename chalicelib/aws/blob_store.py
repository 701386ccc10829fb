"""Bytes in S3: `registry.stores.ObjectStore` and `MultipartStore`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from chalicelib.aws.signature import Signer

PRESIGNED_SECONDS: Final = 20 * 60
BLOCK: Final = 1024 * 1024
_OCTETS: Final = "application/octet-stream"
_GONE: Final = {"NoSuchKey", "NoSuchUpload", "404"}

Data = bytes | bytearray | memoryview


class S3BlobStore:
    """`public` signs URLs for the host name under which clients reach S3."""

    def __init__(self, client: Any, public: Any, bucket: str, signer: Signer) -> None:
        self._client, self._public, self._bucket = client, public, bucket
        self._signer, self._base = signer, ""

    def put(self, key: str, data: Data) -> None:
        self._client.put_object(Bucket=self._bucket, Key=key, Body=_body(data), ContentType=_OCTETS)

    def get(self, key: str) -> bytes | None:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
        except self._client.exceptions.NoSuchKey:
            return None
        return bytes(answer["Body"].read())

    def blocks(self, key: str) -> Iterator[bytes]:
        answer = self._client.get_object(Bucket=self._bucket, Key=key)
        yield from answer["Body"].iter_chunks(BLOCK)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def presign(self, method: str, key: str) -> str:
        """A URL for GET or HEAD of the object, good for `PRESIGNED_SECONDS`."""
        return self.presigned(method, key)

    def presigned(self, method: str, key: str, **conditions: Mapping[str, str]) -> str:
        """`conditions` are the headers and the parameters that are signed with it."""
        scheme, _, rest = self._public_base().partition("://")
        host, slash, prefix = rest.partition("/")
        path = f"{slash}{prefix}{quote(key, safe='/-_.~')}"
        query = self._signer.presign(method, host, path, PRESIGNED_SECONDS, **conditions)
        return f"{scheme}://{host}{path}?{query}"

    def _public_base(self) -> str:
        """The bucket's URL as botocore makes it, by its rules for regions, partitions and odd names."""
        if not self._base:
            parameters = {"Bucket": self._bucket, "Key": "-"}
            url = str(self._public.generate_presigned_url("get_object", Params=parameters))
            self._base = url.partition("?")[0].removesuffix("-")
        return self._base

    def begin(self, key: str) -> str:
        answer = self._client.create_multipart_upload(Bucket=self._bucket, Key=key, ContentType=_OCTETS)
        return str(answer["UploadId"])

    def put_part(self, key: str, multipart_id: str, number: int, data: Data) -> str:
        answer = self._client.upload_part(
            Bucket=self._bucket, Key=key, UploadId=multipart_id, PartNumber=number, Body=_body(data)
        )
        return str(answer["ETag"])

    def copy_part(self, key: str, multipart_id: str, number: int, source: str) -> str:
        answer = self._client.upload_part_copy(
            Bucket=self._bucket,
            Key=key,
            UploadId=multipart_id,
            PartNumber=number,
            CopySource={"Bucket": self._bucket, "Key": source},
        )
        return str(answer["CopyPartResult"]["ETag"])

    def complete(self, key: str, multipart_id: str, etags: Sequence[str]) -> None:
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
        self._client.complete_multipart_upload(
            Bucket=self._bucket, Key=key, UploadId=multipart_id, MultipartUpload={"Parts": parts}
        )

    def abort(self, key: str, multipart_id: str) -> None:
        """Aborting what is gone already is no error."""
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=multipart_id)
        except self._client.exceptions.ClientError as error:
            if error.response["Error"].get("Code") not in _GONE:
                raise


def _body(data: Data) -> bytes | bytearray:
    """Parts go as they are, without a second copy of 8 MiB; moto takes nothing but bytes."""
    return data if isinstance(data, bytearray) and len(data) > BLOCK else bytes(data)
