"""Images in OCI layouts, made on disk without a network, of any size and with content no cache has seen."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from tests.support.content import OCI_CONFIG, OCI_IMAGE, OCI_INDEX, OCI_LAYER

TAG: Final = "1.0"
OCI_LAYER_GZIP: Final = f"{OCI_LAYER}+gzip"
ARCHITECTURE: Final = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


@dataclass(frozen=True)
class Layout:
    """An OCI layout with one tagged image or index in it; Docker reads a tar of it too."""

    folder: Path
    digest: str

    @property
    def source(self) -> str:
        """What podman, buildah and skopeo call it."""
        return f"oci:{self.folder}:{TAG}"

    def blob(self, digest: str) -> bytes:
        return (self.folder / _path(digest)).read_bytes()


class _Random(io.RawIOBase):
    """Bytes that do not compress."""

    def read(self, size: int = -1, /) -> bytes:
        return os.urandom(size)


class _Hashing(io.RawIOBase):
    """Hashes what it hands on."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target, self._sha256 = target, hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, block: Any, /) -> int:
        self._sha256.update(block)
        self.size += len(block)
        return self._target.write(block)

    @property
    def digest(self) -> str:
        return f"sha256:{self._sha256.hexdigest()}"


def write_image(folder: Path, layer_sizes: Sequence[int]) -> Layout:
    """An image with one layer for each size."""
    blobs = _blob_folder(folder)
    layout = _tagged(folder, _write_image(blobs, layer_sizes, ARCHITECTURE))
    manifest = json.loads(layout.blob(layout.digest))
    # Docker's own format names the same blobs, so that one tar loads everywhere.
    docker = {
        "Config": _path(manifest["config"]["digest"]),
        "RepoTags": None,
        "Layers": [_path(layer["digest"]) for layer in manifest["layers"]],
    }
    (folder / "manifest.json").write_text(json.dumps([docker]))
    return layout


def write_index(folder: Path, architectures: Sequence[str], layer_size: int) -> Layout:
    """An index with one image for each architecture."""
    blobs = _blob_folder(folder)
    children = [_write_image(blobs, [layer_size], one) for one in architectures]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}
    return _tagged(folder, _write_document(blobs, index, OCI_INDEX))


def _blob_folder(folder: Path) -> Path:
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return blobs


def _tagged(folder: Path, target: dict[str, Any]) -> Layout:
    entry = {**target, "annotations": {"org.opencontainers.image.ref.name": TAG}}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return Layout(folder, target["digest"])


def _write_image(blobs: Path, layer_sizes: Sequence[int], architecture: str) -> dict[str, Any]:
    layers, diff_ids = [], []
    for number, size in enumerate(layer_sizes):
        layer, diff_id = _write_layer(blobs, f"layer-{number}", size)
        layers.append(layer)
        diff_ids.append(diff_id)
    platform_ = {"architecture": architecture, "os": "linux"}
    config = {
        "created": "2026-01-01T00:00:00Z",
        **platform_,
        "config": {"Cmd": ["/layer-0"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "test"} for _ in layer_sizes],
    }
    described = _write_document(blobs, config, OCI_CONFIG)
    image = {"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": described, "layers": layers}
    return {**_write_document(blobs, image, OCI_IMAGE), "platform": platform_}


def _write_layer(blobs: Path, name: str, size: int) -> tuple[dict[str, Any], str]:
    """A gzipped tar with one file of `size` random bytes: its descriptor and the digest of the tar."""
    temporary = blobs.parent / f"{name}.partial"
    with ExitStack() as stack:
        blob = _Hashing(stack.enter_context(temporary.open("wb")))
        # Stored, not compressed: random bytes would not get smaller.
        zipped = stack.enter_context(gzip.GzipFile("", "wb", compresslevel=0, fileobj=blob, mtime=0))
        tar = _Hashing(zipped)
        archive = stack.enter_context(tarfile.open(fileobj=tar, mode="w|"))
        entry = tarfile.TarInfo(name)
        entry.size = size
        archive.addfile(entry, _Random())
    temporary.rename(blobs / blob.digest.removeprefix("sha256:"))
    return {"mediaType": OCI_LAYER_GZIP, "digest": blob.digest, "size": blob.size}, tar.digest


def _write_document(blobs: Path, document: dict[str, Any], media_type: str) -> dict[str, Any]:
    raw = json.dumps(document).encode()
    digest = hashlib.sha256(raw).hexdigest()
    (blobs / digest).write_bytes(raw)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(raw)}


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
