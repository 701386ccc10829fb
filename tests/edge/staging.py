"""Puts blobs where the edge would, with the checksum that S3 takes of them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from chalicelib.aws import keys
from chalicelib.registry.stores import UploadRow
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment


def staged_key(repository: Repository, digest: Digest, session: str) -> str:
    return f"{keys.staged_prefix(repository, digest)}{session}"


def stage(
    deployment: Deployment, row: UploadRow, content: bytes, *, checksum: bool = True, **other: Any
) -> str:
    """The key. `other`: what the key says instead of the truth."""
    digest = other.get("digest", Digest.of(content))
    key = staged_key(other.get("repository", row.repository), digest, row.session)
    known = (
        {"ChecksumSHA256": base64.b64encode(hashlib.sha256(content).digest()).decode()} if checksum else {}
    )
    deployment._s3.put_object(Bucket=deployment.settings.bucket, Key=key, Body=content, **known)
    return key


def created(key: str) -> dict[str, Any]:
    """The event that S3 sends."""
    return {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": key}}}]}


def objects(deployment: Deployment, prefix: str) -> list[str]:
    listed = deployment._s3.list_objects_v2(Bucket=deployment.settings.bucket, Prefix=prefix)
    return [one["Key"] for one in listed.get("Contents", ())]
