"""Upload sessions: one writer at a time, and progress that only the writer can save."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pynamodb.exceptions import PutError

from chalicelib.registry.stores import Part, UploadRow
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.rows import FAR, an_upload


@pytest.fixture
def row(deployment: Deployment, repository: Repository) -> UploadRow:
    """A session just opened."""
    row = an_upload(repository)
    deployment.services.uploads.sessions.create(row)
    return row


def test_new_session_is_found_as_it_was_made(deployment: Deployment, row: UploadRow) -> None:
    assert deployment.services.uploads.sessions.get(row.session) == row


def test_unknown_session_is_none_for_every_verb(deployment: Deployment, repository: Repository) -> None:
    sessions, absent = deployment.services.uploads.sessions, an_upload(repository)
    assert sessions.get(absent.session) is None
    assert sessions.acquire(absent.session, "me", now=1, lease=FAR) is None
    assert not sessions.renew(absent.session, "me", FAR)
    assert not sessions.save(absent, "me")
    assert sessions.remove(absent.session) is None
    assert sessions.get(absent.session) is None


def test_session_is_not_created_twice(deployment: Deployment, row: UploadRow) -> None:
    with pytest.raises(PutError):
        deployment.services.uploads.sessions.create(replace(row, offset=9))
    assert deployment.services.uploads.sessions.get(row.session) == row


def test_writer_gets_the_row_and_keeps_others_out(deployment: Deployment, row: UploadRow) -> None:
    sessions = deployment.services.uploads.sessions
    assert sessions.acquire(row.session, "me", now=100, lease=160) == row
    assert sessions.acquire(row.session, "you", now=101, lease=161) is None
    assert sessions.acquire(row.session, "you", now=160, lease=220) is None


def test_session_is_free_once_the_lease_has_run_out(deployment: Deployment, row: UploadRow) -> None:
    sessions = deployment.services.uploads.sessions
    sessions.acquire(row.session, "me", now=100, lease=160)
    assert sessions.acquire(row.session, "you", now=161, lease=221) == row
    assert not sessions.renew(row.session, "me", FAR)
    assert not sessions.save(replace(row, offset=5), "me")
    assert sessions.get(row.session) == row


def test_renewed_lease_keeps_others_out_for_longer(deployment: Deployment, row: UploadRow) -> None:
    sessions = deployment.services.uploads.sessions
    sessions.acquire(row.session, "me", now=100, lease=160)
    assert not sessions.renew(row.session, "you", 900)
    assert sessions.renew(row.session, "me", 200)
    assert sessions.acquire(row.session, "you", now=161, lease=221) is None
    assert sessions.acquire(row.session, "you", now=201, lease=261) == row


def test_saved_progress_is_whole_and_frees_the_session(deployment: Deployment, row: UploadRow) -> None:
    sessions = deployment.services.uploads.sessions
    sessions.acquire(row.session, "me", now=100, lease=160)
    progress = replace(
        row,
        offset=20_000_000_000,
        algorithm="sha512",
        hash_state=bytes(range(112)),
        multipart_id="an~id/of+S3",
        parts=(Part('"etag one"', 8_388_608), Part('"etag two"', 5_242_880)),
        tail_key="blobs/a/tail",
        tail_size=17,
    )
    assert sessions.save(progress, "me")
    assert sessions.get(row.session) == progress
    assert not sessions.renew(row.session, "me", FAR)
    assert sessions.acquire(row.session, "you", now=101, lease=161) == progress


def test_save_can_take_back_what_was_there(deployment: Deployment, row: UploadRow) -> None:
    """A tail that became a part, say."""
    sessions = deployment.services.uploads.sessions
    sessions.acquire(row.session, "me", now=100, lease=160)
    sessions.save(replace(row, hash_state=b"state", tail_key="tail", tail_size=3), "me")
    sessions.acquire(row.session, "me", now=100, lease=160)
    assert sessions.save(row, "me")
    assert sessions.get(row.session) == row


def test_removed_session_is_gone_even_for_its_writer(deployment: Deployment, row: UploadRow) -> None:
    sessions = deployment.services.uploads.sessions
    sessions.acquire(row.session, "me", now=100, lease=160)
    assert sessions.remove(row.session) == row
    assert sessions.remove(row.session) is None
    assert not sessions.save(row, "me")
    assert not sessions.renew(row.session, "me", FAR)
    assert sessions.acquire(row.session, "you", now=500, lease=560) is None
    assert sessions.get(row.session) is None
