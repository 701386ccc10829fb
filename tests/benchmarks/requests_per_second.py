"""Requests a second and their latency, at several numbers of connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.benchmarks.images import LayeredImage
from tests.benchmarks.transfer import Registry
from tests.support.content import OCI_IMAGE

CONNECTIONS = (1, 8, 32)
WARM_UP = 20
_CALLS = "X-CCR-Backend-Calls"


@dataclass(frozen=True)
class Load:
    """What one kind of request came to."""

    request: str
    connections: int
    rate: float
    p50: float
    p99: float
    calls: str

    def cells(self) -> tuple[str, ...]:
        return (
            str(self.connections),
            f"{self.rate:.0f}",
            f"{self.p50 * 1000:.1f}",
            f"{self.p99 * 1000:.1f}",
            self.calls,
        )


async def measure(registry: Registry, image: LayeredImage, seconds: float) -> list[Load]:
    """Each request at each number of connections, for `seconds`."""
    accept = {"Accept": OCI_IMAGE}
    requests = {
        "GET manifest by tag": (registry.url("manifests/latest"), accept),
        "GET blob": (registry.url(f"blobs/{image.layers[0].digest}"), {"Range": "bytes=0-0"}),
        "GET tags/list": (registry.url("tags/list"), {}),
    }
    return [
        await _load(registry, name, target, connections, seconds)
        for name, target in requests.items()
        for connections in CONNECTIONS
    ]


async def _load(
    registry: Registry, name: str, target: tuple[str, dict[str, str]], connections: int, seconds: float
) -> Load:
    url, headers = target[0], {**registry.authorization, **target[1]}
    calls = "none"

    async def once() -> None:
        nonlocal calls
        async with registry.session.get(url, headers=headers, allow_redirects=False) as answer:
            await answer.read()
            if answer.status >= 400:
                raise RuntimeError(f"GET {url}: {answer.status}")
            calls = answer.headers.get(_CALLS, calls)

    rate, p50, p99 = await repeated(once, connections, seconds)
    return Load(name, connections, rate, p50, p99, calls)


async def repeated(
    once: Callable[[], Awaitable[None]], connections: int, seconds: float
) -> tuple[float, float, float]:
    """How often a second it was done, and the median and the 99th percentile of its seconds."""
    for _ in range(WARM_UP):
        await once()
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def caller() -> None:
        while (begin := time.perf_counter()) < end:
            await once()
            times.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(connections)))
    elapsed = time.perf_counter() - begin
    times.sort()
    return len(times) / elapsed, times[len(times) // 2], times[int(len(times) * 0.99)]
