"""Manifests: which descriptors a document names, and what a referrer's descriptor says of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError

SIZE_LIMIT: Final = 4 * 1024 * 1024
REFERRER_ANNOTATIONS_LIMIT: Final = 256 * 1024

OCI_IMAGE: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_ARTIFACT: Final = "application/vnd.oci.artifact.manifest.v1+json"
DOCKER_IMAGE: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST_TYPES: Final = frozenset({OCI_IMAGE, OCI_INDEX, OCI_ARTIFACT, DOCKER_IMAGE, DOCKER_LIST})
# `type-name "/" subtype-name` of RFC 6838, 4.2: what a header carries and no browser runs by accident.
_MEDIA_TYPE: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
)
_FIELDS: Final = frozenset(
    {
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "blobs",
        "manifests",
        "subject",
        "annotations",
        "digest",
        "size",
    }
)
_SPELLED: Final = {name.lower(): name for name in _FIELDS}
_SCHEMA_1: Final = "application/vnd.docker.distribution.manifest.v1+"
_FOREIGN: Final = (
    "application/vnd.oci.image.layer.nondistributable.v1.",
    "application/vnd.docker.image.rootfs.foreign.",
)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of another piece of content."""

    digest: Digest
    size: int
    media_type: str

    @property
    def is_foreign(self) -> bool:
        """Layers that are fetched elsewhere and need never be pushed."""
        return self.media_type.startswith(_FOREIGN)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A parsed document; `raw` is kept byte for byte."""

    raw: bytes
    media_type: str
    blobs: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    unclear: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: dict[str, str] = field(default_factory=dict)

    def referrer_descriptor(self, digest: Digest) -> dict[str, Any]:
        """The entry of `spec.md#listing-referrers` for this manifest."""
        entry: dict[str, Any] = {"mediaType": self.media_type, "digest": str(digest), "size": len(self.raw)}
        if self.artifact_type:
            entry["artifactType"] = self.artifact_type
        if self.annotations:
            entry["annotations"] = self.annotations
        return entry


def parse_manifest(raw: bytes, content_type: str) -> Manifest:
    """Read a manifest of any media type.

    Raises MANIFEST_INVALID (400; 413 over 4 MiB) for what is not a JSON object that every reader
    reads alike (RFC 8259 in UTF-8, no field twice or in other letters), says two media types,
    or has a descriptor that is none; DIGEST_INVALID for a digest that is none.
    """
    document = _load(raw)
    media_type = _media_type(document, content_type)
    config = _descriptors(document, "config", single=True)
    layers = _descriptors(document, "layers") + _descriptors(document, "blobs")
    entries = _descriptors(document, "manifests")
    subject = _descriptors(document, "subject", single=True)
    manifest = Manifest(
        raw=raw,
        media_type=media_type,
        blobs=_unique(config + tuple(layer for layer in layers if not layer.is_foreign)),
        children=_unique(tuple(e for e in entries if e.media_type in MANIFEST_TYPES)),
        unclear=_unique(tuple(e for e in entries if e.media_type not in MANIFEST_TYPES)),
        subject=subject[0] if subject else None,
        artifact_type=_artifact_type(document, config),
        annotations=_annotations(document),
    )
    _check_referrer_size(manifest)
    return manifest


def _load(raw: bytes) -> dict[str, Any]:
    if len(raw) > SIZE_LIMIT:
        raise _invalid(f"a manifest has at most {SIZE_LIMIT} bytes, this one has {len(raw)}", status=413)
    try:
        document = json.loads(raw.decode(), object_pairs_hook=_named_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"the manifest is not JSON: {type(error).__name__}") from error
    if not isinstance(document, dict):
        raise _invalid("the manifest is not a JSON object")
    _check_spelling(document)
    if document.get("schemaVersion", 2) != 2:
        raise _invalid("schemaVersion must be 2; push with a client that writes Docker schema 2 or OCI")
    return document


def _named_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Of two members of one name some readers take the first and some the last."""
    names = [name for name, _ in pairs if name in _FIELDS]
    if len(names) != len(set(names)):
        raise _invalid("the manifest has an object with one field twice")
    return dict(pairs)


def _no_number(text: str) -> None:
    raise ValueError(text)


def _check_spelling(document: dict[str, Any]) -> None:
    """Go's readers take `Layers` for `layers`, and would see what this registry did not check."""
    for name in document:
        right = _SPELLED.get(name.lower())
        if right not in {None, name}:
            raise _invalid(f"{name[:40]!r} is spelled {right!r}")


def _media_type(document: dict[str, Any], content_type: str) -> str:
    header = content_type.partition(";")[0].strip()
    inside = document.get("mediaType", "")
    if not isinstance(inside, str):
        raise _invalid("mediaType is not a string")
    if header and inside and header != inside:
        raise _invalid(f"Content-Type says {header} but mediaType says {inside}; make them the same")
    media_type = header or inside or (OCI_INDEX if "manifests" in document else OCI_IMAGE)
    if media_type.startswith(_SCHEMA_1):
        raise _invalid(
            "image manifest schema 1 is not accepted; push with a client that writes schema 2 or OCI"
        )
    if _MEDIA_TYPE.fullmatch(media_type) is None:
        raise _invalid("the media type is not one: it looks like type/subtype")
    return media_type


def _descriptors(document: dict[str, Any], key: str, *, single: bool = False) -> tuple[Descriptor, ...]:
    value = document.get(key)
    if value is None:
        return ()
    items = [value] if single else value
    if not isinstance(items, list):
        raise _invalid(f"{key} is not a list")
    return tuple(_descriptor(item, key) for item in items)


def _descriptor(item: object, where: str) -> Descriptor:
    if not isinstance(item, dict):
        raise _invalid(f"{where} has an entry that is not a descriptor")
    _check_spelling(item)
    digest, size, media_type = item.get("digest"), item.get("size"), item.get("mediaType", "")
    if not isinstance(digest, str) or not isinstance(media_type, str):
        raise _invalid(f"a descriptor in {where} has no digest or mediaType")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise _invalid(f"the descriptor of {digest[:200]} in {where} has no size")
    return Descriptor(Digest.parse(digest), size, media_type)


def _unique(descriptors: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
    """One digest with two sizes stays twice, so that the wrong one is found."""
    return tuple({(one.digest, one.size): one for one in descriptors}.values())


def _artifact_type(document: dict[str, Any], config: tuple[Descriptor, ...]) -> str:
    own = document.get("artifactType")
    if isinstance(own, str) and own:
        return own
    return config[0].media_type if config else ""


def _annotations(document: dict[str, Any]) -> dict[str, str]:
    value = document.get("annotations")
    if not isinstance(value, dict):
        return {}
    return {key: text for key, text in value.items() if isinstance(text, str)}


def _check_referrer_size(manifest: Manifest) -> None:
    """A referrer's annotations and type are copied into its edge row, and a row holds 400 KB."""
    if manifest.subject is None:
        return
    if len(json.dumps([manifest.annotations, manifest.artifact_type])) > REFERRER_ANNOTATIONS_LIMIT:
        limit = REFERRER_ANNOTATIONS_LIMIT
        message = f"the annotations and artifactType of a manifest with a subject have at most {limit} bytes"
        raise _invalid(message, status=413)


def _invalid(message: str, status: int = 0) -> RegistryError:
    return RegistryError(ErrorCode.MANIFEST_INVALID, message, status=status)
