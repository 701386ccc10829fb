"""`make bench`: push, pull and requests a second, beside Debian's docker-registry where it is installed.

    python -m tests.benchmarks [--quick] [--engines embedded|real]

Every registry is measured by the same client, one after the other, on the same machine in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from tests.benchmarks.images import LayeredImage, make_image
from tests.benchmarks.requests_per_second import Load, measure
from tests.benchmarks.subjects import AbsentError, Subject, ccr, docker_registry
from tests.benchmarks.transfer import Registry, Transfer, timed_transfer

MIB = 1024 * 1024
SECONDS = 5.0


@dataclass
class Findings:
    """All that was measured of one registry."""

    name: str
    transfers: list[Transfer]
    peaks: list[str]
    loads: list[Load]


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.benchmarks")
    parser.add_argument("--quick", action="store_true", help="a tenth of the bytes and of the seconds")
    parser.add_argument("--engines", choices=("embedded", "real"), default="embedded")
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    console = Console(width=130)
    subjects: list[Callable[[Path], AbstractContextManager[Subject]]] = [
        lambda folder: ccr(folder, options.engines),
        docker_registry,
    ]
    with tempfile.TemporaryDirectory(prefix="ccr-bench-") as folder:
        images = [
            make_image(f"10 x {10 // scale} MiB", 10, 10 * MIB // scale),
            make_image(f"1 x {1024 // scale} MiB", 1, 1024 * MIB // scale),
        ]
        findings = []
        for number, start in enumerate(subjects):
            try:
                with start(Path(folder) / str(number)) as subject:
                    console.print(f"measuring {subject.name} ...")
                    findings.append(uvloop.run(_measured(subject, images, SECONDS / scale)))
            except AbsentError as error:
                console.print(f"skipped: {error}")
    _report(console, findings)
    return 0


async def _measured(subject: Subject, images: list[LayeredImage], seconds: float) -> Findings:
    async with Registry(subject) as registry:
        transfers, peaks = [], []
        for image in images:
            transfers.append(await timed_transfer(registry, image))
            peaks.append(subject.peak_memory())
            await asyncio.sleep(2)  # what the engines still do in the background is not the next row's
        loads = await measure(registry, images[0], seconds)
    return Findings(subject.name, transfers, peaks, loads)


def _report(console: Console, findings: list[Findings]) -> None:
    transfers = Table(title="one image, 4 layers at once (docker-registry: files, no login)")
    for heading in (
        "registry",
        "image",
        "push s",
        "push MB/s",
        "pull s",
        "pull MB/s",
        "peak memory since start",
    ):
        transfers.add_column(heading, justify="left" if heading in {"registry", "image"} else "right")
    loads = Table(title="requests, keep-alive, no redirect followed")
    for heading in ("registry", "request", "connections", "requests/s", "p50 ms", "p99 ms", "backend calls"):
        loads.add_column(heading, justify="left" if heading in {"registry", "request"} else "right")
    for found in findings:
        for transfer, peak in zip(found.transfers, found.peaks, strict=True):
            transfers.add_row(found.name, *transfer.cells(), peak)
        for load in found.loads:
            loads.add_row(found.name, load.request, *load.cells())
    console.print(transfers)
    console.print(loads)


if __name__ == "__main__":
    sys.exit(main())
