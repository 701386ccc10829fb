"""Manifests and indexes: what they name, whole trees of them, and which of their images is of a platform."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ccr.cli.transfer.content import DamagedError, check_digest, verified

LIMIT: Final = 4 * 1024 * 1024
# Of one object in S3: whoever says more would have a disk, or the memory for its parts, run full.
BLOB_LIMIT: Final = 5 * 1024**4
# Indexes within indexes; two are seen in the wild.
DEPTH: Final = 16
OCI_IMAGE: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_IMAGE: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
INDEXES: Final = frozenset({OCI_INDEX, DOCKER_LIST})
TYPES: Final = (OCI_IMAGE, OCI_INDEX, DOCKER_IMAGE, DOCKER_LIST)
BASE_NAME: Final = "org.opencontainers.image.base.name"
# Layers that are fetched elsewhere and need not be in a registry.
_FOREIGN: Final = (
    "application/vnd.oci.image.layer.nondistributable.v1.",
    "application/vnd.docker.image.rootfs.foreign.",
)

Fetch = Callable[["Descriptor"], bytes]


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a document says of other content."""

    digest: str
    size: int
    media_type: str
    platform: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_foreign(self) -> bool:
        return self.media_type.startswith(_FOREIGN)

    @property
    def is_manifest(self) -> bool:
        return self.media_type in TYPES


@dataclass(frozen=True, slots=True)
class Manifest:
    """Byte for byte as it was found."""

    digest: str
    media_type: str
    raw: bytes
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEXES

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """All that is to be there before it: not what others distribute."""
        own = (*((self.config,) if self.config else ()), *self.layers)
        strangers = tuple(one for one in self.children if not one.is_manifest)
        return (*own, *strangers)


@dataclass(frozen=True, slots=True)
class Tree:
    """An image or an index with all of its own: children before parents, the root at the end."""

    manifests: tuple[Manifest, ...]

    @property
    def root(self) -> Manifest:
        return self.manifests[-1]

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Each once."""
        found = {one.digest: one for manifest in self.manifests for one in manifest.blobs}
        return tuple(found.values())


def parse_json(raw: bytes, what: str) -> dict[str, Any]:
    """Raises DamagedError."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{what} is not JSON") from error
    if not isinstance(document, dict):
        raise DamagedError(f"{what} is not a JSON object")
    return document


def parse(raw: bytes, digest: str, media_type: str = "") -> Manifest:
    """Raises DamagedError for what names nothing."""
    document = parse_json(raw, f"the manifest {digest}")
    inside = document.get("mediaType")
    said = media_type or (inside if isinstance(inside, str) else "")
    said = said or (OCI_INDEX if "manifests" in document else OCI_IMAGE)
    config = document.get("config")
    return Manifest(
        digest,
        said,
        raw,
        descriptor(config) if config is not None else None,
        descriptors(document, "layers"),
        descriptors(document, "manifests"),
        _strings(document.get("annotations")),
    )


def descriptors(document: Mapping[str, Any], key: str) -> tuple[Descriptor, ...]:
    """Raises DamagedError."""
    entries = document.get(key) or []
    if not isinstance(entries, list):
        raise DamagedError(f"`{key}` is not a list")
    return tuple(descriptor(one) for one in entries)


def descriptor(entry: Any) -> Descriptor:
    """Raises DamagedError."""
    if not isinstance(entry, dict):
        raise DamagedError(f"{str(entry)[:80]!r} is no descriptor")
    size, media_type = entry.get("size"), entry.get("mediaType", "")
    digest = check_digest(entry.get("digest"))
    if not isinstance(size, int) or isinstance(size, bool) or size < 0 or not isinstance(media_type, str):
        raise DamagedError(f"the descriptor of {digest} has no size or no media type")
    if size > BLOB_LIMIT:
        raise DamagedError(f"{digest} is to have {size} bytes; no blob has more than {BLOB_LIMIT}")
    return Descriptor(
        digest, size, media_type, platform_of(entry.get("platform")), _strings(entry.get("annotations"))
    )


def platform_of(entry: Any) -> str:
    """`linux/arm64/v8`; '' for none."""
    parts = _strings(entry)
    if not (parts.get("os") and parts.get("architecture")):
        return ""
    return "/".join(filter(None, (parts["os"], parts["architecture"], parts.get("variant", ""))))


def gather(fetch: Fetch, root: Descriptor, platform: str = "") -> Tree:
    """`root` with all its children, or the one image in it that is of `platform`. Raises DamagedError."""
    manifest = _load(fetch, root)
    if platform and not manifest.is_index:
        _check_platform(fetch, manifest, platform)
    while platform and manifest.is_index:
        manifest = _load(fetch, _choose(manifest, platform))
    found: dict[str, Manifest] = {}
    _collect(fetch, manifest, found)
    return Tree(tuple(found.values()))


def matches(found: str, wanted: str) -> bool:
    """A platform without a variant is of any."""
    return found == wanted or found.startswith(f"{wanted}/")


def _collect(fetch: Fetch, manifest: Manifest, found: dict[str, Manifest], depth: int = 0) -> None:
    """Depth first. A digest cannot be within itself, so there is an end."""
    if depth > DEPTH:
        raise DamagedError(f"its indexes are nested more than {DEPTH} deep")
    for child in manifest.children:
        if child.is_manifest and child.digest not in found:
            _collect(fetch, _load(fetch, child), found, depth + 1)
    found[manifest.digest] = manifest


def _load(fetch: Fetch, wanted: Descriptor) -> Manifest:
    raw = verified(fetch(wanted), wanted.digest, "a manifest")
    return parse(raw, wanted.digest, wanted.media_type)


def _choose(index: Manifest, platform: str) -> Descriptor:
    for one in index.children:
        if matches(one.platform, platform) and one.is_manifest:
            return one
    nested = [one for one in index.children if one.media_type in INDEXES and not one.platform]
    if len(nested) == 1:
        return nested[0]
    raise DamagedError(f"there is no {platform} in it: {said_platforms(index.children)}")


def _check_platform(fetch: Fetch, manifest: Manifest, platform: str) -> None:
    """Of an image outside an index its config says it; an artifact has none to say."""
    config = manifest.config
    if config is None or config.size > LIMIT:
        return
    try:
        document = json.loads(fetch(config))
    except (ValueError, RecursionError):
        return
    own = platform_of(document)
    if own and not matches(own, platform):
        raise DamagedError(f"the image is of {own}, not of {platform}")


def said_platforms(children: Sequence[Descriptor]) -> str:
    named = sorted({one.platform for one in children if one.platform and "unknown" not in one.platform})
    return f"there are {', '.join(named)}" if named else "its images name no platform"


def _strings(value: Any) -> dict[str, str]:
    return dict(_pairs(value)) if isinstance(value, dict) else {}


def _pairs(value: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    for key, one in value.items():
        if isinstance(key, str) and isinstance(one, str):
            yield key, one
