"""Brings blobs out of a repository: ranges of them, several at once, verified, going on where it broke."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from ccr.cli.transfer.blobs_at_once import each
from ccr.cli.transfer.content import DamagedError, Region, algorithm_of, short
from ccr.cli.transfer.destinations import PART, Destination, Slot
from ccr.cli.transfer.distribution import Distribution, Location
from ccr.cli.transfer.progress import Bar, Bars
from ccr.cli.transfer.retry import Patience
from ccr.cli.transfer.storage import ExpiredError, Storage

_URLS: Final = 3


@dataclass(frozen=True, slots=True)
class Received:
    """`bytes` are those that travelled in this run."""

    digest: str
    size: int
    bytes: int


class Pull:
    """Of one image. At most `jobs` ranges travel at once, and a block of each is in memory."""

    def __init__(self, distribution: Distribution, patience: Patience, jobs: int) -> None:
        self._distribution, self._patience = distribution, patience
        self._storage = Storage(patience)
        self._parts = ThreadPoolExecutor(jobs, "part")

    def all(self, destination: Destination, bars: Bars) -> list[Received]:
        """Raises CliError; nothing goes on in the background then."""
        slots = sorted(destination.slots(), key=lambda one: -one.blob.size)
        return each(slots, lambda slot: self._blob(slot, destination, bars), self._patience, self._parts)

    def _blob(self, slot: Slot, destination: Destination, bars: Bars) -> Received:
        """Once more from the beginning where what arrived is something else."""
        bar = bars.bar(short(slot.blob.digest), slot.blob.size)
        received = _Receiving(slot, bar, self._distribution)
        found = self._receive(received)
        if found != slot.blob.digest:
            slot.arrivals.forget(slot.blob.digest)
            bar.restart()
            found = self._receive(received)
        if found != slot.blob.digest:
            slot.arrivals.forget(slot.blob.digest)
            raise DamagedError(f"what arrives for {slot.blob.digest} is {found}, twice")
        destination.arrived(slot)
        bar.done("pulled")
        return Received(slot.blob.digest, slot.blob.size, received.bytes)

    def _receive(self, receiving: _Receiving) -> str:
        """Hashes parts in their order, while later ones arrive; the digest found."""
        slot, under_way = receiving.slot, list[Future[None] | None]()
        algorithm = algorithm_of(slot.blob.digest)
        state = hashlib.new(algorithm)
        regions = receiving.regions()
        for number, region in enumerate(regions):
            if slot.arrivals.has(slot.blob.digest, number):
                receiving.bar.moved(region.size)
                under_way.append(None)
            else:
                under_way.append(self._parts.submit(self._part, receiving, number, region))
        for region, future in zip(regions, under_way, strict=True):
            if future is not None:
                future.result()
            for block in region.blocks():
                self._patience.check()
                state.update(block)
        return f"{algorithm}:{state.hexdigest()}"

    def _part(self, receiving: _Receiving, number: int, region: Region) -> None:
        """With a new URL where the first has expired meanwhile."""
        for attempt in range(_URLS):
            location = receiving.location()
            try:
                self._patience.again(
                    lambda: self._storage.get(
                        location.url,  # noqa: B023
                        location.headers,  # noqa: B023
                        region,
                        number * PART,
                        receiving.bar.moved,
                    )
                )
            except ExpiredError:
                receiving.expired(location)
                if attempt == _URLS - 1:
                    raise
            else:
                receiving.arrived(number, region.size)
                return


class _Receiving:
    """One blob, and where it is at the moment."""

    def __init__(self, slot: Slot, bar: Bar, distribution: Distribution) -> None:
        self.slot, self.bar, self.bytes = slot, bar, 0
        self._distribution = distribution
        self._location: Location | None = None
        self._lock = threading.Lock()

    def regions(self) -> Sequence[Region]:
        region = self.slot.region
        return [region.part(start, min(PART, region.size - start)) for start in range(0, region.size, PART)]

    def location(self) -> Location:
        """Asked for once, by whoever comes first."""
        with self._lock:
            if self._location is None:
                self._location = self._distribution.locate(self.slot.blob.digest)
            return self._location

    def expired(self, location: Location) -> None:
        with self._lock:
            if self._location is location:
                self._location = None

    def arrived(self, number: int, size: int) -> None:
        with self._lock:
            self.slot.arrivals.add(self.slot.blob.digest, number)
            self.bytes += size
