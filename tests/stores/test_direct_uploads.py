"""Direct uploads on engines that check what they are sent, and under threads that race."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from chalicelib.aws.checked_store import AHEAD, RANGE
from chalicelib.registry import direct
from chalicelib.registry.direct import DirectUploads, base64_of
from chalicelib.registry.stores import OPEN, PUBLISHED, REFUSED, VERIFYING, CheckedPart, DirectRow, Presigned
from chalicelib.registry.verification import LEASE_SECONDS
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import RegistryError
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.management.direct_client import eventually
from tests.stores.invariants import broken
from tests.stores.race import race

PUT_LIMIT = 1024 * 1024
PART_SIZE = 5 * 1024 * 1024
SIZES = [0, 1000, PUT_LIMIT, PUT_LIMIT + 1, 2 * PART_SIZE + 7]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "PUT_LIMIT", PUT_LIMIT)
    monkeypatch.setattr(direct, "PART_SIZE", PART_SIZE)


def put(signed: Presigned, content: bytes, **headers: str) -> int:
    """What S3 answers."""
    named = {**signed.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return requests.put(signed.url, data=content, headers=named, timeout=60).status_code


def signed_part(uploads: DirectUploads, row: DirectRow, number: int, content: bytes) -> Presigned:
    part = content[(number - 1) * row.part_size : number * row.part_size]
    wanted = CheckedPart(number, len(part), base64_of(Digest.of(part)))
    return uploads.part_urls(row, [wanted])[0]


def send(uploads: DirectUploads, row: DirectRow, content: bytes) -> None:
    if row.multipart_id is None:
        assert put(uploads.put_url(row), content) == 200
        return
    for number in range(1, direct.count_of_parts(row) + 1):
        part = content[(number - 1) * row.part_size : number * row.part_size]
        assert put(signed_part(uploads, row, number, content), part) == 200


def ended(uploads: DirectUploads, row: DirectRow) -> DirectRow:
    deadline = time.monotonic() + 60
    while (found := uploads.find(row.session)).state == VERIFYING and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def opened(deployment: Deployment, repository: Repository, content: bytes) -> DirectRow:
    row = deployment.direct.open(repository, Digest.of(content), len(content))
    send(deployment.direct, row, content)
    return row


@pytest.mark.parametrize("size", SIZES)
def test_blob_is_published_as_it_was_sent(on_engines: Deployment, repository: Repository, size: int) -> None:
    content, uploads = os.urandom(size), on_engines.direct
    row = opened(on_engines, repository, content)
    assert row.state == OPEN
    uploads.complete(row)
    assert ended(uploads, row).state == PUBLISHED
    link = on_engines.services.blobs.find(repository, row.digest)
    assert (link.size, on_engines.services.blobs.objects.get(link.storage_key)) == (size, content)
    assert broken(on_engines, [repository]) == []
    assert uploads.objects.stat(row.key) is None or row.key == link.storage_key


def test_engine_refuses_a_put_of_other_bytes(on_weed: Deployment, repository: Repository) -> None:
    content, uploads = os.urandom(1000), on_weed.direct
    row = uploads.open(repository, Digest.of(content), len(content))
    signed = uploads.put_url(row)
    assert put(signed, os.urandom(1000)) == 400
    assert uploads.objects.stat(row.key) is None
    assert put(signed, content) == 200


def test_engine_refuses_a_part_of_other_bytes(on_weed: Deployment, repository: Repository) -> None:
    content, uploads = os.urandom(PART_SIZE + 9), on_weed.direct
    row = uploads.open(repository, Digest.of(content), len(content))
    signed = signed_part(uploads, row, 2, content)
    assert put(signed, b"something") == 400
    assert uploads.uploaded(row) == []
    assert put(signed, content[PART_SIZE:]) == 200
    assert [(part.number, part.size) for part in uploads.uploaded(row)] == [(2, 9)]


@pytest.mark.parametrize("size", [1000, PART_SIZE + 9])
def test_url_is_good_for_its_size_checksum_and_object_alone(
    on_weed: Deployment, repository: Repository, size: int
) -> None:
    content, uploads = os.urandom(size), on_weed.direct
    row = uploads.open(repository, Digest.of(content), len(content))
    if row.multipart_id is None:
        signed, body = uploads.put_url(row), content
    else:
        signed, body = signed_part(uploads, row, 1, content), content[:PART_SIZE]
    other = base64_of(Digest.of(body[:-1]))
    assert put(signed, body[:-1], content_length=str(len(body) - 1), x_amz_checksum_sha256=other) == 403
    unsigned = requests.put(signed.url, data=body, timeout=60)
    assert unsigned.status_code == 403
    moved = replace(signed, url=signed.url.replace(row.session, row.session[:-1] + "x"))
    assert put(moved, body) == 403
    assert put(signed, body) == 200


@pytest.mark.parametrize("size", [1000, PART_SIZE + 9])
def test_headers_of_the_clients_own_do_not_change_what_a_pull_gets(
    on_weed: Deployment, repository: Repository, size: int
) -> None:
    """The signature covers none of them, and whoever follows the redirect would undo a Content-Encoding."""
    content, uploads = os.urandom(size), on_weed.direct
    row = uploads.open(repository, Digest.of(content), size)
    mine = {"content_encoding": "gzip", "content_type": "text/html", "cache_control": "max-age=9"}
    if row.multipart_id is None:
        assert put(uploads.put_url(row), content, **mine) == 200
    else:
        for number, at in ((1, slice(PART_SIZE)), (2, slice(PART_SIZE, None))):
            assert put(signed_part(uploads, row, number, content), content[at], **mine) == 200
    uploads.complete(row)
    assert ended(uploads, row).state == PUBLISHED
    blobs = on_weed.services.blobs
    answer = requests.get(blobs.location("GET", blobs.find(repository, row.digest)), timeout=60)
    assert answer.content == content
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert not {"Content-Encoding", "Cache-Control"} & set(answer.headers)


@pytest.mark.parametrize("size", [PUT_LIMIT + 1, 2 * PART_SIZE + 7])
def test_parts_that_are_not_the_digest_are_refused_and_deleted(
    on_weed: Deployment, repository: Repository, size: int
) -> None:
    """Each part is what the client said of it, and all of them are not what it announced."""
    uploads = on_weed.direct
    row = uploads.open(repository, Digest.of(b"something else"), size)
    send(uploads, row, os.urandom(size))
    uploads.complete(row)
    found = ended(uploads, row)
    assert found.state == REFUSED
    assert "hash to" in found.detail
    assert eventually(lambda: uploads.objects.stat(row.key) is None)
    assert on_weed.services.blobs.links.get(repository, row.digest) is None


def test_copying_tells_no_full_checksum_on_the_local_engine(on_weed: Deployment) -> None:
    """Why content in parts is read back there: measured, weed 4.48."""
    uploads, key = on_weed.direct, f"blobs/copy/{os.urandom(4).hex()}"
    content = os.urandom(PART_SIZE)
    on_weed.services.blobs.objects.put(key, content)
    assert uploads.objects.copy(key, f"{key}-copy") == ""
    assert not uploads.objects.copies_checked


@pytest.mark.parametrize("start", [0, 1, RANGE, 5 * RANGE + 3])
@pytest.mark.parametrize("size", [0, 1, RANGE, RANGE + 1, (AHEAD + 2) * RANGE + 17])
def test_reading_ahead_keeps_the_order(on_weed: Deployment, start: int, size: int) -> None:
    content, key = os.urandom(size), f"blobs/ahead/{os.urandom(4).hex()}"
    on_weed.services.blobs.objects.put(key, content)
    blocks = [bytes(block) for block in on_weed.direct.objects.read_ahead(key, start, size)]
    assert b"".join(blocks) == content[start:]
    assert max(map(len, blocks), default=0) <= RANGE


def test_reading_ahead_can_be_left(on_weed: Deployment) -> None:
    content, key = os.urandom(3 * RANGE), f"blobs/ahead/{os.urandom(4).hex()}"
    on_weed.services.blobs.objects.put(key, content)
    blocks = on_weed.direct.objects.read_ahead(key, 0, len(content))
    assert next(iter(blocks)) == content[:RANGE]
    blocks.close()  # type: ignore[attr-defined]


def test_rows_are_read_as_they_were_written(deployment: Deployment, repository: Repository) -> None:
    sessions = deployment.direct.sessions
    row = DirectRow(
        session=f"direct-{os.urandom(16).hex()}",
        repository=repository,
        digest=Digest.of(b"x"),
        size=2**42,
        key="blobs/some/key",
        is_final=True,
        multipart_id="an id",
        part_size=7,
        state=VERIFYING,
        verified=2**41,
        hash_state=hashlib.sha256(b"x").digest(),
        detail="why",
        expires=4_000_000_000,
    )
    sessions.create(row)
    assert sessions.get(row.session) == row
    assert sessions.get("direct-none") is None


def verifying(deployment: Deployment, repository: Repository) -> DirectRow:
    row = deployment.direct.open(repository, Digest.of(os.urandom(4)), 4)
    assert deployment.direct.sessions.verifying(row.session, 0)
    return row


def test_session_has_one_verifier_until_its_lease_ends(
    deployment: Deployment, repository: Repository
) -> None:
    sessions, row = deployment.direct.sessions, verifying(deployment, repository)
    first = sessions.acquire(row.session, "first", now=100, lease=160)
    assert first is not None
    assert first.lease == 160
    assert sessions.acquire(row.session, "second", now=160, lease=220) is None
    assert sessions.save(replace(first, verified=3), "first", lease=170)
    assert sessions.acquire(row.session, "second", now=161, lease=221) is None
    second = sessions.acquire(row.session, "second", now=171, lease=231)
    assert second is not None
    assert second.verified == 3
    assert not sessions.save(first, "first")
    assert sessions.save(second, "second")
    assert sessions.acquire(row.session, "third", now=172, lease=232) is not None


def test_only_what_is_being_verified_can_be_acquired(deployment: Deployment, repository: Repository) -> None:
    sessions = deployment.direct.sessions
    row = deployment.direct.open(repository, Digest.of(os.urandom(4)), 4)
    assert sessions.acquire(row.session, "w", now=1, lease=2) is None
    assert sessions.acquire("direct-none", "w", now=1, lease=2) is None
    assert sessions.verifying(row.session, 0)
    assert not sessions.verifying(row.session, 0)
    assert not sessions.verifying("direct-none", 0)
    acquired = sessions.acquire(row.session, "w", now=1, lease=2)
    assert acquired is not None
    assert sessions.save(replace(acquired, state=REFUSED), "w")
    assert sessions.acquire(row.session, "w", now=1, lease=2) is None
    assert sessions.remove(row.session) is not None
    assert sessions.remove(row.session) is None
    assert not sessions.save(acquired, "w")


def test_published_session_stays_and_cannot_be_removed(
    deployment: Deployment, repository: Repository
) -> None:
    uploads, content = deployment.direct, os.urandom(9)
    row = uploads.open(repository, Digest.of(content), 9)
    deployment.services.blobs.objects.put(row.key, content)
    assert uploads.complete(row).state == PUBLISHED
    assert uploads.sessions.remove(row.session) is None
    found = uploads.find(row.session)
    assert (found.state, found.verified, found.lease, found.hash_state) == (PUBLISHED, 9, 0, None)


def test_row_that_is_gone_while_it_is_verified_leaves_no_bytes(
    on_engines: Deployment, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the time to live takes it, or a cancellation that dies before it deletes."""
    uploads = on_engines.direct
    row = opened(on_engines, repository, os.urandom(2 * PART_SIZE))
    assert uploads.sessions.verifying(row.session, 0)
    checked: Any = type(uploads.objects)
    read = checked.read_ahead

    def read_and_lose(*arguments: Any) -> Iterator[bytes]:
        uploads.sessions.remove(row.session)
        return read(*arguments)  # type: ignore[no-any-return]

    monkeypatch.setattr(checked, "read_ahead", read_and_lose)
    assert uploads.verifier.verify(row.session)
    assert uploads.objects.stat(row.key) is None
    assert on_engines.services.blobs.links.get(repository, row.digest) is None


def test_bytes_of_a_published_blob_stay_even_when_its_session_is_gone(
    on_engines: Deployment, repository: Repository
) -> None:
    uploads, content = on_engines.direct, os.urandom(PUT_LIMIT + 1)
    row = opened(on_engines, repository, content)
    uploads.complete(row)
    assert ended(uploads, row).state == PUBLISHED
    uploads.verifier.delete_bytes(row)
    assert uploads.objects.stat(row.key) is not None


@pytest.mark.parametrize("size", [1000, PUT_LIMIT + 1])
def test_completions_at_once_publish_once(on_engines: Deployment, repository: Repository, size: int) -> None:
    uploads = on_engines.direct
    row = opened(on_engines, repository, os.urandom(size))
    outcomes = race([lambda: uploads.complete(uploads.find(row.session))] * 8)
    assert not [one for one in outcomes if isinstance(one, Exception)]
    race([lambda: uploads.verifier.verify(row.session)] * 4)
    assert ended(uploads, row).state == PUBLISHED
    assert broken(on_engines, [repository]) == []


@pytest.mark.parametrize("size", [1000, PUT_LIMIT + 1])
def test_same_blob_by_ten_clients_at_once_is_stored_once(
    on_engines: Deployment, repository: Repository, size: int
) -> None:
    uploads, content = on_engines.direct, os.urandom(size)
    rows = [opened(on_engines, repository, content) for _ in range(10)]

    def push(row: DirectRow) -> Callable[[], bool]:
        uploads.complete(row)
        return lambda: uploads.verifier.verify(row.session)

    race([push(row) for row in rows])
    assert {ended(uploads, row).state for row in rows} == {PUBLISHED}
    kept = on_engines.services.blobs.find(repository, rows[0].digest).storage_key
    assert on_engines.services.blobs.objects.get(kept) == content
    assert broken(on_engines, [repository]) == []


@pytest.mark.parametrize("size", [1000, PUT_LIMIT + 1])
@pytest.mark.parametrize("turn", range(4))
def test_completion_and_cancellation_at_once_leave_all_or_nothing(
    on_engines: Deployment, repository: Repository, size: int, turn: int
) -> None:
    uploads = on_engines.direct
    row = opened(on_engines, repository, os.urandom(size))
    uploads.sessions.verifying(row.session, 0)

    def cancel() -> None:
        time.sleep(turn * 0.004)
        uploads.cancel(uploads.find(row.session))

    verified, cancelled = race([lambda: uploads.verifier.verify(row.session), cancel])
    assert verified is True
    link = on_engines.services.blobs.links.get(repository, row.digest)
    if isinstance(cancelled, RegistryError):
        assert link is not None
    else:
        assert cancelled is None
        assert link is None
        assert uploads.objects.stat(row.key) is None
    assert broken(on_engines, [repository]) == []


def test_verifier_that_died_is_followed_by_another(on_engines: Deployment, repository: Repository) -> None:
    uploads, content = on_engines.direct, os.urandom(PUT_LIMIT + 1)
    row = opened(on_engines, repository, content)
    uploads.sessions.verifying(row.session, 0)
    now = int(uploads.clock())
    assert uploads.sessions.acquire(row.session, "dead", now=now, lease=now + LEASE_SECONDS)
    uploads.revive(uploads.find(row.session))
    assert uploads.verifier.verify(row.session)
    assert uploads.find(row.session).state == VERIFYING
    later = replace(uploads.verifier, clock=lambda: uploads.clock() + LEASE_SECONDS + 1)
    assert later.verify(row.session)
    assert uploads.find(row.session).state == PUBLISHED
