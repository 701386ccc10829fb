"""The collector on every backend: what it frees, what it leaves, what it costs, and what it races."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from chalicelib.aws import keys
from chalicelib.aws.calls import counted
from chalicelib.registry import collection
from chalicelib.registry.changes import Charge, CountLink
from chalicelib.registry.collection import Freed
from chalicelib.registry.manifests import Push
from chalicelib.registry.stores import Link
from chalicelib.registry.uploads import Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import RegistryError
from chalicelib.spec.manifest import OCI_IMAGE, parse_manifest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores import rows
from tests.stores.invariants import broken
from tests.stores.late import Late, pass_time
from tests.stores.race import race
from tests.stores.rows import put_blob, write

DAY = 24 * 3600
FOREVER = 10.0**12
EMPTY_RUN = 16 * 6
CALLS_FOR_FIFTY = 65
ROUNDS = 2


@pytest.fixture
def late(deployment: Deployment) -> Deployment:
    return Deployment(deployment.settings, clock=Late())


@pytest.fixture
def late_on_engines(on_engines: Deployment) -> Deployment:
    return Deployment(on_engines.settings, clock=Late())


@pytest.fixture
def late_on_weed(on_weed: Deployment) -> Deployment:
    return Deployment(on_weed.settings, clock=Late())


def upload(deployment: Deployment, repository: Repository, content: bytes) -> Digest:
    digest, uploads = Digest.of(content), deployment.services.uploads
    uploads.close(repository, uploads.open(repository).session, digest, Chunk([content]))
    return digest


def put_image(deployment: Deployment, repository: Repository, contents: Sequence[bytes], tag: str) -> Digest:
    """Its blobs first, as every client does."""
    for content in contents:
        upload(deployment, repository, content)
    return put_manifest(deployment, repository, contents, tag)


def put_manifest(
    deployment: Deployment, repository: Repository, contents: Sequence[bytes], tag: str
) -> Digest:
    raw = document(contents)
    digest = Digest.of(raw)
    deployment.services.manifests.put(Push(repository, parse_manifest(raw, OCI_IMAGE), digest, (tag,)))
    return digest


def document(contents: Sequence[bytes]) -> bytes:
    entries = [
        {"mediaType": "application/octet-stream", "digest": Digest.of(one), "size": len(one)}
        for one in contents
    ]
    fields = {"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": entries[0], "layers": entries[1:]}
    return json.dumps(fields).encode()


def collect(deployment: Deployment, account: str, rounds: int = 1, wait: float = 2 * 3600) -> Freed:
    """A link, an hour later its blob, then the object: each round finds what the one before made due."""
    total = Freed()
    for _ in range(rounds):
        report = deployment.collector.run(FOREVER, account)
        assert report.is_complete
        assert not report.failures
        total.add(report.total)
        pass_time(deployment, wait)
    return total


def used(deployment: Deployment, repository: Repository) -> int:
    return deployment.quota.usage(repository.account).bytes


def contents_of(repository: Repository, count: int = 3) -> list[bytes]:
    return [f"blob {number} of {repository.name}".encode() for number in range(count)]


def test_what_no_manifest_names_goes_and_what_one_names_stays(
    late: Deployment, repository: Repository
) -> None:
    kept, gone = contents_of(repository), [b"left", b"behind"]
    put_image(late, repository, kept, "latest")
    for content in gone:
        upload(late, repository, content)
    pass_time(late, DAY + 1)
    freed = collect(late, repository.account, 3)
    assert (freed.links, freed.blobs, freed.bytes) == (2, 2, len(b"leftbehind"))
    assert freed.objects == 2
    assert used(late, repository) == sum(map(len, kept))
    assert not broken(late, [repository])


def test_a_deleted_image_leaves_nothing_once_it_cannot_be_restored(
    late: Deployment, repository: Repository
) -> None:
    digest = put_image(late, repository, contents_of(repository), "latest")
    late.services.manifests.delete(repository, digest)
    pass_time(late, 2 * DAY)
    assert not collect(late, repository.account, 3).blobs
    assert used(late, repository)
    pass_time(late, 6 * DAY)
    freed = collect(late, repository.account, 4)
    assert (freed.trash, freed.blobs, freed.objects) == (1, 3, 3)
    assert used(late, repository) == 0
    assert not broken(late, [repository])


def test_marks_of_what_is_in_use_are_settled_and_not_looked_at_again(
    late: Deployment, repository: Repository
) -> None:
    shared = contents_of(repository)
    put_image(late, repository, shared, "kept")
    digest = put_image(late, repository, [*shared, b"own"], "gone")
    late.services.manifests.delete(repository, digest)
    pass_time(late, 9 * DAY)
    collect(late, repository.account, 4)
    assert used(late, repository) == sum(map(len, shared))
    links = late.services.blobs.links
    for content in shared:
        link, blob = (
            links.get(repository, Digest.of(content)),
            links.blob(repository.account, Digest.of(content)),
        )
        assert link
        assert blob
        assert (link.idle, blob.idle) == (0, 0)


def test_one_blob_in_many_repositories_goes_with_its_last_link(
    late: Deployment, repository: Repository
) -> None:
    digest = upload(late, repository, b"shared by many")
    others = [Repository(repository.account, f"{repository.registry}/other{number}") for number in range(5)]
    for other in others:
        assert late.services.blobs.mount(other, digest, repository)
    pass_time(late, DAY + 1)
    freed = collect(late, repository.account, 3)
    assert (freed.links, freed.blobs) == (6, 1)
    assert not broken(late, [repository, *others])


def test_an_expired_upload_goes_with_every_byte(late: Deployment, repository: Repository) -> None:
    uploads = late.services.uploads
    small, empty = uploads.open(repository), uploads.open(repository)
    uploads.append(repository, small.session, Chunk([b"some bytes"]))
    crashed = keys.blob_key(repository, small.session, "crashed")
    late.services.blobs.objects.put(crashed, b"left")
    begun = keys.blob_key(repository, empty.session, "begun")
    uploads.multipart.put_part(begun, uploads.multipart.begin(begun), 1, b"part")
    upload(late, repository, b"another")
    pass_time(late, DAY - 60)
    assert not collect(late, repository.account, wait=61).uploads
    freed = collect(late, repository.account, 2)
    assert freed.uploads == 2
    assert uploads.sessions.get(small.session) is None
    assert not broken(late, [repository])


@pytest.mark.parametrize("ended", ["open", "published", "cancelled"])
def test_an_expired_direct_upload_goes_and_a_published_blob_stays(
    late: Deployment, repository: Repository, ended: str
) -> None:
    content = f"direct {ended}".encode()
    direct = late.direct
    row = direct.open(repository, Digest.of(content), len(content))
    late.services.blobs.objects.put(row.key, content)
    if ended == "published":
        direct.complete(row)
    pass_time(late, 2 * DAY)
    if ended == "published":
        put_manifest(late, repository, [content], "latest")
    if ended == "cancelled":
        direct.cancel(row)
    freed = collect(late, repository.account, 3)
    assert freed.uploads == (0 if ended == "cancelled" else 1)
    assert direct.sessions.get(row.session) is None
    assert late.services.blobs.objects.get(row.key) is None
    assert not broken(late, [repository])


def test_a_head_keeps_a_blob_for_half_the_grace_more(late: Deployment, repository: Repository) -> None:
    digest = upload(late, repository, b"skipped by the next push")
    pass_time(late, DAY - 60)
    with counted() as calls:
        late.services.adoption.find(repository, digest)
    assert calls["dynamodb"] == 2
    with counted() as calls:
        late.services.adoption.find(repository, digest)
    assert calls["dynamodb"] == 1
    pass_time(late, DAY // 2 - 60)
    collect(late, repository.account)
    put_manifest(late, repository, [b"skipped by the next push"], "latest")
    assert not broken(late, [repository])


def test_objects_that_could_not_be_deleted_are_remembered(
    late: Deployment, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = upload(late, repository, b"stuck")
    late.services.blobs.delete(repository, digest)
    pass_time(late, 3601)
    bucket: Any = late.collector.graves
    with monkeypatch.context() as patch:
        patch.setattr(type(bucket), "delete_all", lambda _self, asked: list(asked))
        report = late.collector.run(FOREVER, repository.account)
        report = late.collector.run(FOREVER, repository.account)
    assert report.failures
    assert collect(late, repository.account).objects == 1
    assert not broken(late, [repository])


def test_the_cost_of_a_run_is_of_what_it_frees_not_of_what_is_stored(
    late_on_weed: Deployment, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """96 queries find what there is to do; 50 links, 50 blobs and 50 objects are 1.3 calls a blob
    on top, of all three rounds, where each shard has no more than three.
    """
    late = late_on_weed
    monkeypatch.setattr(collection, "random", _InOrder)
    costs: list[list[int]] = []
    late.quota.usage(repository.account)
    for stored in (50, 450):
        write_blobs(late, repository, f"{stored} kept", stored, is_named=True)
        write_blobs(late, repository, "garbage", 50)
        pass_time(late, DAY + 1)
        costs.append([])
        for _ in range(3):
            with counted() as calls:
                collect(late, repository.account)
            costs[-1].append(calls.total())
    assert costs[0] == costs[1]
    freed = sum(costs[0]) - 3 * EMPTY_RUN
    assert freed == CALLS_FOR_FIFTY, costs


class _InOrder:
    """For `random`: the order of the shards says when an object goes that was buried in the same run."""

    @staticmethod
    def sample(shards: str, _count: int) -> str:
        return shards


def write_blobs(
    deployment: Deployment, repository: Repository, name: str, count: int, *, is_named: bool = False
) -> None:
    """Rows alone, a hundred times faster than uploads."""
    links = [
        Link(Digest.of(f"{name} {one}".encode()), 7, f"blobs/{repository.account}/{name}/{one}")
        for one in range(count)
    ]
    for first in range(0, count, 49):
        some = links[first : first + 49]
        puts = [change for link in some for change in put_blob(repository, link)]
        write(deployment, *puts, Charge(repository.account, 7 * len(some)))
        if is_named:
            counts = [CountLink(repository, link.digest, 1) for link in some]
            write(deployment, *rows.put_image(repository, *some), *counts)


def both(deployment: Deployment, account: str) -> list[Callable[[], object]]:
    """Two collectors, each until nothing is left."""
    return [partial(deployment.collector.run, FOREVER, account)] * 2


Racer = Callable[[Deployment, Repository, Sequence[bytes]], object]


def _publish(deployment: Deployment, repository: Repository, contents: Sequence[bytes]) -> object:
    return [upload(deployment, repository, content) for content in contents]


def _mount(deployment: Deployment, repository: Repository, contents: Sequence[bytes]) -> object:
    other = Repository(repository.account, f"{repository.name}-other")
    return [
        deployment.services.blobs.mount(other, Digest.of(content), repository)
        or upload(deployment, other, content)
        for content in contents
    ]


def _push(deployment: Deployment, repository: Repository, contents: Sequence[bytes]) -> object:
    return put_image(deployment, repository, contents, "pushed")


def _delete(deployment: Deployment, repository: Repository, contents: Sequence[bytes]) -> object:
    for content in contents:
        with suppress(RegistryError):
            deployment.services.blobs.delete(repository, Digest.of(content))
    return None


@pytest.mark.parametrize("racer", [_publish, _mount, _push, _delete])
@pytest.mark.parametrize("wait", [0, 3601], ids=["links are due", "blobs are due"])
def test_collectors_race(
    late_on_engines: Deployment, repository: Repository, racer: Racer, wait: int
) -> None:
    deployment = late_on_engines
    for attempt in range(ROUNDS):
        contents = [f"{attempt} {number} {repository.name}".encode() for number in range(4)]
        _publish(deployment, repository, contents)
        pass_time(deployment, DAY + 1)
        if wait:
            deployment.collector.run(FOREVER, repository.account)
            pass_time(deployment, wait)
        ended = race(
            [partial(racer, deployment, repository, contents), *both(deployment, repository.account)]
        )
        assert [one for one in ended if isinstance(one, Exception)] == []
    pass_time(deployment, DAY + 1)
    collect(deployment, repository.account, 3)
    other = Repository(repository.account, f"{repository.name}-other")
    assert not broken(deployment, [repository, other])
    stored = used(deployment, repository)
    assert stored == (sum(map(len, contents)) * ROUNDS if racer is _push else 0)


def test_collectors_race_a_deletion(late_on_engines: Deployment, repository: Repository) -> None:
    """Of an image that was restored once, pushed again and deleted, when its trash is due."""
    deployment, contents = late_on_engines, contents_of(repository)
    for _ in range(4):
        digest = put_image(deployment, repository, contents, "latest")
        deployment.services.manifests.delete(repository, digest)
        pass_time(deployment, 8 * DAY)
        ended = race(
            [
                partial(put_image, deployment, repository, contents, "latest"),
                *both(deployment, repository.account),
            ]
        )
        assert [one for one in ended if isinstance(one, Exception)] == []
        assert not broken(deployment, [repository])
        delete = partial(deployment.services.manifests.delete, repository, digest)
        ended = race([delete, *both(deployment, repository.account)])
        assert [one for one in ended if isinstance(one, Exception)] == []
    pass_time(deployment, 8 * DAY)
    collect(deployment, repository.account, 4)
    assert used(deployment, repository) == 0
    assert not broken(deployment, [repository])


def test_each_run_is_in_the_audit_trail_of_the_accounts_it_freed_something_of(
    late: Deployment, repository: Repository
) -> None:
    upload(late, repository, b"unused")
    pass_time(late, DAY + 1)
    late.collect(900)
    now = int(late.clock() * 1000) + 1
    (record,) = late.trail.read(repository.account, now - 60_000, now, "")
    assert (record.actor, record.action, record.detail["links"]) == ("collector", "collect", 1)
