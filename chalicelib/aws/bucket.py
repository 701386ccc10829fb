"""The bucket as a whole: what is listed in it, and what is deleted of it. `registry.expiry.Bucket`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from chalicelib.registry.expiry import OpenMultipart, StoredObject

_GONE: Final = {"NoSuchKey", "NoSuchUpload", "404"}


class S3Bucket:
    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name

    def objects(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        pages = self._client.get_paginator("list_objects_v2")
        told = {"StartAfter": after} if after else {}
        for page in pages.paginate(Bucket=self._name, Prefix=prefix, **told):
            for one in page.get("Contents", ()):
                yield StoredObject(one["Key"], int(one["LastModified"].timestamp()), int(one["Size"]))

    def has(self, key: str) -> bool:
        try:
            self._client.head_object(Bucket=self._name, Key=key)
        except self._client.exceptions.ClientError as error:
            if error.response["Error"].get("Code") not in _GONE:
                raise
            return False
        return True

    def multiparts(self, prefix: str) -> Iterator[OpenMultipart]:
        pages = self._client.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=self._name, Prefix=prefix):
            for one in page.get("Uploads", ()):
                yield OpenMultipart(one["Key"], one["UploadId"], int(one["Initiated"].timestamp()))

    def abort(self, key: str, multipart_id: str) -> None:
        """Aborting what is gone already is no error."""
        try:
            self._client.abort_multipart_upload(Bucket=self._name, Key=key, UploadId=multipart_id)
        except self._client.exceptions.ClientError as error:
            if error.response["Error"].get("Code") not in _GONE:
                raise

    def delete_all(self, keys: Sequence[str]) -> list[str]:
        """At most a thousand; those that S3 has not deleted, each with its own error."""
        asked = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        answer = self._client.delete_objects(Bucket=self._name, Delete=asked)
        return [one["Key"] for one in answer.get("Errors", ()) if one.get("Code") not in _GONE]
