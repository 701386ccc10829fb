"""Objects that clients put into S3 themselves: `registry.stores.StagedStore`."""

from __future__ import annotations

import base64
from typing import Any, Final

from chalicelib.aws import keys
from chalicelib.registry.stores import Staged
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository

# Whoever pushes one blob this often at once gets it by the first that is good.
_LIMIT: Final = 10
_GONE: Final = {"NoSuchKey", "404"}


class S3StagedStore:
    """S3 lists an object from the moment it has answered its PUT."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def waiting(self, repository: Repository, digest: Digest) -> list[Staged]:
        """The delimiter keeps out those of a repository whose name goes on with these digits."""
        prefix = keys.staged_prefix(repository, digest)
        answer = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
        found = sorted(answer.get("Contents", ()), key=lambda one: one["LastModified"], reverse=True)
        staged = [self.named(one["Key"]) for one in found[:_LIMIT]]
        return [one for one in staged if one is not None]

    def named(self, key: str) -> Staged | None:
        parts = keys.staged_parts(key)
        return None if parts is None else Staged(*parts, key)

    def verified_size(self, one: Staged) -> int | None:
        try:
            answer = self._client.head_object(Bucket=self._bucket, Key=one.key, ChecksumMode="ENABLED")
        except self._client.exceptions.ClientError as error:
            if error.response["Error"].get("Code") not in _GONE:
                raise
            return None
        # That of a multipart upload is one of its parts' checksums, and says so.
        whole = answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
        known = answer.get("ChecksumSHA256") == _base64(one.digest)
        return int(answer["ContentLength"]) if whole and known else None


def _base64(digest: Digest) -> str:
    return base64.b64encode(bytes.fromhex(digest.partition(":")[2])).decode()
