"""Bytes in S3: whole objects, multipart uploads, presigned URLs, and bodies that are not what they claim."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from botocore.exceptions import ClientError

from chalicelib.aws.blob_store import BLOCK, PRESIGNED_SECONDS
from chalicelib.registry.parts import MINIMUM_PART
from chalicelib.wiring import Deployment

CONTENT = os.urandom(3 * BLOCK + 17)


@pytest.fixture
def key() -> str:
    """With every character that a repository's name can put into one."""
    return f"blobs/account/{os.urandom(4).hex()}/a.b_c--d/multipart"


def test_object_is_read_as_it_was_put(on_s3: Deployment, key: str) -> None:
    objects = on_s3.services.blobs.objects
    objects.put(key, CONTENT)
    assert objects.get(key) == CONTENT
    assert b"".join(objects.blocks(key)) == CONTENT


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("size", [0, 1, BLOCK])
def test_data_of_every_kind_and_size_is_stored(on_s3: Deployment, key: str, kind: Any, size: int) -> None:
    objects = on_s3.services.blobs.objects
    objects.put(key, kind(CONTENT[:size]))
    assert objects.get(key) == CONTENT[:size]


def test_large_buffer_is_stored_as_it_is(on_weed: Deployment, key: str) -> None:
    """Without a copy, which moto does not take."""
    objects = on_weed.services.blobs.objects
    objects.put(key, bytearray(CONTENT))
    assert objects.get(key) == CONTENT


def test_missing_object_is_none(on_s3: Deployment, key: str) -> None:
    assert on_s3.services.blobs.objects.get(key) is None


def test_deleted_object_is_gone_and_can_be_deleted_again(on_s3: Deployment, key: str) -> None:
    objects = on_s3.services.blobs.objects
    objects.put(key, b"content")
    objects.delete(key)
    objects.delete(key)
    assert objects.get(key) is None


def test_object_can_be_put_again(on_s3: Deployment, key: str) -> None:
    objects = on_s3.services.blobs.objects
    objects.put(key, b"first")
    objects.put(key, b"second, and longer")
    assert objects.get(key) == b"second, and longer"


def test_parts_and_a_copied_tail_become_one_object(on_s3: Deployment, key: str) -> None:
    objects, multipart = on_s3.services.blobs.objects, on_s3.services.uploads.multipart
    first, second, tail = os.urandom(MINIMUM_PART), os.urandom(MINIMUM_PART), b"a short tail"
    objects.put(f"{key}-tail", tail)
    upload = multipart.begin(key)
    etags = [
        multipart.put_part(key, upload, 1, first),
        multipart.put_part(key, upload, 2, second),
        multipart.copy_part(key, upload, 3, f"{key}-tail"),
    ]
    assert objects.get(key) is None
    multipart.complete(key, upload, etags)
    assert objects.get(key) == first + second + tail
    assert objects.get(f"{key}-tail") == tail


def test_part_can_be_put_again_before_it_is_complete(on_s3: Deployment, key: str) -> None:
    """As a client does that sends a chunk twice."""
    multipart = on_s3.services.uploads.multipart
    upload = multipart.begin(key)
    multipart.put_part(key, upload, 1, b"first try")
    etag = multipart.put_part(key, upload, 1, b"second try")
    multipart.complete(key, upload, [etag])
    assert on_s3.services.blobs.objects.get(key) == b"second try"


def test_part_of_a_writer_that_lost_the_session_never_gets_in(on_s3: Deployment, key: str) -> None:
    """Amazon S3 refuses the etag of a part that was replaced; others still have the part it names."""
    objects, multipart = on_s3.services.blobs.objects, on_s3.services.uploads.multipart
    upload = multipart.begin(key)
    etag = multipart.put_part(key, upload, 1, b"the writer's")
    multipart.put_part(key, upload, 1, b"a late part of another")
    with contextlib.suppress(ClientError):
        multipart.complete(key, upload, [etag])
    assert objects.get(key) in {None, b"the writer's"}


def test_etag_of_no_part_does_not_complete(on_s3: Deployment, key: str) -> None:
    multipart = on_s3.services.uploads.multipart
    upload = multipart.begin(key)
    multipart.put_part(key, upload, 1, b"content")
    with pytest.raises(ClientError):
        multipart.complete(key, upload, [f'"{"0" * 32}"'])
    assert on_s3.services.blobs.objects.get(key) is None


def test_aborted_upload_is_gone_and_can_be_aborted_again(on_s3: Deployment, key: str) -> None:
    multipart = on_s3.services.uploads.multipart
    upload = multipart.begin(key)
    multipart.put_part(key, upload, 1, b"content")
    multipart.abort(key, upload)
    multipart.abort(key, upload)
    assert on_s3.services.blobs.objects.get(key) is None
    assert not _open_uploads(on_s3, key)


def test_aborted_upload_takes_no_part_and_does_not_complete(on_weed: Deployment, key: str) -> None:
    """Moto fails on both with an error of its own."""
    multipart = on_weed.services.uploads.multipart
    upload = multipart.begin(key)
    etag = multipart.put_part(key, upload, 1, b"content")
    multipart.abort(key, upload)
    with pytest.raises(ClientError):
        multipart.complete(key, upload, [etag])
    with pytest.raises(ClientError):
        multipart.put_part(key, upload, 2, b"more")
    assert on_weed.services.blobs.objects.get(key) is None


def test_aborting_after_completion_keeps_the_object(on_s3: Deployment, key: str) -> None:
    multipart = on_s3.services.uploads.multipart
    upload = multipart.begin(key)
    multipart.complete(key, upload, [multipart.put_part(key, upload, 1, b"content")])
    multipart.abort(key, upload)
    assert on_s3.services.blobs.objects.get(key) == b"content"


def test_presigned_urls_serve_get_and_head(on_weed: Deployment, key: str) -> None:
    objects = on_weed.services.blobs.objects
    objects.put(key, CONTENT)
    got = requests.get(objects.presign("GET", key), timeout=30)
    assert (got.status_code, got.content) == (200, CONTENT)
    head = requests.head(objects.presign("HEAD", key), timeout=30)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(CONTENT)))


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=500-1499", 500, 1499), ("bytes=3145700-", 3145700, len(CONTENT) - 1), ("bytes=-5", -5, None)],
)
def test_presigned_url_serves_a_range(
    on_weed: Deployment, key: str, asked: str, first: int, last: int | None
) -> None:
    objects = on_weed.services.blobs.objects
    objects.put(key, CONTENT)
    answer = requests.get(objects.presign("GET", key), headers={"Range": asked}, timeout=30)
    expected = CONTENT[first : None if last is None else last + 1]
    assert (answer.status_code, answer.content) == (206, expected)


def test_presigned_url_expires(on_weed: Deployment, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    objects: Any = on_weed.services.blobs.objects
    objects.put(key, CONTENT)
    monkeypatch.setattr(objects._signer, "clock", lambda: time.time() - PRESIGNED_SECONDS + 60)
    assert requests.get(objects.presign("GET", key), timeout=30).status_code == 200
    monkeypatch.setattr(objects._signer, "clock", lambda: time.time() - PRESIGNED_SECONDS - 60)
    assert requests.get(objects.presign("GET", key), timeout=30).status_code == 403


@pytest.mark.parametrize("change", ["signature", "expiry", "key", "bucket", "credential", "none"])
def test_presigned_url_that_was_changed_is_refused(on_weed: Deployment, key: str, change: str) -> None:
    objects = on_weed.services.blobs.objects
    objects.put(key, CONTENT)
    objects.put(f"{key}-other", b"a secret of somebody else")
    url = objects.presign("GET", key)
    signature = parse_qs(urlsplit(url).query)["X-Amz-Signature"][0]
    turned = signature[:-1] + ("0" if signature[-1] != "0" else "1")
    changed = {
        "signature": url.replace(signature, turned),
        "expiry": url.replace(f"X-Amz-Expires={PRESIGNED_SECONDS}", "X-Amz-Expires=86400"),
        "key": url.replace(key, f"{key}-other"),
        "bucket": url.replace(f"/{on_weed.settings.bucket}/", "/probe/"),
        "credential": url.replace("X-Amz-Credential=", "X-Amz-Credential=x"),
        "none": url.partition("?")[0],
    }[change]
    assert changed != url
    answer = requests.get(changed, timeout=30)
    assert answer.status_code == 403
    assert CONTENT not in answer.content


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "POST"])
def test_url_presigned_for_get_does_nothing_else(on_weed: Deployment, key: str, method: str) -> None:
    objects = on_weed.services.blobs.objects
    objects.put(key, CONTENT)
    answer = requests.request(method, objects.presign("GET", key), data=b"x", timeout=30)
    assert answer.status_code in {400, 403, 405}
    assert objects.get(key) == CONTENT


def test_body_that_is_not_the_announced_one_is_not_stored(on_weed: Deployment, key: str) -> None:
    """What a direct upload of a client leans on: S3 itself compares."""
    checksum = base64.b64encode(hashlib.sha256(b"announced").digest()).decode()
    with pytest.raises(ClientError):
        on_weed._s3.put_object(
            Bucket=on_weed.settings.bucket, Key=key, Body=b"sent instead", ChecksumSHA256=checksum
        )
    assert on_weed.services.blobs.objects.get(key) is None
    on_weed._s3.put_object(
        Bucket=on_weed.settings.bucket, Key=key, Body=b"announced", ChecksumSHA256=checksum
    )
    assert on_weed.services.blobs.objects.get(key) == b"announced"


def test_body_cut_short_is_not_stored(on_weed: Deployment, key: str) -> None:
    url = on_weed._s3.generate_presigned_url(
        "put_object", Params={"Bucket": on_weed.settings.bucket, "Key": key}
    )

    def cut() -> Any:
        yield b"some of the bytes"
        raise ConnectionAbortedError

    with pytest.raises((ConnectionAbortedError, requests.ConnectionError)):
        requests.put(url, data=cut(), headers={"Content-Length": "1000"}, timeout=30)
    assert on_weed.services.blobs.objects.get(key) is None


def _open_uploads(deployment: Deployment, key: str) -> list[Any]:
    answer = deployment._s3.list_multipart_uploads(Bucket=deployment.settings.bucket, Prefix=key)
    return list(answer.get("Uploads", []))
