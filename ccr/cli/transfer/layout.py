"""OCI layouts, as folders and as tars: index.json and blobs by their digests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from ccr.cli.transfer import manifests
from ccr.cli.transfer.content import Blob, DamagedError, Region, algorithm_of, hexadecimal
from ccr.cli.transfer.manifests import LIMIT, Descriptor, Tree

REF_NAME: Final = "org.opencontainers.image.ref.name"
IMAGE_NAME: Final = "io.containerd.image.name"
MARKER: Final = "oci-layout"
INDEX: Final = "index.json"


class Files(Protocol):
    """A folder, or what is in a tar."""

    def find(self, path: str) -> Region | None: ...


class Folder:
    """Files of a folder."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def find(self, path: str) -> Region | None:
        place = self._place / path
        return Region(place, 0, place.stat().st_size) if place.is_file() else None


class Members:
    """Files in a tar."""

    def __init__(self, found: Mapping[str, Region]) -> None:
        self._found = found

    def find(self, path: str) -> Region | None:
        return self._found.get(path)


class Layout:
    """A source: chooses an image, and has its blobs."""

    def __init__(self, files: Files, name: str) -> None:
        self._files, self._name = files, name

    def choose(self, wanted: str, platform: str) -> Tree:
        """The image called `wanted`, or the only one. Raises DamagedError."""
        index = self._files.find(INDEX)
        if index is None:
            raise DamagedError(f"{self._name} has no {INDEX}")
        document = manifests.parse_json(index.read(LIMIT), INDEX)
        root = chosen(manifests.descriptors(document, "manifests"), wanted, self._name)
        return manifests.gather(self._document, root, platform)

    def blob(self, wanted: Descriptor) -> Blob | None:
        """None for what others distribute and this source has not got. Raises DamagedError."""
        region = self._files.find(blob_path(wanted.digest))
        if region is None and wanted.is_foreign:
            return None
        if region is None:
            raise DamagedError(f"{self._name} lacks {wanted.digest}, which its manifest names")
        if region.size != wanted.size:
            raise DamagedError(
                f"{wanted.digest} in {self._name} has {region.size} bytes; its manifest says {wanted.size}"
            )
        return Blob(wanted.digest, wanted.size, region)

    def _document(self, wanted: Descriptor) -> bytes:
        region = self._files.find(blob_path(wanted.digest))
        if region is None:
            whose = f" of {wanted.platform}" if wanted.platform else ""
            raise DamagedError(
                f"{self._name} lacks the manifest {wanted.digest}{whose}: --platform takes one that it has"
            )
        return region.read(LIMIT)


def chosen(entries: Sequence[Descriptor], wanted: str, name: str) -> Descriptor:
    """Raises DamagedError where there is none, or more than one."""
    found = [one for one in entries if not wanted or wanted in (*names(one), one.digest)]
    if len({one.digest for one in found}) == 1:
        return found[0]
    if not entries:
        raise DamagedError(f"there is no image in {name}")
    known = ", ".join(next(iter(names(one)), one.digest) for one in entries)
    why = f"there is no {wanted!r}" if wanted and not found else "there are several images"
    raise DamagedError(f"{why} in {name}: --ref takes one of {known}")


def names(entry: Descriptor) -> tuple[str, ...]:
    """What people may call it."""
    found = (entry.annotations.get(key, "") for key in (REF_NAME, IMAGE_NAME))
    return tuple(one for one in found if one)


def blob_path(digest: str) -> str:
    return f"blobs/{algorithm_of(digest)}/{hexadecimal(digest)}"
