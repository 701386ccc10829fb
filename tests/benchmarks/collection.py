"""What a collection costs as the registry grows, beside what marking and sweeping would have to read.

python -m tests.benchmarks.collection [--manifests 1000 100000] [--engines embedded|real]

Rows are written past the registry: each manifest names a blob of its own and two that all share. At each size
the same 200 blobs are garbage. The calls are counted; the machine makes the seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pytest
from rich.console import Console
from rich.table import Table

from chalicelib.aws.calls import counted
from chalicelib.aws.keys import SHARDS, shard_of
from chalicelib.wiring import Deployment
from tests.engines.backends import ACCESS_KEY, EMBEDDED, REAL, SECRET_KEY, Engines

BACKENDS: Final = {"embedded": EMBEDDED, "real": REAL}
ACCOUNT: Final = "bench"
GARBAGE: Final = 200
SIZE: Final = 1_000_000
BATCH: Final = 25
WRITERS: Final = 8
DAY: Final = 24 * 3600
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html
PAGE_BYTES: Final = 1024 * 1024
Row = tuple[str, dict[str, Any]]


@dataclass
class Measured:
    manifests: int
    rows: int
    pages: int
    loading: float
    freed: int
    calls: int
    seconds: float


@dataclass
class Store:
    """The tables of one deployment, filled more and more."""

    deployment: Deployment
    ahead: float = 0.0
    manifests: int = 0
    rows: int = 0
    bytes: int = 0

    def clock(self) -> float:
        return time.time() + self.ahead

    def fill(self, manifests: int) -> None:
        self._write(_images(self.manifests, manifests, first=self.manifests == 0))
        self.manifests = manifests

    def measure(self, loading: float) -> Measured:
        """The links at once, their blobs an hour later, then what is left of the objects."""
        table = self.deployment._tables.usage
        table(account=ACCOUNT, bytes=GARBAGE * SIZE, free=0, level=0).save()
        before = self.rows, self.bytes
        self._write(_garbage(int(self.clock())))
        self.rows, self.bytes = before
        self.ahead += DAY + 1
        freed, calls, begun = 0, 0, time.perf_counter()
        for _ in range(3):
            with counted() as seen:
                report = self.deployment.collector.run(float("inf"))
            assert report.is_complete
            assert not report.failures
            freed += report.total.blobs
            calls += seen.total()
            self.ahead += 3601
        seconds = time.perf_counter() - begun
        assert freed == GARBAGE, freed
        pages = -(-self.bytes // PAGE_BYTES)
        return Measured(self.manifests, self.rows, pages, loading, freed, calls, seconds)

    def _write(self, rows: Iterator[Row]) -> None:
        with ThreadPoolExecutor(WRITERS) as pool:
            batches = iter(lambda: list(islice(rows, BATCH)), [])
            while some := list(islice(batches, WRITERS * 4)):
                list(pool.map(self._write_batch, some))

    def _write_batch(self, batch: list[Row]) -> None:
        prefix = self.deployment.settings.table_prefix
        asked: dict[str, list[Any]] = {}
        for table, item in batch:
            asked.setdefault(prefix + table, []).append({"PutRequest": {"Item": item}})
            self.rows += 1
            self.bytes += _size(item)
        while asked:
            asked = self.deployment.dynamodb.batch_write_item(RequestItems=asked)["UnprocessedItems"]


def _images(start: int, end: int, *, first: bool) -> Iterator[Row]:
    """A thousand to a repository."""
    shared = [_digest(f"shared {number}") for number in range(2)]
    if first:
        for digest in shared:
            yield "blobs", _blob(digest, links=1000)
    for number in range(start, end):
        repository = f"{ACCOUNT}/registry/app-{number // 1000}"
        digest, own = _digest(f"manifest {number}"), _digest(f"blob {number}")
        holds = "\n".join(f"b{one}" for one in sorted([own, *shared]))
        yield (
            "manifests",
            {
                **_strings(repository=repository, digest=digest, state="live", holds=holds),
                **_strings(media_type="application/vnd.oci.image.manifest.v1+json"),
                **_numbers(size=600, held=3, tags=1, parents=0),
                "raw": {"B": b"{" + b" " * 598 + b"}"},
            },
        )
        if number % 1000 == 0:
            for one in shared:
                yield "links", _link(repository, one, references=1000)
        yield "links", _link(repository, own, references=1)
        yield "blobs", _blob(own, links=1)


def _garbage(idle: int) -> Iterator[Row]:
    for number in range(GARBAGE):
        digest = _digest(f"garbage {number}")
        mark = {**_strings(shard=shard_of(digest)), **_numbers(idle=idle)}
        yield "links", {**_link(f"{ACCOUNT}/registry/app-0", digest, references=0), **mark}
        yield "blobs", _blob(digest, links=1)


def _link(repository: str, digest: str, references: int) -> dict[str, Any]:
    return {
        **_strings(repository=repository, digest=digest, storage_key=_key(digest)),
        **_numbers(size=SIZE, references=references),
    }


def _blob(digest: str, links: int) -> dict[str, Any]:
    return {
        **_strings(account=ACCOUNT, digest=digest, storage_key=_key(digest)),
        **_numbers(size=SIZE, links=links, kept=0),
    }


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _key(digest: str) -> str:
    return f"blobs/{ACCOUNT}/registry/{digest[7:39]}/{digest[39:55]}"


def _strings(**values: str) -> dict[str, Any]:
    return {name: {"S": value} for name, value in values.items()}


def _numbers(**values: int) -> dict[str, Any]:
    return {name: {"N": str(value)} for name, value in values.items()}


def _size(item: dict[str, Any]) -> int:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html."""
    return sum(
        len(name) + (len(one) // 2 + 1 if kind == "N" else len(one))
        for name, value in item.items()
        for kind, one in value.items()
    )


def run(sizes: Iterable[int], backend: str, folder: Path) -> Iterator[Measured]:
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        prepared = Engines(folder, stack).deployment(BACKENDS[backend])
        store = Store(prepared)
        store.deployment = Deployment(prepared.settings, clock=store.clock)
        for size in sorted(sizes):
            begun = time.perf_counter()
            store.fill(size)
            yield store.measure(time.perf_counter() - begun)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.benchmarks.collection")
    parser.add_argument("--manifests", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--engines", choices=sorted(BACKENDS), default="embedded")
    options = parser.parse_args()
    names = ("manifests", "rows stored", "blobs freed", "calls", "calls a blob", "ms a blob")
    table = Table(title=f"collection, {options.engines}; {3 * 6 * len(SHARDS)} of the calls look for work")
    for name in (*names, "mark and sweep: rows read", "in pages of 1 MiB", "loading, s"):
        table.add_column(name, justify="right")
    with tempfile.TemporaryDirectory(prefix="ccr-bench-") as folder:
        for one in run(options.manifests, options.engines, Path(folder)):
            table.add_row(
                *(f"{one.manifests:,}", f"{one.rows:,}", f"{one.freed}", f"{one.calls}"),
                *(f"{one.calls / one.freed:.2f}", f"{1000 * one.seconds / one.freed:.0f}"),
                *(f"{one.rows:,}", f"{one.pages:,}", f"{one.loading:.0f}"),
            )
            print(one, flush=True)
    Console(width=150).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
