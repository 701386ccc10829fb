"""Conditional requests on manifests: what is known is not sent again, and no update of a tag is lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conformance.ways import EMBEDDED
from tests.support.client import Client, refused
from tests.support.content import Document, digest_of, image


@pytest.fixture
def first(client: Client) -> Document:
    """What `latest` names."""
    one = image(b"first")
    client.push(one, "latest")
    return one


def _etag(one: Document) -> str:
    return f'"{one.digest}"'


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_manifest_has_its_digest_as_entity_tag(client: Client, first: Document, method: str) -> None:
    for reference in ("latest", first.digest):
        assert client.call(method, client.of(f"manifests/{reference}")).headers["ETag"] == _etag(first)


def test_a_push_answers_with_the_entity_tag(client: Client, first: Document) -> None:
    assert client.put_manifest(first, "latest").headers["ETag"] == _etag(first)


@EMBEDDED
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("known", ['"{}"', 'W/"{}"', '"sha256:0", "{}"', "*"])
def test_what_the_client_knows_is_304(client: Client, first: Document, method: str, known: str) -> None:
    for reference in ("latest", first.digest):
        headers = {"If-None-Match": known.format(first.digest)}
        answer = client.call(method, client.of(f"manifests/{reference}"), headers=headers)
        assert answer.status_code == 304
        assert answer.content == b""
        assert answer.headers["ETag"] == _etag(first)
        assert answer.headers["Docker-Content-Digest"] == first.digest


def test_what_has_changed_is_sent(client: Client, first: Document) -> None:
    second = image(b"second")
    client.push(second, "latest")
    answer = client.get("manifests/latest", headers={"If-None-Match": _etag(first)})
    assert (answer.status_code, answer.content) == (200, second.raw)


def test_a_tag_moves_only_from_what_the_request_names(client: Client, first: Document) -> None:
    second, third = image(b"second"), image(b"third")
    client.push(second)
    client.push(third)

    moved = client.put_manifest(second, "latest", headers={"If-Match": _etag(first)})
    assert moved.status_code == 201
    late = client.put_manifest(third, "latest", headers={"If-Match": _etag(first)})

    refused(late, 412, "MANIFEST_INVALID")
    assert client.get("manifests/latest").content == second.raw


def test_a_tag_that_must_be_there_and_is_not_is_not_made(client: Client, first: Document) -> None:
    for wanted in ("*", _etag(first)):
        refused(client.put_manifest(first, "new", headers={"If-Match": wanted}), 412, "MANIFEST_INVALID")
    assert client.get("manifests/new").status_code == 404
    assert client.put_manifest(first, "latest", headers={"If-Match": "*"}).status_code == 201


def test_a_tag_that_must_be_new_is_made_once(client: Client, first: Document) -> None:
    headers = {"If-None-Match": "*"}
    assert client.put_manifest(first, "release", headers=headers).status_code == 201
    second = image(b"second")
    client.push(second)
    refused(client.put_manifest(second, "release", headers=headers), 412, "MANIFEST_INVALID")
    assert client.get("manifests/release").content == first.raw


def test_a_manifest_by_digest_has_preconditions_too(client: Client, first: Document) -> None:
    there, fresh = f"manifests/{first.digest}", image(b"fresh")
    client.push(fresh, "other")
    client.call("DELETE", client.of(f"manifests/{fresh.digest}"))
    only_new, only_there = {"If-None-Match": "*"}, {"If-Match": "*"}
    refused(client.put_manifest(first, first.digest, headers=only_new), 412, "MANIFEST_INVALID")
    refused(client.put_manifest(fresh, fresh.digest, headers=only_there), 412, "MANIFEST_INVALID")
    assert client.put_manifest(fresh, fresh.digest, headers=only_new).status_code == 201
    assert client.get(there).status_code == 200


@pytest.mark.parametrize("reference", ["latest", "digest"])
def test_nothing_is_deleted_that_the_request_does_not_name(
    client: Client, first: Document, reference: str
) -> None:
    second = image(b"second")
    path = client.of(f"manifests/{first.digest if reference == 'digest' else reference}")
    refused(client.call("DELETE", path, headers={"If-Match": _etag(second)}), 412, "MANIFEST_INVALID")
    assert client.get("manifests/latest").content == first.raw
    assert client.call("DELETE", path, headers={"If-Match": _etag(first)}).status_code == 202


@pytest.mark.parametrize("wanted", ["", ",", ",,"])
def test_a_precondition_that_names_nothing_is_refused(client: Client, first: Document, wanted: str) -> None:
    refused(client.put_manifest(first, "latest", headers={"If-Match": wanted}), 400, "MANIFEST_INVALID")


def test_the_same_bytes_are_not_of_two_types(client: Client, first: Document) -> None:
    other = "application/vnd.docker.distribution.manifest.v2+json"
    bare = Document(b'{"schemaVersion":2}', first.media_type)
    client.push(bare, "bare")
    refused(client.put_manifest(Document(bare.raw, other), "bare"), 400, "MANIFEST_INVALID")
    for method in ("GET", "HEAD"):
        answer = client.call(method, client.of("manifests/bare"))
        assert answer.headers["Content-Type"] == first.media_type


@pytest.mark.parametrize("headers", [{"If-Match": "{}"}, {"If-None-Match": "*"}], ids=["move", "make"])
def test_of_many_updates_at_once_one_is_made(
    client: Client, crowd: list[Client], first: Document, headers: dict[str, str]
) -> None:
    rivals = [image(b"%d" % number) for number in range(len(crowd))]
    for rival in rivals:
        client.push(rival)
    tag = "latest" if "If-Match" in headers else "fresh"
    filled = {name: value.format(_etag(first)) for name, value in headers.items()}

    with ThreadPoolExecutor(len(crowd)) as pool:
        pairs = zip(crowd, rivals, strict=True)
        futures = [pool.submit(c.put_manifest, one, tag, headers=filled) for c, one in pairs]
        statuses = [future.result().status_code for future in futures]

    assert sorted(statuses) == [201] + [412] * (len(crowd) - 1)
    assert client.get(f"manifests/{tag}").content == rivals[statuses.index(201)].raw


def test_one_image_pushed_by_many_at_once_is_whole(client: Client, crowd: list[Client]) -> None:
    one = image(b"layer of all", b"another")
    with ThreadPoolExecutor(len(crowd)) as pool:
        futures = [pool.submit(member.push, one, f"by-{n}") for n, member in enumerate(crowd)]
        assert {future.result() for future in futures} == {one.digest}
    assert client.get("tags/list").json()["tags"] == sorted(f"by-{n}" for n in range(len(crowd)))
    for blob in one.blobs:
        assert client.get(f"blobs/{digest_of(blob)}").content == blob
