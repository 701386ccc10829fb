"""Deleting tags, manifests and blobs: gone at once, and never from under what still needs them."""

from __future__ import annotations

import pytest

from tests.support.client import Client, refused
from tests.support.content import UNKNOWN, digest_of, image, index


def test_a_deleted_tag_is_gone_and_its_manifest_stays(client: Client) -> None:
    one = image(b"kept")
    for tag in ("old", "new"):
        client.push(one, tag)

    answer = client.delete("manifests/old")

    assert (answer.status_code, answer.content) == (202, b"")
    for method in ("HEAD", "GET"):
        assert client.call(method, client.of("manifests/old")).status_code == 404
    assert client.get("tags/list").json()["tags"] == ["new"]
    assert client.get("manifests/new").content == one.raw
    assert client.get(f"manifests/{one.digest}").content == one.raw


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_deleted_manifest_takes_its_tags_with_it(client: Client, algorithm: str) -> None:
    goes, stays = image(b"goes"), image(b"stays")
    digest = digest_of(goes.raw, algorithm)
    for blob in goes.blobs:
        client.push_blob(blob)
    client.put_manifest(goes, digest, params={"tag": ["one", "two"]})
    client.push(stays, "three")

    answer = client.delete(f"manifests/{digest}")

    assert (answer.status_code, answer.content) == (202, b"")
    for reference in (digest, "one", "two"):
        for method in ("HEAD", "GET"):
            assert client.call(method, client.of(f"manifests/{reference}")).status_code == 404
    assert client.get("tags/list").json()["tags"] == ["three"]


def test_a_tag_that_has_moved_on_survives_its_first_manifest(client: Client) -> None:
    first, second = image(b"first"), image(b"second")
    for one in (first, second):
        client.push(one, "latest")
    assert client.delete(f"manifests/{first.digest}").status_code == 202
    assert client.get("manifests/latest").content == second.raw


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_deleted_blob_is_gone(client: Client, algorithm: str) -> None:
    digest = client.push_blob(b"short-lived", algorithm)

    answer = client.delete(f"blobs/{digest}")

    assert (answer.status_code, answer.content) == (202, b"")
    for method in ("HEAD", "GET"):
        assert client.call(method, client.of(f"blobs/{digest}")).status_code == 404


def test_an_image_can_be_deleted_piece_by_piece(client: Client) -> None:
    """Tag, manifest, then blobs, as a suite cleans up."""
    one = image(b"a", b"b")
    client.push(one, "latest")
    assert client.delete("manifests/latest").status_code == 202
    assert client.delete(f"manifests/{one.digest}").status_code == 202
    for blob in one.blobs:
        assert client.delete(f"blobs/{digest_of(blob)}").status_code == 202
        assert client.head(f"blobs/{digest_of(blob)}").status_code == 404


def test_what_is_not_there_cannot_be_deleted(client: Client) -> None:
    refused(client.delete("manifests/missing"), 404, "MANIFEST_UNKNOWN")
    refused(client.delete(f"manifests/{UNKNOWN}"), 404, "MANIFEST_UNKNOWN")
    refused(client.delete(f"blobs/{UNKNOWN}"), 404, "BLOB_UNKNOWN")


def test_nothing_is_deleted_twice(client: Client) -> None:
    one = image(b"once")
    client.push(one, "latest")
    for path in ("manifests/latest", f"manifests/{one.digest}", f"blobs/{digest_of(b'once')}"):
        assert client.delete(path).status_code == 202
        refused(client.delete(path), 404)


def test_a_blob_that_a_manifest_names_stays(client: Client) -> None:
    one = image(b"needed")
    client.push(one)
    refused(client.delete(f"blobs/{digest_of(b'needed')}"), 405, "DENIED")
    assert client.get(f"blobs/{digest_of(b'needed')}").content == b"needed"


def test_a_blob_that_two_manifests_name_stays_for_the_second(client: Client) -> None:
    first, second = image(b"shared", b"one"), image(b"shared", b"two")
    for one in (first, second):
        client.push(one)
    assert client.delete(f"manifests/{first.digest}").status_code == 202
    refused(client.delete(f"blobs/{digest_of(b'shared')}"), 405, "DENIED")
    assert client.delete(f"manifests/{second.digest}").status_code == 202
    assert client.delete(f"blobs/{digest_of(b'shared')}").status_code == 202


def test_a_manifest_that_an_index_names_stays(client: Client) -> None:
    child = image(b"child")
    parent = index(child)
    for one in (child, parent):
        client.push(one)
    refused(client.delete(f"manifests/{child.digest}"), 405, "DENIED")
    assert client.get(f"manifests/{child.digest}").content == child.raw
    assert client.delete(f"manifests/{parent.digest}").status_code == 202
    assert client.delete(f"manifests/{child.digest}").status_code == 202


def test_other_repositories_keep_what_was_deleted_here(client: Client, other: Client) -> None:
    one = image(b"in both")
    for repository in (client, other):
        repository.push(one, "latest")
    client.delete(f"manifests/{one.digest}")
    client.delete(f"blobs/{digest_of(b'in both')}")
    assert other.get("manifests/latest").content == one.raw
    assert other.get(f"blobs/{digest_of(b'in both')}").content == b"in both"


def test_what_was_deleted_can_be_pushed_again(client: Client) -> None:
    one = image(b"back again")
    for _ in range(2):
        client.push(one, "latest")
        assert client.get("manifests/latest").content == one.raw
        assert client.get(f"blobs/{digest_of(b'back again')}").content == b"back again"
        client.delete(f"manifests/{one.digest}")
        for blob in one.blobs:
            assert client.delete(f"blobs/{digest_of(blob)}").status_code == 202
