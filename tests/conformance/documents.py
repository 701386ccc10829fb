"""The kinds of manifest that a registry must take, each with what has to be pushed before it."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.client import Client
from tests.support.content import (
    DOCKER_LIST,
    OCI_CONFIG,
    OCI_IMAGE,
    OCI_LAYER,
    Document,
    artifact,
    descriptor,
    digest_of,
    docker_image,
    document,
    image,
    index,
)

ARTIFACT_TYPE = "application/vnd.example.sbom.v1"
NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar"
GZIPPED = f"{OCI_LAYER}+gzip"


@dataclass(frozen=True)
class Family:
    """A document and those it needs, in the order to push them."""

    top: Document
    children: tuple[Document, ...] = ()

    def push_what_it_needs(self, client: Client) -> None:
        for child in self.children:
            client.push(child)
        for blob in dict.fromkeys(self.top.blobs):
            client.push_blob(blob)


def plain_image() -> Family:
    return Family(image(os.urandom(20), os.urandom(20)))


def image_without_layers() -> Family:
    return Family(image())


def image_with_compressed_layers() -> Family:
    layer = b"\x1f\x8b" + os.urandom(20)
    config = _config()
    fields = {"config": descriptor(config, OCI_CONFIG), "layers": [descriptor(layer, GZIPPED)]}
    return Family(document(OCI_IMAGE, fields, config, layer))


def image_with_layers_that_stay_elsewhere() -> Family:
    """Non-distributable layers are never pushed, and no registry may ask for them."""
    config, layer = _config(), os.urandom(20)
    elsewhere = [
        {
            **descriptor(os.urandom(9), media_type),
            "urls": ["https://layers.example/blob"],
            "size": 123_456,
        }
        for media_type in (NONDISTRIBUTABLE, f"{NONDISTRIBUTABLE}+gzip")
    ]
    fields = {
        "config": descriptor(config, OCI_CONFIG),
        "layers": [*elsewhere, descriptor(layer, OCI_LAYER)],
    }
    return Family(document(OCI_IMAGE, fields, config, layer))


def image_with_embedded_data() -> Family:
    config, layer = _config(), os.urandom(20)

    def embedded(content: bytes, media_type: str) -> dict[str, object]:
        return descriptor(content, media_type, data=base64.b64encode(content).decode())

    fields = {"config": embedded(config, OCI_CONFIG), "layers": [embedded(layer, OCI_LAYER)]}
    return Family(document(OCI_IMAGE, fields, config, layer))


def image_of_almost_four_megabytes() -> Family:
    annotations = {f"org.example.large-{number}": "A" * 10_000 for number in range(390)}
    return Family(image(os.urandom(20), annotations=annotations))


def image_with_custom_fields() -> Family:
    return Family(image(os.urandom(20), **{"org.example.custom": {"nested": [1, None, "é"]}, "x": 1.5}))


def artifact_with_layers() -> Family:
    return Family(artifact(ARTIFACT_TYPE, os.urandom(20), os.urandom(20)))


def artifact_without_layers() -> Family:
    return Family(artifact(ARTIFACT_TYPE))


def index_of_images() -> Family:
    children = (image(os.urandom(20)), image(os.urandom(20)))
    return Family(index(*children), children)


def index_of_nothing() -> Family:
    return Family(index(annotations={"org.example.id": os.urandom(8).hex()}))


def index_of_indexes() -> Family:
    images = (image(os.urandom(20)), image(os.urandom(20)))
    indexes = tuple(index(one) for one in images)
    return Family(index(*indexes), images + indexes)


def index_of_artifacts() -> Family:
    children = (artifact(ARTIFACT_TYPE, os.urandom(20)), artifact(ARTIFACT_TYPE, os.urandom(20)))
    return Family(index(*children, artifactType=ARTIFACT_TYPE), children)


def index_with_custom_fields() -> Family:
    child = image(os.urandom(20), custom="child")
    return Family(index(child, custom={"of": "index"}), (child,))


def docker_schema_2() -> Family:
    return Family(docker_image(os.urandom(20), os.urandom(20)))


def docker_list() -> Family:
    children = (docker_image(os.urandom(20)), docker_image(os.urandom(20)))
    return Family(index(*children, media_type=DOCKER_LIST), children)


def unknown_media_type() -> Family:
    """Odd spacing, escapes and a repeated key: none of it is the registry's business."""
    raw = (
        b'{ "what" :\t"\\u00e9 \xc3\xa9" ,\r\n"n": 1e2, "n": 2, "id": "%s" }  \n'
        % os.urandom(8).hex().encode()
    )
    return Family(Document(raw, "application/vnd.example.unheard-of.v7+json"))


Maker = Callable[[], Family]

KINDS: tuple[Maker, ...] = (
    plain_image,
    image_without_layers,
    image_with_compressed_layers,
    image_with_layers_that_stay_elsewhere,
    image_with_embedded_data,
    image_of_almost_four_megabytes,
    image_with_custom_fields,
    artifact_with_layers,
    artifact_without_layers,
    index_of_images,
    index_of_nothing,
    index_of_indexes,
    index_of_artifacts,
    index_with_custom_fields,
    docker_schema_2,
    docker_list,
    unknown_media_type,
)


def of_size(size: int) -> Document:
    """An image manifest of exactly so many bytes; its config is `{}`."""
    fields = {
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": descriptor(b"{}", OCI_CONFIG),
        "layers": [],
        "annotations": {"org.example.padding": ""},
    }
    bare = json.dumps(fields)
    padding = "A" * (size - len(bare))
    raw = bare.replace('"org.example.padding": ""', f'"org.example.padding": "{padding}"').encode()
    return Document(raw, OCI_IMAGE, (b"{}",))


def digest_in(algorithm: str, one: Document) -> str:
    return digest_of(one.raw, algorithm)


def _config() -> bytes:
    return json.dumps({"architecture": "amd64", "os": "linux", "id": os.urandom(8).hex()}).encode()
