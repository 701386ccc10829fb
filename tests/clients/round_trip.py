"""A round trip of a large layer with every client on this machine: `python -m tests.clients.round_trip`.

Ends with 1 when a digest differs, a client fails, or the server process held too much memory.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.clients.commands import ClientError, Unavailable
from tests.clients.drivers import DRIVERS, Driver
from tests.clients.layout import TAG, Layout, write_image
from tests.conftest import WAYS
from tests.support.process import RegistryProcess, running_registry

MEBIBYTE: Final = 1024 * 1024
MEMORY_LIMIT: Final = 200 * 1000 * 1000
WAYS_HERE: Final = ("redirect", "passthrough")
HEADINGS: Final = ("way", "client", "push s", "pull s", "digests equal", "server peak MB", "")


@dataclass(frozen=True)
class Trip:
    """One client's; `trouble` says why there are no numbers."""

    way: str
    client: str
    push_seconds: float = 0
    pull_seconds: float = 0
    equal: bool = False
    peak: int = 0
    trouble: str = ""
    failed: bool = False

    def cells(self) -> tuple[str, ...]:
        if self.trouble:
            return (self.way, self.client, "-", "-", "-", "-", self.trouble)
        push, pull = f"{self.push_seconds:.1f}", f"{self.pull_seconds:.1f}"
        return (
            self.way,
            self.client,
            push,
            pull,
            "yes" if self.equal else "NO",
            f"{self.peak / 1e6:.0f}",
            "",
        )

    @property
    def is_good(self) -> bool:
        """Whether it says nothing against the registry; a client that is missing does not."""
        return not self.failed and (bool(self.trouble) or (self.equal and self.peak < MEMORY_LIMIT))


def make_trips(way: str, clients: Sequence[str], layer_sizes: Sequence[int]) -> Iterator[Trip]:
    """Every client against one registry, so that its peak memory is that of the worst so far."""
    engines, environ = WAYS[way]
    with new_folder() as state, running_registry(state, engines=engines, environ=environ) as registry:
        for name in clients:
            yield make_trip(way, name, layer_sizes, registry)


def make_trip(way: str, name: str, layer_sizes: Sequence[int], registry: RegistryProcess) -> Trip:
    with new_folder() as folder:
        try:
            with DRIVERS[name](folder) as driver:
                # New bytes for each: buildah and skopeo remember together which blobs they have seen
                # where, and would mount what another client had pushed.
                return measured(way, driver, write_image(folder / "image", layer_sizes), registry)
        except Unavailable as reason:
            return Trip(way, name, trouble=f"skipped: {reason}")
        except ClientError as error:
            print(error, file=sys.stderr)
            return Trip(way, name, trouble="FAILED, see above", failed=True)


def measured(way: str, driver: Driver, image: Layout, registry: RegistryProcess) -> Trip:
    reference = f"{registry.host}/dev/{driver.name}:{TAG}"
    driver.login(registry.host, registry.username, registry.password)
    driver.load(image, reference)
    before = driver.held(reference)
    push_seconds = timed(driver.push, reference)
    driver.remove(reference)
    if before is None or driver.keeps(before.identity):
        raise ClientError(f"{driver.name} still has the image that it removed: a pull would prove nothing")
    pull_seconds = timed(driver.pull, reference)
    after = driver.held(reference)
    equal = after is not None and before.identity == after.identity
    return Trip(way, driver.name, push_seconds, pull_seconds, equal, registry.peak_memory())


def timed(verb: Callable[[str], str], reference: str) -> float:
    begin = time.monotonic()
    verb(reference)
    return time.monotonic() - begin


@contextmanager
def new_folder() -> Iterator[Path]:
    """Gone with all that a client kept in it, before the next one needs the disk."""
    # Hexadecimal: podman reads the path as a name, where a random `_` may not stand at an end.
    folder = Path(tempfile.gettempdir()) / f"ccr-{secrets.token_hex(6)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join(row).rstrip() for row in padded)


def main() -> int:
    asked = _parser().parse_args()
    sizes = [asked.mebibytes * MEBIBYTE] * asked.layers
    trips: list[Trip] = []
    for way in asked.way or WAYS_HERE:
        for trip in make_trips(way, asked.client or list(DRIVERS), sizes):
            print("  ".join(trip.cells()), flush=True)
            trips.append(trip)
    print(f"\n{os.cpu_count()} CPUs, {asked.layers} x {asked.mebibytes} MiB\n")
    print(table([HEADINGS, *(trip.cells() for trip in trips)]))
    return 0 if all(trip.is_good for trip in trips) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=1024, help="size of a layer")
    parser.add_argument("--layers", type=int, default=1, help="how many of them; docker pushes 5 at once")
    parser.add_argument(
        "--way", action="append", choices=WAYS_HERE, help="how blobs are pulled; all unless said"
    )
    parser.add_argument("--client", action="append", choices=list(DRIVERS), help="all unless said")
    return parser


if __name__ == "__main__":
    sys.exit(main())
