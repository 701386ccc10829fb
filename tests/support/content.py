"""Makers of blobs, images, indexes and artifacts."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import Any

OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

UNKNOWN = "sha256:" + hashlib.sha256(b"never pushed").hexdigest()


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def random_bytes(size: int) -> bytes:
    return os.urandom(size)


def descriptor(content: bytes, media_type: str, algorithm: str = "sha256", **more: Any) -> dict[str, Any]:
    return {
        "mediaType": media_type,
        "digest": digest_of(content, algorithm),
        "size": len(content),
        **more,
    }


@dataclass(frozen=True)
class Document:
    """A manifest: its bytes, media type and the blobs it names."""

    raw: bytes
    media_type: str
    blobs: tuple[bytes, ...] = ()

    @property
    def digest(self) -> str:
        return digest_of(self.raw)

    def descriptor(self, **more: Any) -> dict[str, Any]:
        return descriptor(self.raw, self.media_type, **more)


def document(media_type: str, fields: dict[str, Any], *blobs: bytes) -> Document:
    raw = json.dumps({"schemaVersion": 2, "mediaType": media_type, **fields}, indent=1).encode()
    return Document(raw, media_type, blobs)


def image(*layers: bytes, config: bytes = b"", **more: Any) -> Document:
    """An OCI image; a config of its own unless one is given."""
    config = (
        config or json.dumps({"architecture": "amd64", "os": "linux", "id": os.urandom(8).hex()}).encode()
    )
    fields = {
        "config": descriptor(config, OCI_CONFIG),
        "layers": [descriptor(layer, OCI_LAYER) for layer in layers],
        **more,
    }
    return document(OCI_IMAGE, fields, config, *layers)


def docker_image(*layers: bytes) -> Document:
    config = json.dumps({"id": os.urandom(8).hex()}).encode()
    fields = {
        "config": descriptor(config, DOCKER_CONFIG),
        "layers": [descriptor(layer, DOCKER_LAYER) for layer in layers],
    }
    return document(DOCKER_IMAGE, fields, config, *layers)


def index(*children: Document, media_type: str = OCI_INDEX, **more: Any) -> Document:
    return document(media_type, {"manifests": [child.descriptor() for child in children], **more})


def artifact(
    artifact_type: str, *layers: bytes, subject: dict[str, Any] | None = None, **more: Any
) -> Document:
    """An artifact with the empty config, as the image specification advises."""
    fields: dict[str, Any] = {
        "artifactType": artifact_type,
        "config": descriptor(b"{}", OCI_EMPTY),
        "layers": [descriptor(layer, "application/octet-stream") for layer in layers or (b"{}",)],
        **more,
    }
    if subject is not None:
        fields["subject"] = subject
    return document(OCI_IMAGE, fields, b"{}", *layers)
