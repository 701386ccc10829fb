"""What holds a blob, on every backend; what a run would free, told without freeing it."""

from __future__ import annotations

import json

import pytest

from chalicelib.registry.holders import Holders
from chalicelib.registry.manifests import Push
from chalicelib.spec.digest import Digest
from chalicelib.spec.manifest import OCI_IMAGE, OCI_INDEX, parse_manifest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.late import pass_time
from tests.stores.test_collection import DAY, collect, contents_of, late, put_image, upload

__all__ = ["late"]


def holders(deployment: Deployment) -> Holders:
    return deployment._management._services.holders


def put_index(deployment: Deployment, repository: Repository, child: Digest, tag: str) -> Digest:
    row = deployment.services.manifests.rows.get(repository, child)
    assert row
    entry = {"mediaType": OCI_IMAGE, "digest": child, "size": row.size}
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
    digest = Digest.of(raw)
    deployment.services.manifests.put(Push(repository, parse_manifest(raw, OCI_INDEX), digest, (tag,)))
    return digest


def test_every_way_to_a_blob_is_told(late: Deployment, repository: Repository) -> None:
    contents = contents_of(repository)
    blob = Digest.of(contents[1])
    child = put_image(late, repository, contents, "1.4")
    index = put_index(late, repository, child, "multi")
    other = Repository(repository.account, f"{repository.registry}/other")
    put_image(late, other, contents[:1], "latest")
    unnamed = Repository(repository.account, f"{repository.registry}/unnamed")
    for one in (other, unnamed):
        assert late.services.blobs.mount(one, blob, repository)
    deleted = put_image(late, repository, [contents[1]], "gone")
    late.services.manifests.delete(repository, deleted)
    told = holders(late).explain(repository.account, blob)
    assert told
    assert {(one.tags, one.path) for one in told.holders} == {
        (("1.4",), (child,)),
        (("multi",), (index, child)),
    }
    assert [(one.repository, one.manifest) for one in told.keepers] == [(repository, deleted)]
    assert [one.repository for one in told.waiting] == [other, unnamed]
    assert (told.due, told.links, told.unnamed, told.is_complete) == (0, 3, 0, True)
    assert all(one.since for one in told.holders)


def test_when_a_blob_goes_is_when_it_goes(late: Deployment, repository: Repository) -> None:
    digest = upload(late, repository, b"nobody's")
    late.services.blobs.delete(repository, digest)
    told = holders(late).explain(repository.account, digest)
    assert told
    pass_time(late, told.due - late.clock() - 5)
    assert not collect(late, repository.account, wait=6).blobs
    assert collect(late, repository.account).blobs == 1


def test_the_plan_is_what_the_run_frees(late: Deployment, repository: Repository) -> None:
    for content in contents_of(repository):
        upload(late, repository, content)
    assert holders(late).due(repository.account, 10) == ([], True)
    pass_time(late, DAY + 1)
    planned, is_all = holders(late).due(repository.account, 10)
    assert ([one.kind for one in planned], is_all) == (["link"] * 3, True)
    assert len(holders(late).due(repository.account, 2)[0]) == 2
    assert collect(late, repository.account).links == 3
    planned, _ = holders(late).due(repository.account, 10)
    assert sum(one.bytes for one in planned) == sum(map(len, contents_of(repository)))
    assert collect(late, repository.account).blobs == 3


def test_indexes_nested_without_end_are_looked_at_as_far_as_a_request_may(
    late: Deployment, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = contents_of(repository)
    top = put_image(late, repository, contents, "bottom")
    for number in range(8):
        top = put_index(late, repository, top, f"level-{number}")
    blob = Digest.of(contents[1])
    told = holders(late).explain(repository.account, blob)
    assert told
    assert (len(told.holders), told.is_complete) == (9, True)
    monkeypatch.setattr("chalicelib.registry.holders.STEPS_LIMIT", 5)
    told = holders(late).explain(repository.account, blob)
    assert told
    assert (len(told.holders), told.is_complete, told.due) == (5, False, 0)
