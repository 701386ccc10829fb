"""`ccr push`: an image from this machine into a registry, its bytes straight to the storage."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ccr.cli import printing
from ccr.cli.exits import CliError
from ccr.cli.session import Session
from ccr.cli.sizes import size
from ccr.cli.transfer.arguments import JOBS, Compression, Jobs, Platform

if TYPE_CHECKING:
    from ccr.cli.transfer.content import Blob
    from ccr.cli.transfer.manifests import Tree
    from ccr.cli.transfer.progress import Bars
    from ccr.cli.transfer.push import Sent
    from ccr.cli.transfer.reference import Reference
    from ccr.cli.transfer.sources import Source


def push(
    session: Session,
    source: Annotated[
        str,
        typer.Argument(help="An OCI layout or Docker archive (a path), or docker:NAME of the local engine."),
    ],
    image: Annotated[str, typer.Argument(help="Where to: dev/app:1.0")],
    *,
    ref: Annotated[
        str, typer.Option(help="Which image, of a source that holds several.", show_default=False)
    ] = "",
    platform: Platform = "",
    mount_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REPOSITORY",
            help="Take blobs from there that it has; may be repeated.",
            show_default=False,
        ),
    ] = None,
    compression: Annotated[
        Compression, typer.Option(help="Of layers that a Docker archive holds uncompressed.")
    ] = Compression.GZIP,
    jobs: Jobs = JOBS,
) -> None:
    """Push an image: only what the registry lacks, several parts at once, going on where it broke off."""
    from ccr.cli.transfer.progress import Bars  # noqa: PLC0415 - HTTP takes a while to import
    from ccr.cli.transfer.reading import Reading  # noqa: PLC0415
    from ccr.cli.transfer.reference import parse_reference  # noqa: PLC0415
    from ccr.cli.transfer.sources import open_source  # noqa: PLC0415

    target = parse_reference(session.connection.bare(image))
    with files_speak(), ExitStack() as held, Bars(shown=not session.is_json) as bars:
        reading = bars.bar("reading")
        opened = open_source(source, Reading(compression, os.environ, held, reading.moved))
        tree = opened.choose(ref, platform)
        reading.done("")
        _check(tree, target)
        mounts = _mounts(session, mount_from or [], tree)
        sent = _send(session, opened, tree, target, mounts=mounts, bars=bars, jobs=jobs)
    _tell(session, target, tree, sent)


@contextmanager
def files_speak() -> Iterator[None]:
    """What this machine's files cannot do, as one line. Raises CliError."""
    try:
        yield
    except OSError as error:
        name = f" {error.filename}" if error.filename else ""
        raise CliError(f"cannot read or write{name}: {error.strerror or error}") from error


def _check(tree: Tree, target: Reference) -> None:
    if target.digest and target.digest != tree.root.digest:
        raise CliError(
            f"the source holds {tree.root.digest}, and {target} is to be another: leave the @ away"
        )


def _send(
    session: Session,
    source: Source,
    tree: Tree,
    target: Reference,
    *,
    mounts: Sequence[str],
    bars: Bars,
    jobs: int,
) -> list[Sent]:
    """The blobs, then the manifests, the root last."""
    from ccr.cli.transfer import journal  # noqa: PLC0415
    from ccr.cli.transfer.distribution import Distribution  # noqa: PLC0415
    from ccr.cli.transfer.push import Push  # noqa: PLC0415
    from ccr.cli.transfer.retry import Patience  # noqa: PLC0415
    from ccr.cli.transfer.uploads import Uploads  # noqa: PLC0415

    connection, repository = session.connection, target.repository
    known = journal.Journal(journal.path(os.environ), connection.url, connection.username)
    patience = Patience()
    uploads = Uploads(connection, repository, patience)
    sent = Push(uploads, known, patience, repository, jobs).all(_blobs(source, tree), mounts, bars)
    known.holds(repository, [one.digest for one in sent])
    distribution = Distribution(connection, repository, Patience())
    for manifest in tree.manifests[:-1]:
        distribution.put(manifest, manifest.digest)
    distribution.put(tree.root, target.manifest)
    return sent


def _blobs(source: Source, tree: Tree) -> list[Blob]:
    """The largest first: the small ones fit in beside it."""
    found = [blob for one in tree.blobs if (blob := source.blob(one)) is not None]
    return sorted(found, key=lambda one: -one.size)


def _mounts(session: Session, asked: Sequence[str], tree: Tree) -> list[str]:
    """Those asked for, and what the image says it is built on, where that is in this registry."""
    from ccr.cli.transfer.manifests import BASE_NAME  # noqa: PLC0415

    bare, host = session.connection.bare, f"{session.connection.host}/"
    bases = [one.annotations.get(BASE_NAME, "") for one in tree.manifests]
    own = [
        bare(one).partition("@")[0].rpartition(":")[0] or bare(one) for one in bases if one.startswith(host)
    ]
    return list(dict.fromkeys([*(bare(one) for one in asked), *own]))


def _tell(session: Session, target: Reference, tree: Tree, sent: Sequence[Sent]) -> None:
    """The digest last: it is what scripts read."""
    root = tree.root
    if session.is_json:
        blobs = [
            {"digest": one.digest, "size": one.size, "state": one.state, "sent_bytes": one.bytes}
            for one in sent
        ]
        printing.as_json(
            {
                "image": str(target),
                "digest": root.digest,
                "media_type": root.media_type,
                "manifests": len(tree.manifests),
                "sent_bytes": sum(one.bytes for one in sent),
                "blobs": blobs,
            }
        )
        return
    states = Counter(one.state for one in sent)
    counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items(), reverse=True))
    print(f"pushed {target}: blobs {counted or 'none'}, {size(sum(one.bytes for one in sent))} sent")
    print(root.digest)
