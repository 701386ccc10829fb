"""Docker archives as `docker save` of old engines writes them, and images of any size."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


def layer_tar(content: bytes, name: str = "file") -> bytes:
    """A layer with one file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@dataclass
class DockerImage:
    """`layers` as they are in the archive, `plain` as the config names them."""

    layers: Sequence[bytes]
    plain: Sequence[bytes] = ()
    tag: str = "app:1.0"
    more: Mapping[str, object] = field(default_factory=dict)

    @property
    def config(self) -> bytes:
        digests = [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in self.plain or self.layers]
        document = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": digests},
            **self.more,
        }
        return json.dumps(document).encode()


def docker_archive(*images: DockerImage) -> bytes:
    """Of all of them."""
    out, listing = io.BytesIO(), []
    with tarfile.open(fileobj=out, mode="w") as tar:
        for image in images:
            folder = os.urandom(8).hex()
            paths = [f"{folder}{number}/layer.tar" for number in range(len(image.layers))]
            for path, layer in zip(paths, image.layers, strict=True):
                add(tar, path, layer)
            add(tar, f"{folder}.json", image.config)
            listing.append({"Config": f"{folder}.json", "RepoTags": [image.tag], "Layers": paths})
        add(tar, "manifest.json", json.dumps(listing).encode())
    return out.getvalue()


def add(tar: tarfile.TarFile, path: str, content: bytes) -> None:
    entry = tarfile.TarInfo(path)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def tar_of(folder: Path, place: Path) -> Path:
    """An OCI layout as a tar."""
    with tarfile.open(place, "w") as tar:
        for one in sorted(folder.rglob("*")):
            if one.is_file():
                tar.add(one, one.relative_to(folder).as_posix())
    return place
