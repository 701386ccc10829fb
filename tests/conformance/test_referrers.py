"""Referrers: what names a manifest as its subject, filtered and in pages."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.conformance.documents import digest_in
from tests.conformance.ways import EMBEDDED
from tests.support.client import Client, refused
from tests.support.content import (
    OCI_CONFIG,
    OCI_IMAGE,
    OCI_INDEX,
    UNKNOWN,
    Document,
    artifact,
    digest_of,
    image,
    index,
)

SBOM = "application/vnd.example.sbom.v1"
SIGNATURE = "application/vnd.example.signature.v1+json; v=2"
NOTE = {"org.example.note": 'Grüße, "quoted"'}


def _list(client: Client, digest: str, **params: str) -> list[dict[str, Any]]:
    answer = client.get(f"referrers/{digest}", params=params)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == OCI_INDEX
    listed = answer.json()
    assert (listed["schemaVersion"], listed["mediaType"]) == (2, OCI_INDEX)
    return list(listed["manifests"])


def _by_digest(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["digest"]: entry for entry in entries}


@pytest.fixture
def subject(client: Client) -> Document:
    one = image(b"the subject")
    client.push(one, "latest")
    return one


@pytest.mark.parametrize("digest", [UNKNOWN, digest_of(b"x", "sha512")], ids=["sha256", "sha512"])
def test_an_unknown_subject_has_no_referrers(client: Client, digest: str) -> None:
    """Even in a repository that nothing was ever pushed to."""
    assert _list(client, digest) == []
    assert _list(client, digest, artifactType=SBOM) == []


def test_a_manifest_without_referrers_has_an_empty_list(client: Client, subject: Document) -> None:
    assert _list(client, subject.digest) == []
    head, answer = client.head(f"referrers/{subject.digest}"), client.get(f"referrers/{subject.digest}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(answer.content))


@EMBEDDED
@pytest.mark.parametrize("digest", ["sha256:short", "latest", "md5:" + "0" * 32, "sha256:" + "G" * 64])
def test_a_subject_that_is_no_digest_is_400(client: Client, digest: str) -> None:
    refused(client.get(f"referrers/{digest}"), 400, "DIGEST_INVALID")


def test_a_referrer_is_described_in_full(client: Client, subject: Document) -> None:
    one = artifact(SBOM, b"an sbom", subject=subject.descriptor(), annotations=NOTE)
    client.push(one)
    assert _list(client, subject.digest) == [
        {
            "mediaType": OCI_IMAGE,
            "digest": one.digest,
            "size": len(one.raw),
            "artifactType": SBOM,
            "annotations": NOTE,
        }
    ]


def test_an_image_without_artifact_type_is_listed_by_that_of_its_config(
    client: Client, subject: Document
) -> None:
    one = image(b"derived", subject=subject.descriptor())
    client.push(one)
    (entry,) = _list(client, subject.digest)
    assert (entry["digest"], entry["artifactType"]) == (one.digest, OCI_CONFIG)
    assert _list(client, subject.digest, artifactType=OCI_CONFIG) == [entry]


def test_an_index_is_a_referrer_too(client: Client, subject: Document) -> None:
    child = image(b"child")
    client.push(child)
    typed = index(child, subject=subject.descriptor(), artifactType=SBOM, annotations=NOTE)
    untyped = index(child, subject=subject.descriptor())
    for one in (typed, untyped):
        client.push(one)
    entries = _by_digest(_list(client, subject.digest))
    assert entries[typed.digest]["artifactType"] == SBOM
    assert entries[typed.digest]["annotations"] == NOTE
    assert entries[typed.digest]["mediaType"] == OCI_INDEX
    assert "artifactType" not in entries[untyped.digest]


@pytest.mark.parametrize("reference", ["", "signed"])
def test_a_push_names_its_subject(client: Client, subject: Document, reference: str) -> None:
    one = artifact(SBOM, subject=subject.descriptor())
    client.push_blob(b"{}")
    answer = client.put_manifest(one, reference)
    assert answer.headers["OCI-Subject"] == subject.digest
    again = client.put_manifest(one, reference)
    assert again.headers["OCI-Subject"] == subject.digest
    assert [entry["digest"] for entry in _list(client, subject.digest)] == [one.digest]


def test_a_subject_may_come_after_its_referrers(client: Client) -> None:
    subject = image(b"later")
    one = artifact(SBOM, subject=subject.descriptor())
    client.push_blob(b"{}")

    answer = client.put_manifest(one)

    assert answer.status_code == 201
    assert answer.headers["OCI-Subject"] == subject.digest
    listed = _list(client, subject.digest)
    assert [entry["digest"] for entry in listed] == [one.digest]
    client.push(subject)
    assert _list(client, subject.digest) == listed


def test_a_subject_may_have_a_sha512(client: Client) -> None:
    subject = image(b"sha512")
    for blob in subject.blobs:
        client.push_blob(blob)
    digest = digest_in("sha512", subject)
    client.put_manifest(subject, digest)
    one = artifact(SBOM, subject={**subject.descriptor(), "digest": digest})
    client.push_blob(b"{}")
    answer = client.put_manifest(one, digest_in("sha512", one))
    assert answer.headers["OCI-Subject"] == digest
    assert [entry["digest"] for entry in _list(client, digest)] == [digest_in("sha512", one)]
    assert _list(client, subject.digest) == []


def test_only_the_asked_artifact_type_is_listed(client: Client, subject: Document) -> None:
    kinds = [SBOM, SIGNATURE, SBOM]
    pushed = [artifact(kind, os.urandom(9), subject=subject.descriptor()) for kind in kinds]
    pushed.append(image(b"config typed", subject=subject.descriptor()))
    for one in pushed:
        client.push(one)

    for kind, wanted in ((SBOM, {0, 2}), (SIGNATURE, {1}), (OCI_CONFIG, {3}), ("text/none", set())):
        answer = client.get(f"referrers/{subject.digest}", params={"artifactType": kind})
        assert answer.headers["OCI-Filters-Applied"] == "artifactType"
        assert answer.headers["Content-Type"] == OCI_INDEX
        listed = {entry["digest"] for entry in answer.json()["manifests"]}
        assert listed == {pushed[number].digest for number in wanted}

    everything = client.get(f"referrers/{subject.digest}")
    assert "OCI-Filters-Applied" not in everything.headers
    assert len(everything.json()["manifests"]) == len(pushed)


def test_a_deleted_referrer_leaves_the_list(client: Client, subject: Document) -> None:
    stays, goes = (artifact(SBOM, os.urandom(9), subject=subject.descriptor()) for _ in range(2))
    for one in (stays, goes):
        client.push(one)
    assert client.delete(f"manifests/{goes.digest}").status_code == 202
    assert [entry["digest"] for entry in _list(client, subject.digest)] == [stays.digest]


def test_referrers_outlive_their_subject(client: Client, subject: Document) -> None:
    one = artifact(SBOM, subject=subject.descriptor())
    client.push(one)
    assert client.delete(f"manifests/{subject.digest}").status_code == 202
    assert [entry["digest"] for entry in _list(client, subject.digest)] == [one.digest]
    assert client.get(f"manifests/{one.digest}").status_code == 200


def test_referrers_are_those_of_their_repository(client: Client, other: Client, subject: Document) -> None:
    other.push(artifact(SBOM, subject=subject.descriptor()))
    assert _list(client, subject.digest) == []
    assert len(_list(other, subject.digest)) == 1


@pytest.mark.parametrize("artifact_type", ["", SBOM])
def test_many_referrers_come_in_pages(client: Client, subject: Document, artifact_type: str) -> None:
    """Each entry here fills a good part of a page, so that a few make several."""
    client.push_blob(b"{}")
    wanted = set()
    for number in range(7):
        kind = SBOM if number % 2 else SIGNATURE
        annotations = {"org.example.padding": f"{number}" * 250_000}
        one = artifact(kind, subject=subject.descriptor(), annotations=annotations)
        assert client.put_manifest(one).status_code == 201
        if artifact_type in {"", kind}:
            wanted.add(one.digest)

    params = {"artifactType": artifact_type} if artifact_type else {}
    answer = client.get(f"referrers/{subject.digest}", params=params)
    listed, pages = [entry["digest"] for entry in answer.json()["manifests"]], 1
    while "next" in answer.links:
        answer = client.call("GET", answer.links["next"]["url"])
        assert answer.headers["Content-Type"] == OCI_INDEX
        assert answer.headers.get("OCI-Filters-Applied", "") == ("artifactType" if artifact_type else "")
        listed += [entry["digest"] for entry in answer.json()["manifests"]]
        pages += 1

    assert pages > 1
    assert len(listed) == len(wanted)
    assert set(listed) == wanted


@EMBEDDED
def test_annotations_too_large_to_list_are_refused(client: Client, subject: Document) -> None:
    client.push_blob(b"{}")
    annotations = {"org.example.padding": "A" * 300_000}
    one = artifact(SBOM, subject=subject.descriptor(), annotations=annotations)
    refused(client.put_manifest(one), 413, "MANIFEST_INVALID")
    assert _list(client, subject.digest) == []
