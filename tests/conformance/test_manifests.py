"""Manifests of every kind: pushed by tag and by digest, and served back byte for byte."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
import requests

from tests.conformance.documents import (
    KINDS,
    Maker,
    digest_in,
    docker_list,
    docker_schema_2,
    index_of_images,
    of_size,
    plain_image,
    unknown_media_type,
)
from tests.conformance.ways import EMBEDDED, ONCE
from tests.support.client import Client, refused
from tests.support.content import (
    DOCKER_IMAGE,
    DOCKER_LIST,
    OCI_CONFIG,
    OCI_IMAGE,
    OCI_INDEX,
    OCI_LAYER,
    UNKNOWN,
    Document,
    descriptor,
    digest_of,
    document,
    image,
    index,
)

LIMIT = 4 * 1024 * 1024
EVERY_KIND = pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"


@EVERY_KIND
def test_every_kind_of_manifest_is_served_as_it_was_pushed(client: Client, make: Maker) -> None:
    family = make()
    family.push_what_it_needs(client)

    for reference in (family.top.digest, "kind"):
        answer = client.put_manifest(family.top, reference)

        assert answer.status_code == 201, answer.text
        assert answer.headers["Docker-Content-Digest"] == family.top.digest
        assert "OCI-Subject" not in answer.headers
        _serves(client, answer.headers["Location"], family.top)
        _serves(client, client.of(f"manifests/{reference}"), family.top)


def _serves(client: Client, url: str, expected: Document, algorithm: str = "sha256") -> None:
    head, answer = client.call("HEAD", url), client.call("GET", url)
    for one in (head, answer):
        assert one.status_code == 200
        assert one.headers["Content-Type"] == expected.media_type
        assert one.headers["Content-Length"] == str(len(expected.raw))
        assert one.headers["Docker-Content-Digest"] == digest_in(algorithm, expected)
    assert head.content == b""
    assert answer.content == expected.raw


@EMBEDDED
@EVERY_KIND
def test_every_kind_of_manifest_has_a_sha512_too(client: Client, make: Maker) -> None:
    family = make()
    family.push_what_it_needs(client)
    digest = digest_in("sha512", family.top)

    answer = client.put_manifest(family.top, digest)

    assert answer.status_code == 201, answer.text
    assert answer.headers["Docker-Content-Digest"] == digest
    assert urlsplit(answer.headers["Location"]).path == client.of(f"manifests/{digest}")
    _serves(client, answer.headers["Location"], family.top, "sha512")
    assert client.get(f"manifests/{family.top.digest}").status_code == 404


def test_an_image_of_sha512_throughout_is_served(client: Client) -> None:
    config, layer = b'{"os":"linux"}', b"a layer"
    for blob in (config, layer):
        client.push_blob(blob, "sha512")
    fields = {
        "config": descriptor(config, OCI_CONFIG, "sha512"),
        "layers": [descriptor(layer, OCI_LAYER, "sha512")],
    }
    one = document(OCI_IMAGE, fields)
    assert client.put_manifest(one, digest_in("sha512", one)).status_code == 201
    child = descriptor(one.raw, OCI_IMAGE, "sha512")
    parent = document(OCI_INDEX, {"manifests": [child]})
    assert client.put_manifest(parent, digest_in("sha512", parent)).status_code == 201
    _serves(client, client.of(f"manifests/{digest_in('sha512', parent)}"), parent, "sha512")


@pytest.mark.parametrize("reference", ["", "large"])
def test_a_manifest_may_have_four_mebibytes_and_no_more(client: Client, reference: str) -> None:
    client.push_blob(b"{}")
    largest = of_size(LIMIT)
    assert len(largest.raw) == LIMIT
    assert client.put_manifest(largest, reference).status_code == 201
    _serves(client, client.of(f"manifests/{reference or largest.digest}"), largest)

    too_large = of_size(LIMIT + 1)
    refused(client.put_manifest(too_large, reference), 413, "MANIFEST_INVALID")
    assert client.get(f"manifests/{too_large.digest}").status_code == 404


def test_a_manifest_of_unknown_length_is_measured_too(client: Client) -> None:
    """In chunked transfer coding, as a stream sends it."""
    client.push_blob(b"{}")
    for size, status in ((LIMIT, 201), (LIMIT + 1, 413)):
        one = of_size(size)
        headers = {"Content-Type": one.media_type}
        path = client.of(f"manifests/{one.digest}")
        answer = client.call("PUT", path, data=iter([one.raw]), headers=headers)
        assert answer.status_code == status


def test_a_manifest_that_hashes_otherwise_is_400_and_leaves_nothing(client: Client) -> None:
    family = plain_image()
    family.push_what_it_needs(client)
    altered = Document(family.top.raw + b"  ", family.top.media_type)
    for algorithm in ("sha256", "sha512"):
        digest = digest_in(algorithm, family.top)
        refused(client.put_manifest(altered, digest), 400, "DIGEST_INVALID")
        refused(client.get(f"manifests/{digest}"), 404, "MANIFEST_UNKNOWN")
    assert client.get(f"manifests/{altered.digest}").status_code == 404


@EMBEDDED
@pytest.mark.parametrize("digest", ["sha256:baddigeststring", "sha256:totallywrong", "md5:" + "0" * 32])
def test_a_malformed_digest_is_400(client: Client, digest: str) -> None:
    one = image()
    client.push(one)
    refused(client.put_manifest(one, digest), 400, "DIGEST_INVALID")
    refused(client.get(f"manifests/{digest}"), 400, "DIGEST_INVALID")
    assert client.head(f"manifests/{digest}").status_code == 400
    refused(client.delete(f"manifests/{digest}"), 400, "DIGEST_INVALID")


@pytest.mark.parametrize("reference", [UNKNOWN, digest_of(b"never pushed", "sha512"), "missing"])
def test_a_missing_manifest_is_404(client: Client, reference: str) -> None:
    client.push(image(), "latest")
    refused(client.get(f"manifests/{reference}"), 404, "MANIFEST_UNKNOWN")
    head = client.head(f"manifests/{reference}")
    assert (head.status_code, head.content) == (404, b"")


def test_every_missing_blob_is_named(client: Client) -> None:
    layers = [b"one", b"two", b"three"]
    client.push_blob(b"two")
    document = image(*layers)

    entries = refused(client.put_manifest(document), 400, "MANIFEST_BLOB_UNKNOWN")

    missing = {digest_of(blob) for blob in document.blobs if blob != b"two"}
    assert {entry["detail"]["digest"] for entry in entries} == missing
    assert client.get(f"manifests/{document.digest}").status_code == 404


def test_every_missing_child_is_named(client: Client) -> None:
    children = [image(b"one"), image(b"two"), image(b"three")]
    client.push(children[1])

    entries = refused(client.put_manifest(index(*children)), 400, "MANIFEST_BLOB_UNKNOWN")

    assert {entry["detail"]["digest"] for entry in entries} == {children[0].digest, children[2].digest}


def test_a_blob_of_another_repository_is_missing_here(client: Client, other: Client) -> None:
    document = image(b"elsewhere")
    other.push(document)
    refused(client.put_manifest(document), 400, "MANIFEST_BLOB_UNKNOWN")


def test_a_size_that_is_not_the_stored_one_is_refused(client: Client) -> None:
    config, layer = b"{}", b"honest"
    for blob in (config, layer):
        client.push_blob(blob)
    fields = {
        "config": descriptor(config, OCI_CONFIG),
        "layers": [{**descriptor(layer, OCI_LAYER), "size": 5}],
    }
    lying = document(OCI_IMAGE, fields)
    entries = refused(client.put_manifest(lying), 400, "SIZE_INVALID")
    assert [entry["detail"]["digest"] for entry in entries] == [digest_of(layer)]


@EMBEDDED
def test_parameters_of_the_content_type_are_left_out(client: Client) -> None:
    one = image()
    client.push(one)
    for number, media_type in enumerate((f"{OCI_IMAGE}; charset=utf-8", f"{OCI_IMAGE};v=1 ; q=0")):
        answer = client.put_manifest(one, f"v{number}", headers={"Content-Type": media_type})
        assert answer.status_code == 201
        assert client.head(f"manifests/v{number}").headers["Content-Type"] == OCI_IMAGE


@EMBEDDED
def test_a_content_type_that_contradicts_the_document_is_refused(client: Client) -> None:
    one = image()
    client.push(one)
    answer = client.put_manifest(one, "latest", headers={"Content-Type": OCI_INDEX})
    refused(answer, 400, "MANIFEST_INVALID")


@EMBEDDED
def test_a_manifest_that_says_no_media_type_is_served_under_that_of_its_push(client: Client) -> None:
    client.push_blob(b"{}")
    raw = b'{"schemaVersion":2,"config":{"mediaType":"%s","digest":"%s","size":2},"layers":[]}' % (
        OCI_CONFIG.encode(),
        digest_of(b"{}").encode(),
    )
    for media_type in (OCI_IMAGE, DOCKER_IMAGE):
        one = Document(raw + b" " * len(media_type), media_type)
        assert client.put_manifest(one).status_code == 201
        _serves(client, client.of(f"manifests/{one.digest}"), one)


@EMBEDDED
@pytest.mark.parametrize(
    "raw", [b"", b"not json", b"[]", b'"text"', b"null", b"\xff\xfe", b'{"layers": 5}', b'{"config": {}}']
)
def test_what_is_no_manifest_is_refused(client: Client, raw: bytes) -> None:
    for reference in (digest_of(raw), "latest"):
        refused(client.put_manifest(Document(raw, OCI_IMAGE), reference), 400, "MANIFEST_INVALID")


@EMBEDDED
def test_schema_1_is_refused(client: Client) -> None:
    one = Document(b'{"schemaVersion": 1, "name": "x", "tag": "latest"}', SCHEMA_1)
    refused(client.put_manifest(one, "latest"), 400, "MANIFEST_INVALID")


@EMBEDDED
@pytest.mark.parametrize(
    ("make", "accepted"),
    [
        (docker_schema_2, OCI_IMAGE),
        (docker_list, DOCKER_IMAGE),
        (docker_list, f"{OCI_INDEX}, {OCI_IMAGE};q=0.5"),
        (index_of_images, OCI_IMAGE),
        (plain_image, f"{DOCKER_LIST}, {DOCKER_IMAGE}"),
        (unknown_media_type, "application/json"),
        (plain_image, "text/html"),
        (plain_image, "*/*"),
    ],
)
def test_nothing_is_converted_whatever_the_client_accepts(client: Client, make: Maker, accepted: str) -> None:
    family = make()
    family.push_what_it_needs(client)
    client.put_manifest(family.top, "latest")
    for method in ("HEAD", "GET"):
        answer = client.call(method, client.of("manifests/latest"), headers={"Accept": accepted})
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == family.top.media_type
        assert answer.headers["Docker-Content-Digest"] == family.top.digest
    assert answer.content == family.top.raw


def test_pushing_a_manifest_again_is_no_error(client: Client) -> None:
    one = image(b"again")
    client.push(one, "latest")
    for reference in ("latest", one.digest, "latest"):
        assert client.put_manifest(one, reference).status_code == 201
    assert client.get("tags/list").json()["tags"] == ["latest"]


def test_a_tag_moves_to_what_was_pushed_last(client: Client) -> None:
    first, second = image(b"first"), image(b"second")
    for one in (first, second):
        client.push(one, "latest")
        assert client.get("manifests/latest").content == one.raw
    assert client.get(f"manifests/{first.digest}").content == first.raw


@ONCE
def test_an_image_may_have_127_layers(client: Client) -> None:
    """More than one transaction can count."""
    one = image(*(b"layer %d" % number for number in range(127)))
    client.push(one, "deep")
    _serves(client, client.of("manifests/deep"), one)
    refused(client.delete(f"blobs/{digest_of(b'layer 126')}"), 405, "DENIED")
    assert client.delete(f"manifests/{one.digest}").status_code == 202
    refused(client.get("manifests/deep"), 404, "MANIFEST_UNKNOWN")
    assert client.delete(f"blobs/{digest_of(b'layer 126')}").status_code == 202


@ONCE
def test_an_index_may_have_500_children(client: Client) -> None:
    client.push_blob(b"{}")
    children = [image(config=b"{}", annotations={"org.example.number": str(n)}) for n in range(500)]
    for child in children:
        assert client.put_manifest(child).status_code == 201
    parent = index(*children)

    assert client.put_manifest(parent, "wide").status_code == 201

    _serves(client, client.of("manifests/wide"), parent)
    refused(client.delete(f"manifests/{children[-1].digest}"), 405, "DENIED")
    assert client.delete(f"manifests/{parent.digest}").status_code == 202
    assert client.delete(f"manifests/{children[-1].digest}").status_code == 202


def _pushed(answer: requests.Response, *tags: str) -> bool:
    named = {tag.strip() for tag in answer.headers["OCI-Tag"].split(",")}
    return answer.status_code == 201 and named == set(tags)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_push_by_digest_may_set_several_tags(client: Client, algorithm: str) -> None:
    family = index_of_images()
    family.push_what_it_needs(client)
    digest = digest_in(algorithm, family.top)

    answer = client.put_manifest(family.top, digest, params={"tag": ["v1.2.3", "v1.2", "v1"]})

    assert _pushed(answer, "v1.2.3", "v1.2", "v1")
    assert client.get("tags/list").json()["tags"] == ["v1", "v1.2", "v1.2.3"]
    for tag in ("v1", "v1.2", "v1.2.3"):
        _serves(client, client.of(f"manifests/{tag}"), family.top, algorithm)


def test_tags_can_be_added_to_a_manifest_that_is_there(client: Client) -> None:
    one = image()
    client.push(one, "old")
    assert _pushed(client.put_manifest(one, one.digest, params={"tag": "new"}), "new")
    assert client.get("tags/list").json()["tags"] == ["new", "old"]


def test_a_push_without_tag_parameters_names_none(client: Client) -> None:
    one = image()
    client.push(one)
    assert "OCI-Tag" not in client.put_manifest(one, "latest").headers


@EMBEDDED
def test_a_tag_parameter_that_is_none_refuses_the_whole_push(client: Client) -> None:
    one = image()
    client.push_blob(one.blobs[0])
    answer = client.put_manifest(one, one.digest, params={"tag": ["good", "-bad"]})
    refused(answer, 400, "MANIFEST_INVALID")
    assert client.get(f"manifests/{one.digest}").status_code == 404
    assert client.get("manifests/good").status_code == 404


@EMBEDDED
@pytest.mark.parametrize("tag", ["a", "A", "_", "9", "v1.2-rc_3", "a" * 128, "latest.", "a--b__c..d"])
def test_a_tag_of_the_grammar_is_taken(client: Client, tag: str) -> None:
    one = image()
    client.push(one, tag)
    _serves(client, client.of(f"manifests/{tag}"), one)


@EMBEDDED
@pytest.mark.parametrize("tag", ["a" * 129, ".hidden", "-dash", "a+b", "a b", "é", "a,b", "a@b", "~"])
def test_a_tag_outside_the_grammar_is_refused(client: Client, tag: str) -> None:
    one = image()
    client.push(one)
    refused(client.put_manifest(one, tag), 400, "MANIFEST_INVALID")
    refused(client.get(f"manifests/{tag}"), {400, 404}, {"MANIFEST_INVALID", "MANIFEST_UNKNOWN"})
