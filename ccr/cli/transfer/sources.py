"""What to push: oci:PATH, docker-archive:PATH, docker:NAME, or a path that says itself what it is."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Final, Protocol

from ccr.cli.exits import CliError, Exit
from ccr.cli.transfer import docker_engine
from ccr.cli.transfer.archives import members, unpacked
from ccr.cli.transfer.content import Blob, DamagedError
from ccr.cli.transfer.docker_archive import LISTING, DockerArchive
from ccr.cli.transfer.layout import INDEX, MARKER, Folder, Layout, Members
from ccr.cli.transfer.manifests import Descriptor, Tree
from ccr.cli.transfer.reading import Reading

OCI: Final = "oci"
ARCHIVE: Final = "docker-archive"
ENGINE: Final = "docker"
_FORMS: Final = f"{OCI}:PATH, {ARCHIVE}:PATH, {ENGINE}:NAME, or a path"


class Source(Protocol):
    """Has an image."""

    def choose(self, wanted: str, platform: str) -> Tree: ...

    def blob(self, wanted: Descriptor) -> Blob | None: ...


def open_source(text: str, reading: Reading) -> Source:
    """Raises CliError."""
    kind, colon, rest = text.partition(":")
    if colon and kind == ENGINE:
        archive = docker_engine.save(rest, reading)
        return _archive(archive, text, "", reading)
    explicit = kind if colon and kind in {OCI, ARCHIVE} and not Path(text).exists() else ""
    place = Path(rest if explicit else text)
    if place.is_dir():
        if explicit == ARCHIVE or not (place / INDEX).is_file():
            raise DamagedError(f"{place} is a folder, and no OCI layout: it has no {INDEX}")
        return Layout(Folder(place), str(place))
    if not place.is_file():
        raise CliError(f"there is no {place}: a source is {_FORMS}", Exit.NOT_FOUND)
    return _archive(unpacked(place, reading), str(place), explicit, reading)


def _archive(archive: IO[bytes], name: str, kind: str, reading: Reading) -> Source:
    """Tars of newer engines are both: the layout has the manifests as they are, so it goes first."""
    files = members(archive, name)
    if kind != ARCHIVE and MARKER in files and INDEX in files:
        return Layout(Members(files), name)
    if kind != OCI and LISTING in files:
        return DockerArchive(files, name, reading)
    raise DamagedError(f"{name} is neither an OCI layout ({INDEX}) nor a Docker archive ({LISTING})")
