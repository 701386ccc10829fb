"""Pushes and pulls one image as clients do: PATCH stream and empty PUT, four layers at once."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import aiohttp

from tests.benchmarks.images import Layer, LayeredImage
from tests.benchmarks.subjects import Subject
from tests.support.content import OCI_IMAGE, digest_of

AT_ONCE = 4
REPOSITORY = "bench/app"
_MB = 1_000_000


@dataclass(frozen=True)
class Transfer:
    """Seconds for one image, there and back."""

    image: str
    size: int
    push: float
    pull: float

    def cells(self) -> tuple[str, ...]:
        return (
            self.image,
            f"{self.push:.2f}",
            f"{self.size / self.push / _MB:.0f}",
            f"{self.pull:.2f}",
            f"{self.size / self.pull / _MB:.0f}",
        )


class Registry:
    """A logged-in client of one registry."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self.authorization: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=64)
        timeout = aiohttp.ClientTimeout(total=None, sock_read=300)
        self.session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        await self._log_in()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    def url(self, path: str) -> str:
        return f"{self._subject.url}/v2/{REPOSITORY}/{path}"

    async def _log_in(self) -> None:
        if self._subject.login is None:
            return
        async with self.session.get(f"{self._subject.url}/v2/") as answer:
            challenge = dict(re.findall(r'(\w+)="([^"]*)"', answer.headers["WWW-Authenticate"]))
        params = {"service": challenge["service"], "scope": f"repository:{REPOSITORY}:pull,push"}
        auth = aiohttp.BasicAuth(*self._subject.login)
        async with self.session.get(challenge["realm"], params=params, auth=auth) as answer:
            self.authorization = {"Authorization": f"Bearer {(await answer.json())['token']}"}

    async def send(
        self, method: str, url: str, wanted: int, **options: object
    ) -> tuple[Mapping[str, str], bytes]:
        async with self.session.request(method, url, headers=self._headers(options), **options) as answer:  # type: ignore[arg-type]
            body = await answer.read()
            if answer.status != wanted:
                raise RuntimeError(f"{method} {url}: {answer.status} {body[:300]!r}")
            return answer.headers, body

    def _headers(self, options: dict[str, object]) -> dict[str, str]:
        more = options.pop("headers", {})
        return {**self.authorization, **more}  # type: ignore[dict-item]


async def timed_transfer(registry: Registry, image: LayeredImage) -> Transfer:
    push = await _timed(lambda: _push(registry, image))
    pull = await _timed(lambda: _pull(registry, image))
    return Transfer(image.name, image.size, push, pull)


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    begin = time.perf_counter()
    await work()
    return time.perf_counter() - begin


async def _push(registry: Registry, image: LayeredImage) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def layer(one: Layer) -> None:
        async with slots:
            await _push_blob(registry, one.digest, _stream(one))

    await asyncio.gather(*(layer(one) for one in image.layers))
    await _push_blob(registry, digest_of(image.config), image.config)
    headers = {"Content-Type": OCI_IMAGE}
    await registry.send("PUT", registry.url("manifests/latest"), 201, data=image.manifest, headers=headers)


async def _push_blob(registry: Registry, digest: str, content: AsyncIterator[bytes] | bytes) -> None:
    told, _ = await registry.send("POST", registry.url("blobs/uploads/"), 202)
    begun = urljoin(registry.url(""), told["Location"])
    octets = {"Content-Type": "application/octet-stream"}
    told, _ = await registry.send("PATCH", begun, 202, data=content, headers=octets)
    location = urljoin(registry.url(""), told["Location"])
    await registry.send("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}", 201)


async def _stream(layer: Layer) -> AsyncIterator[bytes]:
    for block in layer.blocks():
        yield block


async def _pull(registry: Registry, image: LayeredImage) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def layer(one: Layer) -> None:
        async with slots:
            await _pull_blob(registry, one)

    await registry.send("GET", registry.url("manifests/latest"), 200, headers={"Accept": OCI_IMAGE})
    await registry.send("GET", registry.url(f"blobs/{digest_of(image.config)}"), 200)
    await asyncio.gather(*(layer(one) for one in image.layers))


async def _pull_blob(registry: Registry, layer: Layer) -> None:
    """Follows a redirect; the client drops the login there, as real ones do."""
    got = 0
    url = registry.url(f"blobs/{layer.digest}")
    async with registry.session.get(url, headers=registry.authorization) as answer:
        async for block in answer.content.iter_any():
            got += len(block)
    if answer.status != 200 or got != layer.size:
        raise RuntimeError(f"GET {url}: {answer.status}, {got} of {layer.size} bytes")
