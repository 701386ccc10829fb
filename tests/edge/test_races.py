"""Ten clients push one blob at once, each into S3 by itself: one copy is kept, and all of them see it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from chalicelib.registry.stores import UploadRow
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.edge.staging import created, objects, stage, staged_key
from tests.endpoints.driver import Driver

CLIENTS = 10


def together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def head(driver: Driver, digest: Digest) -> int:
    return driver.call("HEAD", driver.of(f"blobs/{digest}")).status


def tell(deployment: Deployment, row: UploadRow, content: bytes) -> None:
    deployment.adopt(created(staged_key(row.repository, Digest.of(content), row.session)))


def pushes(deployment: Deployment, repositories: list[Repository], content: bytes) -> list[UploadRow]:
    rows = [deployment.services.uploads.open(one) for one in repositories]
    for row in rows:
        stage(deployment, row, content)
    return rows


def check_one_copy(deployment: Deployment, rows: list[UploadRow], content: bytes) -> None:
    """The one that the account's blob names, counted once for each repository that links it."""
    digest = Digest.of(content)
    account = rows[0].repository.account
    kept = deployment.services.blobs.links.blob(account, digest)
    assert kept is not None
    keys = {staged_key(row.repository, digest, row.session) for row in rows}
    left = {key for one in keys for key in objects(deployment, one)}
    assert left == {kept.storage_key}
    repositories = {row.repository for row in rows}
    found = [deployment.services.blobs.links.get(one, digest) for one in repositories]
    assert all(link is not None and link.idle for link in found), "what no manifest names is to be collected"
    assert {replace(link, idle=0) for link in found if link} == {replace(kept, references=0)}
    assert deployment._tables.blobs.get(account, digest).links == len(repositories)
    assert [deployment.services.uploads.sessions.get(row.session) for row in rows] == [None] * len(rows)


@pytest.mark.parametrize("own", ["", "-{}"], ids=["one repository", "a repository each"])
@pytest.mark.parametrize("first", ["heads", "events", "both"])
def test_ten_clients_at_once_keep_one_copy(deployment: Deployment, own: str, first: str) -> None:
    content = os.urandom(100)
    name = f"dev/{os.urandom(6).hex()}"
    names = [name + own.format(number) for number in range(CLIENTS)]
    drivers = [Driver(deployment, one) for one in names]
    for driver in drivers:
        driver.log_in()
    rows = pushes(deployment, [Repository(deployment.settings.account, one) for one in names], content)
    heads = [partial(head, driver, Digest.of(content)) for driver in drivers]
    events = [partial(tell, deployment, row, content) for row in rows]

    if first != "events":
        answers = together([*heads, *events] if first == "both" else heads)
        assert answers[:CLIENTS] == [307] * CLIENTS
    together(events)

    assert together(heads) == [307] * CLIENTS
    check_one_copy(deployment, rows, content)


def test_manifests_that_name_what_waits_all_go_in(deployment: Deployment) -> None:
    driver = Driver(deployment, f"dev/{os.urandom(6).hex()}")
    driver.log_in()
    config = driver.pushed(b"{}", "application/vnd.oci.image.config.v1+json")
    content = os.urandom(100)
    repository = Repository(deployment.settings.account, driver.repository)
    rows = pushes(deployment, [repository] * 4, content)
    media_type = "application/vnd.oci.image.layer.v1.tar"
    layer = {"mediaType": media_type, "digest": Digest.of(content), "size": len(content)}
    document = {"schemaVersion": 2, "config": config, "layers": [layer]}

    puts = [partial(driver.put_manifest, f"v{number}", document) for number in range(4)]
    assert [answer.status for answer in together(puts)] == [201] * 4

    together([partial(tell, deployment, row, content) for row in rows])
    link = deployment.services.blobs.links.get(repository, Digest.of(content))
    assert link is not None
    assert link.references == 1
    keys = [staged_key(repository, link.digest, row.session) for row in rows]
    assert [one for key in keys for one in objects(deployment, key)] == [link.storage_key]
