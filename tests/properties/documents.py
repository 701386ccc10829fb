"""A few manifests over a few blobs, made to overlap: every case that holding content has to tell apart."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from chalicelib.registry.stores import Held
from chalicelib.spec.digest import Digest
from chalicelib.spec.manifest import OCI_IMAGE, OCI_INDEX, Manifest, parse_manifest

BLOBS: Final = [f"blob {number}".encode() for number in range(11)]
CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"
# Longer than the INLINE_LIMIT that the properties run with.
LARGE: Final = "x" * 4000


@dataclass(frozen=True, eq=False)
class Document:
    """A parsed manifest and what it names; equal only to itself."""

    name: str
    manifest: Manifest

    def __repr__(self) -> str:
        return self.name

    @property
    def digest(self) -> Digest:
        return Digest.of(self.manifest.raw)

    def holds(self) -> set[Held]:
        """What it may name, either way where that is unclear."""
        blobs = (*self.manifest.blobs, *self.manifest.unclear)
        children = (*self.manifest.children, *self.manifest.unclear)
        return {Held(one.digest, is_manifest=False) for one in blobs} | {
            Held(one.digest, is_manifest=True) for one in children
        }

    @property
    def blobs(self) -> set[Digest]:
        return {descriptor.digest for descriptor in self.manifest.blobs}

    @property
    def children(self) -> set[Digest]:
        return {descriptor.digest for descriptor in self.manifest.children}


def entry(content: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": Digest.of(content), "size": len(content)}


def image(name: str, layers: list[bytes], **more: Any) -> Document:
    fields = {
        "config": entry(layers[0], CONFIG_TYPE),
        "layers": [entry(layer, LAYER_TYPE) for layer in layers[1:]],
        **more,
    }
    return _document(name, OCI_IMAGE, fields)


def index(name: str, children: list[Document], media_type: str = OCI_IMAGE, **more: Any) -> Document:
    fields = {"manifests": [entry(child.manifest.raw, media_type) for child in children], **more}
    return _document(name, OCI_INDEX, fields)


def _document(name: str, media_type: str, fields: dict[str, Any]) -> Document:
    raw = json.dumps({"schemaVersion": 2, "mediaType": media_type, **fields}).encode()
    return Document(name, parse_manifest(raw, media_type))


def subject_of(document: Document) -> dict[str, Any]:
    return entry(document.manifest.raw, document.manifest.media_type)


SMALL = image("small", BLOBS[:2])
OTHER = image("other", BLOBS[1:3])
# These hold more than one transaction may count: they are staged.
BIG = image("big", BLOBS[:10])
BIG_OTHER = image("big-other", BLOBS[2:11], annotations={"large": LARGE})
SPILLED = image("spilled", BLOBS[:1], annotations={"large": LARGE})
INDEX = index("index", [SMALL, OTHER])
NESTED = index("nested", [SMALL, INDEX], media_type=OCI_INDEX)
WIDE = index("wide", [SMALL, OTHER, BIG, BIG_OTHER, SPILLED, INDEX, NESTED], annotations={"large": LARGE})
SIGNATURE = image("signature", BLOBS[:1], subject=subject_of(SMALL), artifactType="a/signature")
BIG_SBOM = image("big-sbom", BLOBS[:9], subject=subject_of(BIG), artifactType="a/sbom")
# Its entries have a type that says neither blob nor manifest.
UNCLEAR = index("unclear", [SMALL, OTHER], media_type="application/x-unknown")

DOCUMENTS: Final = [
    SMALL,
    OTHER,
    BIG,
    BIG_OTHER,
    SPILLED,
    INDEX,
    NESTED,
    WIDE,
    SIGNATURE,
    BIG_SBOM,
    UNCLEAR,
]
# Goes in one transaction, but for what is kept of it.
MIDDLE: Final = image("middle", BLOBS[:4], annotations={"large": LARGE})
BY_DIGEST: Final = {document.digest: document for document in (*DOCUMENTS, MIDDLE)}
# What may be pushed as a blob: the manifest too that UNCLEAR names.
CONTENTS: Final = [*BLOBS, SMALL.manifest.raw]
