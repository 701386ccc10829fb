"""`ccr pull`: an image out of a registry, into a folder, a file, or the Docker engine."""

from __future__ import annotations

import os
import platform as machine
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ccr.cli import printing
from ccr.cli.commands.push import files_speak
from ccr.cli.exits import CliError, Exit
from ccr.cli.session import Session
from ccr.cli.sizes import size
from ccr.cli.transfer.arguments import JOBS, Jobs, Platform

if TYPE_CHECKING:
    from ccr.cli.transfer.distribution import Distribution
    from ccr.cli.transfer.manifests import Tree
    from ccr.cli.transfer.progress import Bars
    from ccr.cli.transfer.pull import Received
    from ccr.cli.transfer.reference import Reference

_ARCHITECTURES: Final[Mapping[str, str]] = {"x86_64": "amd64", "aarch64": "arm64"}


def pull(
    session: Session,
    image: Annotated[str, typer.Argument(help="dev/app:1.0, or dev/app@sha256:…")],
    destination: Annotated[
        str,
        typer.Argument(
            metavar="[DEST]",
            help="A folder for an OCI layout, or a file ending in .tar for a Docker archive.",
            show_default=False,
        ),
    ] = "",
    *,
    load: Annotated[bool, typer.Option("--load", help="Into the local Docker engine.")] = False,
    platform: Platform = "",
    jobs: Jobs = JOBS,
) -> None:
    """Pull an image: several ranges at once, every byte verified, going on where it broke off."""
    from ccr.cli.transfer.progress import Bars  # noqa: PLC0415 - HTTP takes a while to import
    from ccr.cli.transfer.reference import parse_reference  # noqa: PLC0415

    if not (destination or load):
        raise CliError("say where to: a folder, a file ending in .tar, or --load", Exit.USAGE)
    source = parse_reference(session.connection.bare(image))
    with files_speak(), Bars(shown=not session.is_json) as bars, _place(destination) as place:
        is_tar = load or _is_tar(destination)
        tree, received = _receive(session, source, place, platform, is_tar=is_tar, bars=bars, jobs=jobs)
        if load:
            _load(place, bars)
    _tell(session, source, tree, received, destination or "docker")


@contextmanager
def _place(destination: str) -> Iterator[Path]:
    """The path in it; one that goes away where only Docker gets the image."""
    if destination:
        yield Path(destination.removeprefix("oci:").removeprefix("docker-archive:"))
        return
    from ccr.cli.transfer.archives import spool_folder  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="ccr-", dir=spool_folder()) as folder:
        yield Path(folder) / "image.tar"


def _is_tar(destination: str) -> bool:
    if destination.startswith(("oci:", "docker-archive:")):
        return destination.startswith("docker-archive:")
    return destination.endswith(".tar")


def _receive(
    session: Session, source: Reference, place: Path, platform: str, *, is_tar: bool, bars: Bars, jobs: int
) -> tuple[Tree, list[Received]]:
    from ccr.cli.transfer import destinations  # noqa: PLC0415
    from ccr.cli.transfer.distribution import Distribution  # noqa: PLC0415
    from ccr.cli.transfer.pull import Pull  # noqa: PLC0415
    from ccr.cli.transfer.retry import Patience  # noqa: PLC0415

    patience = Patience()
    distribution = Distribution(session.connection, source.repository, patience)
    tree = _tree(distribution, source, platform, is_tar=is_tar)
    named = not source.digest
    full = f"{session.connection.host}/{source.repository}:{source.tag}"
    name = destinations.Name(source.tag if named else "", full if named else "")
    made = (destinations.Tar if is_tar else destinations.Folder)(place, tree, name)
    with closing(made):
        received = Pull(distribution, patience, jobs).all(made, bars)
        made.finish()
    return tree, received


def _tree(distribution: Distribution, source: Reference, platform: str, *, is_tar: bool) -> Tree:
    """For Docker, of an index the image of this machine."""
    from ccr.cli.transfer.manifests import Descriptor, gather  # noqa: PLC0415

    root = distribution.manifest(source.manifest)
    if root.is_index and is_tar and not platform:
        architecture = machine.machine()
        platform = f"linux/{_ARCHITECTURES.get(architecture, architecture)}"
    found = {root.digest: root.raw}

    def fetch(wanted: Descriptor) -> bytes:
        return found[wanted.digest] if wanted.digest in found else distribution.fetch(wanted)

    return gather(fetch, Descriptor(root.digest, len(root.raw), root.media_type), platform)


def _load(archive: Path, bars: Bars) -> None:
    from ccr.cli.transfer import docker_engine  # noqa: PLC0415
    from ccr.cli.transfer.content import Region  # noqa: PLC0415

    region = Region(archive, 0, archive.stat().st_size)
    bar = bars.bar("loading", region.size)
    docker_engine.load(region, os.environ, bar.moved)
    bar.done("loaded")


def _tell(
    session: Session, source: Reference, tree: Tree, received: Sequence[Received], destination: str
) -> None:
    """The digest last: it is what scripts read."""
    travelled = sum(one.bytes for one in received)
    if session.is_json:
        blobs = [{"digest": one.digest, "size": one.size, "received_bytes": one.bytes} for one in received]
        printing.as_json(
            {
                "image": str(source),
                "destination": destination,
                "digest": tree.root.digest,
                "media_type": tree.root.media_type,
                "manifests": len(tree.manifests),
                "received_bytes": travelled,
                "blobs": blobs,
            }
        )
        return
    print(f"pulled {source} to {destination}: {size(travelled)} received")
    print(tree.root.digest)
