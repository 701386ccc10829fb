"""Manifests of every type, and what is no manifest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.manifest import (
    DOCKER_IMAGE,
    DOCKER_LIST,
    OCI_IMAGE,
    OCI_INDEX,
    SIZE_LIMIT,
    Manifest,
    parse_manifest,
)

LAYER = "application/vnd.oci.image.layer.v1.tar"


def parsed(document: object, content_type: str = "") -> Manifest:
    return parse_manifest(json.dumps(document).encode(), content_type)


def descriptor(content: bytes, media_type: str = LAYER, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": Digest.of(content), "size": len(content), **more}


def refused(document: object, content_type: str = "") -> RegistryError:
    with pytest.raises(RegistryError) as error:
        parsed(document, content_type)
    return error.value


def test_an_image_names_its_config_and_layers_once() -> None:
    manifest = parsed(
        {"config": descriptor(b"{}"), "layers": [descriptor(b"a"), descriptor(b"a"), descriptor(b"b")]},
        OCI_IMAGE,
    )
    assert [one.digest for one in manifest.blobs] == [Digest.of(one) for one in (b"{}", b"a", b"b")]


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ],
)
def test_foreign_layers_need_not_be_here(media_type: str) -> None:
    manifest = parsed({"config": descriptor(b"{}"), "layers": [descriptor(b"far", media_type)]}, OCI_IMAGE)
    assert [one.digest for one in manifest.blobs] == [Digest.of(b"{}")]


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_an_index_names_its_children(media_type: str) -> None:
    manifest = parsed({"manifests": [descriptor(b"a", OCI_IMAGE), descriptor(b"b", LAYER)]}, media_type)
    assert [one.digest for one in manifest.children] == [Digest.of(b"a")]
    assert [one.digest for one in manifest.unclear] == [Digest.of(b"b")]


def test_content_type_parameters_are_ignored() -> None:
    assert parsed({}, f"{OCI_IMAGE}; charset=utf-8").media_type == OCI_IMAGE


def test_an_unknown_media_type_is_kept() -> None:
    assert (
        parsed({"anything": 1}, "application/vnd.example+json").media_type == "application/vnd.example+json"
    )


def test_two_media_types_are_refused() -> None:
    assert refused({"mediaType": OCI_IMAGE}, DOCKER_IMAGE).code is ErrorCode.MANIFEST_INVALID


@pytest.mark.parametrize(
    ("document", "artifact_type"),
    [
        ({"artifactType": "a/b", "config": descriptor(b"{}", "c/d")}, "a/b"),
        ({"config": descriptor(b"{}", "c/d")}, "c/d"),
        ({"manifests": []}, ""),
    ],
)
def test_artifact_type_falls_back_to_the_config(document: dict[str, Any], artifact_type: str) -> None:
    assert parsed(document).artifact_type == artifact_type


def test_a_referrer_is_described_with_its_annotations() -> None:
    manifest = parsed(
        {"artifactType": "a/b", "annotations": {"k": "v"}, "subject": descriptor(b"s")}, OCI_IMAGE
    )
    entry = manifest.referrer_descriptor(Digest.of(b"x"))
    assert entry == {
        "mediaType": OCI_IMAGE,
        "digest": Digest.of(b"x"),
        "size": len(manifest.raw),
        "artifactType": "a/b",
        "annotations": {"k": "v"},
    }


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000],
    ids=["empty", "open", "list", "null", "text", "not utf-8", "deep list", "deep object"],
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(RegistryError) as error:
        parse_manifest(raw, OCI_IMAGE)
    assert (error.value.code, error.value.status) == (ErrorCode.MANIFEST_INVALID, 400)


def test_over_the_limit_is_413() -> None:
    with pytest.raises(RegistryError) as error:
        parse_manifest(b" " * (SIZE_LIMIT + 1), OCI_IMAGE)
    assert error.value.status == 413


@pytest.mark.parametrize(
    "layer",
    [
        "text",
        {},
        {"digest": Digest.of(b""), "mediaType": LAYER},
        {"digest": Digest.of(b""), "mediaType": LAYER, "size": -1},
        {"digest": Digest.of(b""), "mediaType": LAYER, "size": True},
        {"digest": Digest.of(b""), "mediaType": LAYER, "size": 1.5},
        {"digest": 7, "mediaType": LAYER, "size": 1},
        {"digest": Digest.of(b""), "mediaType": 7, "size": 1},
    ],
)
def test_what_is_no_descriptor_is_refused(layer: object) -> None:
    assert refused({"layers": [layer]}, OCI_IMAGE).code is ErrorCode.MANIFEST_INVALID


def test_a_descriptor_with_a_bad_digest_is_refused() -> None:
    assert refused({"config": {**descriptor(b""), "digest": "sha256:x"}}).code is ErrorCode.DIGEST_INVALID


def test_schema_1_is_refused_with_advice() -> None:
    error = refused({}, "application/vnd.docker.distribution.manifest.v1+prettyjws")
    assert "schema 2" in error.message


def test_annotations_that_no_edge_row_can_hold_are_refused() -> None:
    document = {"subject": descriptor(b"s"), "annotations": {"k": "v" * 300_000}}
    assert refused(document, OCI_IMAGE).status == 413


@pytest.mark.parametrize("sizes", [(999, 5), (5, 999)])
def test_one_digest_with_two_sizes_is_kept_with_both(sizes: tuple[int, int]) -> None:
    layers = [{**descriptor(b"12345"), "size": size} for size in sizes]
    assert {one.size for one in parsed({"layers": layers}, OCI_IMAGE).blobs} == set(sizes)


@pytest.mark.parametrize(
    "raw",
    [
        '{"schemaVersion": 2}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b'{"annotations": {"k": "\xff"}}',
        b'{"size": NaN}',
        b'{"size": -Infinity}',
        b'{"layers": [], "layers": []}',
        b'{"config": {"size": 1, "size": 2}}',
        b'{"Layers": []}',
        b'{"layers": [{"Digest": "x"}]}',
        b'{"schemaVersion": 1}',
        b'{"schemaVersion": "2"}',
    ],
    ids=[
        "utf-16",
        "bom",
        "not utf-8",
        "nan",
        "infinity",
        "twice",
        "twice below",
        "case",
        "case below",
        "1",
        "text",
    ],
)
def test_what_two_readers_would_read_differently_is_refused(raw: bytes) -> None:
    with pytest.raises(RegistryError) as error:
        parse_manifest(raw, OCI_IMAGE)
    assert (error.value.code, error.value.status) == (ErrorCode.MANIFEST_INVALID, 400)


def test_names_in_annotations_are_the_publishers_own() -> None:
    assert parsed({"annotations": {"Size": "1", "size": "2"}}, OCI_IMAGE).annotations == {
        "Size": "1",
        "size": "2",
    }


@pytest.mark.parametrize(
    "content_type", ["json", "text/", "/json", "a/b/c", "text/html, x/y", "te xt/html", "é/x"]
)
def test_what_is_no_media_type_is_refused(content_type: str) -> None:
    assert refused({}, content_type).code is ErrorCode.MANIFEST_INVALID


_KEYS = st.sampled_from(
    "config layers manifests subject digest size mediaType annotations blobs".split()  # noqa: SIM905
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(_JSON)
def test_any_json_is_read_or_refused(document: object) -> None:
    refused = None
    try:
        parsed(document)
    except RegistryError as error:
        refused = error
    assert refused is None or refused.status in {400, 413}
