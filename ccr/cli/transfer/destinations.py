"""Where to pull to: an OCI layout in a folder, or one tar that is a layout and a Docker archive at once."""

from __future__ import annotations

import fcntl
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from ccr.cli.exits import CliError, Exit
from ccr.cli.transfer import manifests
from ccr.cli.transfer.arrivals import Arrivals
from ccr.cli.transfer.content import DamagedError, Region, algorithm_of, digest_of
from ccr.cli.transfer.layout import IMAGE_NAME, INDEX, MARKER, REF_NAME, blob_path
from ccr.cli.transfer.manifests import OCI_INDEX, Descriptor, Tree

PART: Final = 16 * 1024 * 1024
_MARKER_TEXT: Final = b'{"imageLayoutVersion": "1.0.0"}'
_LISTING: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Name:
    """What the image is called at home: `tag` within a layout, `full` for Docker; both '' for a digest."""

    tag: str
    full: str


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the bytes of a blob go."""

    blob: Descriptor
    region: Region
    arrivals: Arrivals


class Destination(Protocol):
    """Made for one image."""

    def slots(self) -> list[Slot]:
        """Of the blobs that are not there yet."""

    def arrived(self, slot: Slot) -> None:
        """All of it, and verified."""

    def finish(self) -> None:
        """All are there."""

    def close(self) -> None:
        """Let the next pull to it begin, however this one ended."""


class Folder:
    """Blobs take their names once they are verified; index.json names the image when all are there."""

    def __init__(self, place: Path, tree: Tree, name: Name) -> None:
        self._place, self._tree, self._name = place, tree, name
        if place.exists() and not place.is_dir():
            raise CliError(f"{place} is a file: an OCI layout is a folder", Exit.USAGE)
        if place.is_dir() and any(place.iterdir()) and not (place / MARKER).exists():
            raise CliError(f"{place} holds something else: name a new folder", Exit.CONFLICT)
        place.mkdir(parents=True, exist_ok=True)
        self._held = _locked(place / f".{MARKER}.lock")
        (place / MARKER).write_bytes(_MARKER_TEXT)

    def slots(self) -> list[Slot]:
        return [self._slot(one) for one in _own(self._tree) if not self._has(one)]

    def arrived(self, slot: Slot) -> None:
        assert isinstance(slot.region.place, Path)  # noqa: S101 - by _slot
        slot.region.place.rename(self._place / blob_path(slot.blob.digest))
        slot.arrivals.remove()

    def finish(self) -> None:
        for manifest in self._tree.manifests:
            _replace(self._file(manifest.digest), manifest.raw)
        _replace(self._place / INDEX, json.dumps(self._index(), indent=2).encode())

    def close(self) -> None:
        (self._place / f".{MARKER}.lock").unlink(missing_ok=True)
        os.close(self._held)

    def _has(self, blob: Descriptor) -> bool:
        place = self._file(blob.digest)
        if not place.is_file() or place.stat().st_size != blob.size:
            return False
        return Region(place, 0, blob.size).digest(algorithm_of(blob.digest)) == blob.digest

    def _slot(self, blob: Descriptor) -> Slot:
        final = self._file(blob.digest)
        partial = final.with_name(f"{final.name}.partial")
        arrivals = Arrivals(final.with_name(f"{final.name}.parts"), f"{blob.digest} {blob.size} {PART}")
        with partial.open("ab") as out:
            out.truncate(blob.size)
        return Slot(blob, Region(partial, 0, blob.size), arrivals)

    def _file(self, digest: str) -> Path:
        place = self._place / blob_path(digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def _index(self) -> dict[str, Any]:
        """What was in it stays, but for an image of the same name, or the same one without a name."""
        place = self._place / INDEX
        old = manifests.parse_json(place.read_bytes(), str(place)) if place.exists() else {}
        own = _entry(self._tree, self._name)
        entries = [one for one in old.get("manifests", []) if not _is_replaced(one, own)]
        return {"schemaVersion": 2, "mediaType": OCI_INDEX, **old, "manifests": [*entries, own]}


class Tar:
    """Its size and the place of everything in it are known beforehand, so that blobs arrive in any order."""

    def __init__(self, place: Path, tree: Tree, name: Name) -> None:
        if place.is_dir():
            raise CliError(f"{place} is a folder: a Docker archive is a file", Exit.USAGE)
        self._place, self._tree = place, tree
        self._partial = place.with_name(f"{place.name}.partial")
        small = dict(_documents(tree, name))
        identity = digest_of(json.dumps({path: digest_of(raw) for path, raw in small.items()}).encode())
        self._held = _locked(self._partial)
        self._arrivals = Arrivals(place.with_name(f"{place.name}.parts"), f"{identity} {PART}")
        self._regions = self._lay_out(small)

    def slots(self) -> list[Slot]:
        return [Slot(one, self._regions[one.digest], self._arrivals) for one in _own(self._tree)]

    def arrived(self, slot: Slot) -> None:
        """Its bytes are where they belong."""

    def finish(self) -> None:
        self._partial.replace(self._place)
        self._arrivals.remove()

    def close(self) -> None:
        os.close(self._held)

    def _lay_out(self, small: dict[str, bytes]) -> dict[str, Region]:
        """Everything but the bytes of blobs is written; they follow the rest, the end of the tar them."""
        at, regions = 0, {}
        for path, raw in small.items():
            at = self._write(at, _padded(_header(path, len(raw)) + raw))
        for blob in _own(self._tree):
            at = self._write(at, _header(blob_path(blob.digest), blob.size))
            regions[blob.digest] = Region(self._partial, at, blob.size)
            at += blob.size + -blob.size % tarfile.BLOCKSIZE
        os.ftruncate(self._held, at + 2 * tarfile.BLOCKSIZE)
        return regions

    def _write(self, at: int, raw: bytes) -> int:
        os.pwrite(self._held, raw, at)
        return at + len(raw)


def _own(tree: Tree) -> list[Descriptor]:
    """All but what others distribute."""
    return [one for one in tree.blobs if not one.is_foreign]


def _documents(tree: Tree, name: Name) -> Iterator[tuple[str, bytes]]:
    """What the tar has before its blobs. Raises DamagedError for what Docker cannot have."""
    root = tree.root
    if root.is_index or root.config is None:
        raise DamagedError("a Docker archive holds one image: --platform takes it out of an index")
    yield MARKER, _MARKER_TEXT
    yield INDEX, json.dumps({"schemaVersion": 2, "manifests": [_entry(tree, name)]}).encode()
    listing = {
        "Config": blob_path(root.config.digest),
        "RepoTags": [name.full] if name.full else None,
        "Layers": [blob_path(one.digest) for one in root.layers],
    }
    yield _LISTING, json.dumps([listing]).encode()
    for manifest in tree.manifests:
        yield blob_path(manifest.digest), manifest.raw


def _entry(tree: Tree, name: Name) -> dict[str, Any]:
    """Of index.json."""
    named = {REF_NAME: name.tag, IMAGE_NAME: name.full} if name.tag else {}
    root = tree.root
    entry = {"mediaType": root.media_type, "digest": root.digest, "size": len(root.raw)}
    return {**entry, **({"annotations": named} if named else {})}


def _is_replaced(old: Any, own: dict[str, Any]) -> bool:
    if not isinstance(old, dict):
        return True
    names = [(one.get("annotations") or {}).get(REF_NAME, "") for one in (old, own)]
    return names[0] == names[1] and bool(names[0] or old.get("digest") == own["digest"])


def _header(path: str, size: int) -> bytes:
    """With no time and no user in it, so that it is the same each time."""
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = size, 0o644
    return entry.tobuf(tarfile.GNU_FORMAT)


def _padded(raw: bytes) -> bytes:
    return raw + b"\0" * (-len(raw) % tarfile.BLOCKSIZE)


def _replace(place: Path, raw: bytes) -> None:
    partial = place.with_name(f"{place.name}.partial")
    partial.write_bytes(raw)
    partial.replace(place)


def _locked(place: Path) -> int:
    """Held until this process ends or closes it."""
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise CliError(f"another pull writes {place.parent}: wait for it", Exit.CONFLICT) from None
    return descriptor
