"""Adoption: what S3 vouches for becomes a blob when somebody asks for it, or when S3's event comes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from chalicelib.registry.stores import UploadRow
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.edge.events import SETTINGS
from tests.edge.staging import created, objects, stage, staged_key
from tests.endpoints.driver import Driver
from tests.support.limits import limited

ACCOUNT = SETTINGS.account


@pytest.fixture
def driver(deployment: Deployment) -> Driver:
    driver = Driver(deployment, f"dev/{os.urandom(6).hex()}")
    driver.log_in()
    return driver


@pytest.fixture
def repository(driver: Driver) -> Repository:
    return Repository(ACCOUNT, driver.repository)


@pytest.fixture
def content() -> bytes:
    return os.urandom(100)


@pytest.fixture
def row(deployment: Deployment, repository: Repository) -> UploadRow:
    return deployment.services.uploads.open(repository)


def head(driver: Driver, content: bytes) -> int:
    return driver.call("HEAD", driver.of(f"blobs/{Digest.of(content)}")).status


def session_of(deployment: Deployment, row: UploadRow) -> UploadRow | None:
    return deployment.services.uploads.sessions.get(row.session)


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_blob_is_there_as_soon_as_it_is_asked_for(
    driver: Driver, row: UploadRow, content: bytes, method: str
) -> None:
    key = stage(driver.deployment, row, content)
    answer = driver.call(method, driver.of(f"blobs/{Digest.of(content)}"))
    assert answer.status == 307
    assert key in answer.headers["location"]
    assert session_of(driver.deployment, row) is None
    assert objects(driver.deployment, key) == [key]


def test_a_manifest_finds_what_nobody_asked_for_before(
    driver: Driver, repository: Repository, deployment: Deployment
) -> None:
    contents = [b"{}", os.urandom(50), os.urandom(60)]
    for one in contents:
        stage(deployment, deployment.services.uploads.open(repository), one)
    types = ["application/vnd.oci.image.config.v1+json", *["application/vnd.oci.image.layer.v1.tar"] * 2]
    named = [
        {"mediaType": kind, "digest": Digest.of(one), "size": len(one)}
        for kind, one in zip(types, contents, strict=True)
    ]
    document = {"schemaVersion": 2, "config": named[0], "layers": named[1:]}
    answer = driver.put_manifest("v1", document)
    assert answer.status == 201
    assert driver.call("GET", driver.of("manifests/v1")).status == 200


def test_a_manifest_still_names_everything_that_is_missing(
    driver: Driver, row: UploadRow, content: bytes
) -> None:
    stage(driver.deployment, row, content)
    missing = Digest.of(b"never pushed")
    layers = [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size}
        for digest, size in ((Digest.of(content), len(content)), (missing, 5))
    ]
    config = driver.pushed(b"{}", "application/vnd.oci.image.config.v1+json")
    answer = driver.put_manifest("v1", {"schemaVersion": 2, "config": config, "layers": layers})
    assert answer.codes == ["MANIFEST_BLOB_UNKNOWN"]
    assert [entry["detail"]["digest"] for entry in answer.document["errors"]] == [missing]


def test_an_event_adopts_before_anybody_asks(driver: Driver, row: UploadRow, content: bytes) -> None:
    key = stage(driver.deployment, row, content)
    driver.deployment.adopt(created(key))
    answer = driver.call("HEAD", driver.of(f"blobs/{Digest.of(content)}"))
    assert (answer.status, answer.calls) == (307, (1, 0))
    driver.deployment.adopt(created(key))
    assert objects(driver.deployment, key) == [key]


def test_a_blob_that_waits_can_be_mounted_and_deleted(
    driver: Driver, row: UploadRow, deployment: Deployment, content: bytes
) -> None:
    stage(deployment, row, content)
    other = Driver(deployment, f"{driver.repository}-other")
    other.log_in(f"repository:{driver.repository}:pull,push repository:{other.repository}:pull,push,delete")
    query = {"mount": Digest.of(content), "from": driver.repository}
    assert other.call("POST", other.of("blobs/uploads/"), query).status == 201
    second = os.urandom(10)
    stage(deployment, deployment.services.uploads.open(row.repository), second)
    assert driver.call("DELETE", driver.of(f"blobs/{Digest.of(second)}")).status == 202
    assert head(driver, second) == 404


def test_bytes_without_a_checksum_of_s3s_are_never_adopted(
    driver: Driver, row: UploadRow, content: bytes
) -> None:
    stage(driver.deployment, row, content, checksum=False)
    assert head(driver, content) == 404


def test_bytes_under_another_digest_are_never_adopted(driver: Driver, row: UploadRow, content: bytes) -> None:
    other = b"what was announced"
    key = stage(driver.deployment, row, content, digest=Digest.of(other))
    assert head(driver, other) == 404
    assert head(driver, content) == 404
    driver.deployment.adopt(created(key))
    assert head(driver, other) == 404


def test_a_session_of_one_repository_adopts_in_no_other(
    driver: Driver, row: UploadRow, deployment: Deployment, content: bytes
) -> None:
    other = Driver(deployment, f"{driver.repository}-other")
    other.log_in()
    key = stage(deployment, row, content, repository=Repository(ACCOUNT, other.repository))
    assert head(other, content) == 404
    deployment.adopt(created(key))
    assert head(other, content) == 404
    assert objects(deployment, key) == []


def test_a_repository_whose_name_goes_on_with_the_digest_is_another(
    driver: Driver, deployment: Deployment, content: bytes
) -> None:
    encoded = Digest.of(content).partition(":")[2]
    longer = Repository(ACCOUNT, f"{driver.repository}/{encoded}")
    stage(deployment, deployment.services.uploads.open(longer), content)
    assert head(driver, content) == 404


@pytest.mark.parametrize("how", ["completed", "cancelled", "expired"])
def test_what_comes_after_the_end_of_its_session_is_deleted(
    driver: Driver, row: UploadRow, deployment: Deployment, content: bytes, how: str
) -> None:
    uploads = deployment.services.uploads
    if how == "completed":
        stage(deployment, row, b"first" + content)
        assert head(driver, b"first" + content) == 307
    elif how == "cancelled":
        uploads.cancel(row.repository, row.session)
    else:
        _expire(deployment, row)
    key = stage(deployment, row, content)
    assert head(driver, content) == 404
    assert objects(deployment, key) == [key]
    deployment.adopt(created(key))
    assert head(driver, content) == 404
    assert objects(deployment, key) == []
    assert session_of(deployment, row) is None


def test_a_blob_that_the_account_has_is_stored_once(
    driver: Driver, row: UploadRow, deployment: Deployment, content: bytes
) -> None:
    driver.push_blob(content)
    other = Driver(deployment, f"{driver.repository}-other")
    other.log_in()
    key = stage(deployment, deployment.services.uploads.open(Repository(ACCOUNT, other.repository)), content)
    answer = other.call("HEAD", other.of(f"blobs/{Digest.of(content)}"))
    assert answer.status == 307
    assert key not in answer.headers["location"]
    assert objects(deployment, key) == []


def test_what_the_session_held_beside_it_goes(driver: Driver, content: bytes, deployment: Deployment) -> None:
    """A client that began to send chunks and then sent all in one PUT."""
    location = driver.open_upload()
    driver.call("PATCH", location, body=b"a beginning")
    session = location.rpartition("/")[2]
    row = deployment.services.uploads.sessions.get(session)
    assert row is not None
    assert row.tail_key is not None
    stage(deployment, row, content)
    assert head(driver, content) == 307
    assert objects(deployment, row.tail_key) == []


def test_a_deleted_blob_does_not_come_back(driver: Driver, row: UploadRow, content: bytes) -> None:
    key = stage(driver.deployment, row, content)
    assert head(driver, content) == 307
    assert driver.call("DELETE", driver.of(f"blobs/{Digest.of(content)}")).status == 202
    assert head(driver, content) == 404
    driver.deployment.adopt(created(key))
    assert head(driver, content) == 404


@pytest.mark.parametrize(
    "key", ["blobs/default/dev/x/y", "staged/a", "staged/a/b/c/d", "staged/a/b/" + "0" * 64 + "/short"]
)
def test_events_of_other_objects_are_none_of_its_business(deployment: Deployment, key: str) -> None:
    deployment._s3.put_object(Bucket=deployment.settings.bucket, Key=key, Body=b"x")
    deployment.adopt(created(key))
    assert objects(deployment, key) == [key]


def test_keys_in_events_are_encoded(driver: Driver, row: UploadRow, content: bytes) -> None:
    key = stage(driver.deployment, row, content)
    driver.deployment.adopt(created(key.replace("/", "%2F", 1)))
    assert session_of(driver.deployment, row) is None


def test_a_key_is_what_the_edge_makes(repository: Repository) -> None:
    digest = Digest.of(b"x")
    hexadecimal = digest.partition(":")[2]
    assert staged_key(repository, digest, "f" * 32) == (
        f"staged/{ACCOUNT}/{repository.name}/{hexadecimal}/{'f' * 32}"
    )


def test_upload_urls_begin_at_s3_for_single_put_clients_until_bytes_have_come(driver: Driver) -> None:
    opened = driver.call("POST", driver.of("blobs/uploads/"), user_agent="containerd/2.3.0")
    location = opened.headers["location"]
    assert location.startswith("/s/")
    served = location.replace("/s/", "/u/", 1)
    status = driver.call("GET", served, user_agent="containerd/2.3.0")
    assert (status.status, status.headers["location"][:3]) == (204, "/u/")
    patched = driver.call("PATCH", served, body=b"some", user_agent="containerd/2.3.0")
    assert patched.headers["location"].startswith("/u/")


def _expire(deployment: Deployment, row: UploadRow) -> None:
    sessions = deployment.services.uploads.sessions
    now = int(time.time())
    assert sessions.acquire(row.session, "w", now=now, lease=now + 60)
    assert sessions.save(replace(row, expires=now - 1), "w")


def test_details_name_what_is_unknown(driver: Driver) -> None:
    answer = driver.call("GET", driver.of(f"blobs/{Digest.of(b'unknown')}"))
    assert answer.codes == ["BLOB_UNKNOWN"]
    assert json.loads(answer.body)["errors"][0]["detail"] == {"digest": Digest.of(b"unknown")}


def test_a_blob_adopted_between_the_look_and_the_list_is_found(
    driver: Driver, row: UploadRow, deployment: Deployment, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event made the link of a copy that the account had, and deleted this one."""
    other = Repository(ACCOUNT, f"{driver.repository}-other")
    stage(deployment, deployment.services.uploads.open(other), content)
    assert deployment.services.adoption.adopt(other, Digest.of(content))
    key = stage(deployment, row, content)
    store = deployment.services.adoption.staged
    waiting = type(store).waiting

    def after_the_event(self: object, repository: Repository, digest: Digest) -> object:
        monkeypatch.setattr(type(store), "waiting", waiting)
        deployment.adopt(created(key))
        return waiting(self, repository, digest)

    monkeypatch.setattr(type(store), "waiting", after_the_event)
    assert head(driver, content) == 307
    assert objects(deployment, key) == []


@pytest.fixture
def full(deployment: Deployment, driver: Driver) -> Iterator[None]:
    """For as long as a test takes, of an account that has a blob."""
    driver.push_blob(b"of an account that is full")
    quota, account = deployment.quota, deployment.settings.account
    before = quota.usage(account)
    limited(quota.usages, account, before.bytes)
    quota.forget(account)
    yield
    limited(quota.usages, account, before.limit)
    quota.forget(account)


@pytest.mark.parametrize("by", ["GET", "event"])
@pytest.mark.usefixtures("full")
def test_what_the_account_has_no_room_for_is_refused_and_gone(
    deployment: Deployment, driver: Driver, repository: Repository, content: bytes, by: str
) -> None:
    """It was announced while there was room."""
    row = deployment.services.uploads.open(repository, 0)
    key = stage(deployment, row, content)
    if by == "event":
        deployment.adopt(created(key))
    else:
        answer = driver.call("GET", driver.of(f"blobs/{Digest.of(content)}"))
        assert (answer.status, answer.codes) == (403, ["DENIED"])
    assert session_of(deployment, row) is None
    assert objects(deployment, key) == []
    assert head(driver, content) == 404
