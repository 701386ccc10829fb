"""Tars as `docker save` writes them without a manifest: a manifest is made from config and layers."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final, cast

from ccr.cli.transfer import archives, manifests
from ccr.cli.transfer.archives import BROKEN, GZIP
from ccr.cli.transfer.arguments import Compression
from ccr.cli.transfer.compression import compress
from ccr.cli.transfer.content import Blob, DamagedError, Region, check_digest, digest_of
from ccr.cli.transfer.manifests import DOCKER_IMAGE, LIMIT, Descriptor, Manifest, Tree
from ccr.cli.transfer.reading import Reading

LISTING: Final = "manifest.json"
_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"
# Docker's own types have no zstd; every client that reads it takes this one.
_LAYER_ZSTD: Final = "application/vnd.oci.image.layer.v1.tar+zstd"


@dataclass(frozen=True, slots=True)
class _Layer:
    blob: Blob
    media_type: str


class DockerArchive:
    """A source: the layers are read, and compressed where asked for, once an image is chosen."""

    def __init__(self, files: Mapping[str, Region], name: str, reading: Reading) -> None:
        self._files, self._name, self._reading = files, name, reading
        self._blobs: dict[str, Blob] = {}

    def choose(self, wanted: str, platform: str) -> Tree:
        """Raises DamagedError."""
        entry = self._entry(wanted)
        raw = self._file(entry.get("Config")).read(LIMIT)
        config = manifests.parse_json(raw, "the config")
        own = manifests.platform_of(config)
        if platform and not manifests.matches(own, platform):
            raise DamagedError(f"the image is of {own or 'no platform'}, not of {platform}")
        paths, plain = entry.get("Layers") or [], self._plain_digests(config)
        if not isinstance(paths, list) or len(paths) != len(plain):
            raise DamagedError(f"{self._name} does not have as many layers as the image's config names")
        layers = [self._layer(path, digest) for path, digest in zip(paths, plain, strict=True)]
        config_blob = Blob(digest_of(raw), len(raw), self._file(entry.get("Config")))
        self._blobs = {one.digest: one for one in (config_blob, *(layer.blob for layer in layers))}
        return Tree((_manifest(config_blob, layers),))

    def blob(self, wanted: Descriptor) -> Blob | None:
        return self._blobs[wanted.digest]

    def _entry(self, wanted: str) -> dict[str, Any]:
        try:
            listing = json.loads(self._file(LISTING).read(LIMIT))
        except (ValueError, RecursionError) as error:
            raise DamagedError(f"{LISTING} in {self._name} is not JSON") from error
        entries = [one for one in listing if isinstance(one, dict)] if isinstance(listing, list) else []
        found = [one for one in entries if not wanted or _is_called(one, wanted)]
        if len(found) == 1:
            return found[0]
        known = ", ".join(tag for one in entries for tag in _tags(one))
        why = "there are several images" if found else f"there is no {wanted or 'image'}"
        raise DamagedError(f"{why} in {self._name}: --ref takes one of {known or 'none'}")

    def _plain_digests(self, config: Mapping[str, Any]) -> list[str]:
        rootfs = config.get("rootfs")
        found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else []
        return [check_digest(one) for one in found] if isinstance(found, list) else []

    def _file(self, path: Any) -> Region:
        region = self._files.get(path.lstrip("/")) if isinstance(path, str) else None
        if region is None:
            raise DamagedError(f"{self._name} lacks {path!r}")
        return region

    def _layer(self, path: str, plain: str) -> _Layer:
        region = self._file(path)
        head = region.part(0, min(8, region.size)).read(8)
        unpacker = archives.unpacking(head)
        if unpacker is not None:
            with region_stream(region) as packed, unpacker(packed) as stream:
                _check(_unpacked_digest(stream, path, self._reading), plain, path)
            suffix = _LAYER + ".gzip" if head.startswith(GZIP) else _LAYER_ZSTD
            return _Layer(Blob(region.digest(), region.size, region), suffix)
        if self._reading.compression == Compression.NONE:
            _check(region.digest(), plain, path)
            self._reading.moved(region.size)
            return _Layer(Blob(plain, region.size, region), _LAYER)
        made = compress(region, self._reading)
        _check(made.plain, plain, path)
        return _Layer(made.blob, f"{_LAYER}.gzip")


class _RegionStream(io.RawIOBase):
    """A piece of a file as a file."""

    def __init__(self, region: Region) -> None:
        self._blocks = region.blocks()
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, memory: Any, /) -> int:
        if not self._left:
            self._left = next(self._blocks, memoryview(b""))
        size = min(len(memory), len(self._left))
        memory[:size], self._left = self._left[:size], self._left[size:]
        return size


def region_stream(region: Region) -> IO[bytes]:
    return cast("IO[bytes]", io.BufferedReader(_RegionStream(region)))


def _unpacked_digest(stream: IO[bytes], path: str, reading: Reading) -> str:
    state = hashlib.sha256()
    try:
        while block := stream.read(1024 * 1024):
            state.update(block)
            reading.moved(len(block))
    except BROKEN as error:
        raise DamagedError(f"the layer {path} is damaged or cut off: {error}") from error
    return f"sha256:{state.hexdigest()}"


def _check(found: str, digest: str, path: str) -> None:
    if found != digest:
        raise DamagedError(f"the layer {path} is not what the config says: it should be {digest}, is {found}")


def _tags(entry: Mapping[str, Any]) -> list[str]:
    found = entry.get("RepoTags")
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _is_called(entry: Mapping[str, Any], wanted: str) -> bool:
    tags = _tags(entry)
    bare = wanted.removeprefix("docker.io/").removeprefix("library/")
    return any(one in (wanted, bare, f"{wanted}:latest", f"{bare}:latest") for one in tags) or (
        wanted.removeprefix("sha256:") in str(entry.get("Config", "")) and len(wanted) >= 64
    )


def _manifest(config: Blob, layers: Sequence[_Layer]) -> Manifest:
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_IMAGE,
        "config": {"mediaType": _CONFIG, "size": config.size, "digest": config.digest},
        "layers": [
            {"mediaType": one.media_type, "size": one.blob.size, "digest": one.blob.digest} for one in layers
        ],
    }
    raw = json.dumps(document, indent=3).encode()
    return manifests.parse(raw, digest_of(raw), DOCKER_IMAGE)
