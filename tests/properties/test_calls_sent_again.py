"""botocore sends a call again when its answer does not arrive; it may have taken effect the first time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pynamodb.exceptions import PutError, TransactWriteError

from chalicelib.registry.manifests import INLINE_LIMIT, Push
from chalicelib.registry.uploads import Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.manifest import parse_manifest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment

REPOSITORY = Repository("account", "registry/app")


@contextmanager
def sent_again(deployment: Deployment, call: str) -> Iterator[None]:
    """Drop the first answer to each `call`."""
    events: Any = deployment.services.manifests.rows._connection.client.meta.events
    event = f"needs-retry.dynamodb.{call}"

    def drop(attempts: int, **_: object) -> float | None:
        return 0 if attempts == 1 else None

    events.register_first(event, drop)
    try:
        yield
    finally:
        events.unregister(event, drop)


def test_taking_a_session_works_though_the_call_was_sent_again(deployment: Deployment) -> None:
    uploads = deployment.services.uploads
    row = uploads.open(REPOSITORY)
    with sent_again(deployment, "UpdateItem"):
        assert uploads.sessions.acquire(row.session, "writer", now=1, lease=2) == row
    assert uploads.sessions.acquire(row.session, "another", now=1, lease=2) is None


def test_bytes_are_kept_when_saving_them_was_sent_again(deployment: Deployment) -> None:
    """Refused the second time, for they were saved the first time: to delete them would be wrong."""
    uploads, content = deployment.services.uploads, b"content"
    row = uploads.open(REPOSITORY)
    with sent_again(deployment, "PutItem"), pytest.raises(PutError):
        uploads.append(REPOSITORY, row.session, Chunk([content]))
    assert uploads.status(REPOSITORY, row.session).offset == len(content)
    link = uploads.close(REPOSITORY, row.session, Digest.of(content), Chunk([]))
    assert uploads.objects.get(link.storage_key) == content


def test_a_published_blob_keeps_its_bytes_when_the_transaction_was_sent_again(deployment: Deployment) -> None:
    """moto, like other engines, does not know the token that makes it one transaction on DynamoDB."""
    uploads, content = deployment.services.uploads, b"other content"
    row, digest = uploads.open(REPOSITORY), Digest.of(content)
    with sent_again(deployment, "TransactWriteItems"), pytest.raises(TransactWriteError):
        uploads.close(REPOSITORY, row.session, digest, Chunk([content]))
    link = deployment.services.blobs.find(REPOSITORY, digest)
    assert uploads.objects.get(link.storage_key) == content


def test_a_large_manifest_keeps_its_bytes_when_the_transaction_was_sent_again(deployment: Deployment) -> None:
    raw = json.dumps({"schemaVersion": 2, "annotations": {"large": "x" * INLINE_LIMIT}}).encode()
    manifest, digest = parse_manifest(raw, ""), Digest.of(raw)
    manifests = deployment.services.manifests
    with sent_again(deployment, "TransactWriteItems"), pytest.raises(TransactWriteError):
        manifests.put(Push(REPOSITORY, manifest, digest))
    assert manifests.get(REPOSITORY, digest).raw == raw
