"""The sweep on every backend: what it buries, what it leaves, where it goes on, and what it tells."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from chalicelib.aws import keys
from chalicelib.registry.manifests import Push
from chalicelib.registry.sweep import OLD_SECONDS, SweepReport
from chalicelib.spec.digest import Digest
from chalicelib.spec.manifest import OCI_IMAGE, parse_manifest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.late import Late, pass_time
from tests.stores.test_collection import document, put_image, upload

FOREVER = 10.0**12


@pytest.fixture
def late(deployment: Deployment) -> Iterator[Deployment]:
    late = Deployment(deployment.settings, clock=Late())
    late.sweeper.rows.remember("")
    yield late
    late.sweeper.rows.remember("")


def buried(deployment: Deployment, account: str) -> set[str]:
    table = deployment._tables.buried
    found = {row.storage_key for shard in keys.SHARDS for row in table.query(shard, consistent_read=True)}
    return {key for key in found if keys.account_of(key) == account}


def swept(deployment: Deployment) -> SweepReport:
    report = deployment.sweeper.run(FOREVER)
    assert report.is_complete
    return report


def orphans(deployment: Deployment, repository: Repository) -> set[str]:
    """One of each kind, of sessions that are gone."""
    gone, digest = os.urandom(16).hex(), Digest.of(repository.name.encode())
    found = {
        keys.blob_key(repository, gone, "writer"),
        keys.blob_key(repository, f"direct-{gone}", "parts"),
        keys.incoming_key(repository, f"direct-{gone}"),
        f"{keys.staged_prefix(repository, digest)}{gone}",
        keys.manifest_key(repository, digest),
    }
    for key in found:
        deployment.services.blobs.objects.put(key, b"orphan")
    return found


def large(deployment: Deployment, repository: Repository, content: bytes, tag: str) -> tuple[Digest, str]:
    """A manifest whose bytes are an object."""
    upload(deployment, repository, content)
    raw = document([content])[:-1] + b', "annotations": {"large": "' + b"x" * 210_000 + b'"}}'
    digest, manifests = Digest.of(raw), deployment.services.manifests
    manifests.put(Push(repository, parse_manifest(raw, OCI_IMAGE), digest, (tag,)))
    row = manifests.rows.get(repository, digest)
    assert row
    assert row.storage_key
    return digest, row.storage_key


def test_what_no_row_names_is_buried_and_what_one_names_is_not(
    late: Deployment, repository: Repository
) -> None:
    put_image(late, repository, [b"one", b"two"], "latest")
    large(late, repository, b"three", "large")
    deleted, _ = large(late, repository, b"four", "deleted")
    late.services.manifests.delete(repository, deleted)
    found = orphans(late, repository)
    pass_time(late, OLD_SECONDS + 60)
    report = swept(late)
    assert buried(late, repository.account) == found
    assert not [key for key in report.missing if keys.account_of(key) == repository.account]


def test_what_is_young_or_whose_session_lives_is_left(late: Deployment, repository: Repository) -> None:
    orphans(late, repository)
    pass_time(late, OLD_SECONDS - 600)
    swept(late)
    assert not buried(late, repository.account)
    session = late.services.uploads.open(repository).session
    late.services.blobs.objects.put(keys.blob_key(repository, session, "writer"), b"young session")
    pass_time(late, 2 * OLD_SECONDS)
    swept(late)
    assert keys.blob_key(repository, session, "writer") not in buried(late, repository.account)


def test_a_multipart_upload_of_no_session_is_aborted(late: Deployment, repository: Repository) -> None:
    multipart, bucket = late.services.uploads.multipart, late.sweeper.bucket
    session = late.services.uploads.open(repository).session
    kept = keys.blob_key(repository, session, "kept-multipart")
    gone = keys.blob_key(repository, os.urandom(16).hex(), "gone-multipart")
    for key in (kept, gone):
        multipart.put_part(key, multipart.begin(key), 1, b"part")
    pass_time(late, OLD_SECONDS + 60)
    swept(late)
    assert {one.key for one in bucket.multiparts(f"blobs/{repository.account}/")} == {kept}


def test_it_goes_on_where_it_stopped(late: Deployment, repository: Repository) -> None:
    """A few objects at a time, each time by another process."""
    put_image(late, repository, [b"five", b"six", b"seven"], "latest")
    found = orphans(late, repository)
    pass_time(late, OLD_SECONDS + 60)
    is_complete, rounds = False, 0
    while not is_complete:
        asked = itertools.count(1)
        # One look at the clock for each object, another for its age where no row names it.
        sweep = replace(late.sweeper, clock=lambda asked=asked: FOREVER * next(asked))
        report = sweep.run(FOREVER * 7)
        is_complete, rounds = report.is_complete, rounds + 1
        assert report.looked_at <= 7
        assert rounds < 1000
    assert rounds > 2
    assert buried(late, repository.account) == found


def test_a_blob_without_its_object_is_told_of_and_let_be(late: Deployment, repository: Repository) -> None:
    put_image(late, repository, [b"eight", b"nine"], "latest")
    blob = late.services.blobs.links.blob(repository.account, Digest.of(b"eight"))
    assert blob
    late.services.blobs.objects.delete(blob.storage_key)
    report = swept(late)
    assert [key for key in report.missing if keys.account_of(key) == repository.account] == [blob.storage_key]
    assert late.services.blobs.links.blob(repository.account, Digest.of(b"eight")) == blob
