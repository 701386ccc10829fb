"""A writer that sleeps beyond its lease, while another takes the session over and finishes it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.registry.parts import PART_SIZE
from chalicelib.registry.stores import Link
from chalicelib.registry.uploads import LEASE_SECONDS, Chunk, Uploads
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import RegistryError
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.invariants import broken
from tests.stores.race import race


@dataclass
class Clock:
    now: float = 1_800_000_000

    def __call__(self) -> float:
        return self.now


@dataclass
class Sleeper:
    """Stands for a store; before its first call of `method` it sleeps, and `meanwhile` happens."""

    inner: Any
    method: str
    meanwhile: Callable[[], object]
    happened: list[object] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        if name == self.method and not self.happened:
            self.happened.append(None)
            self.meanwhile()
        return getattr(self.inner, name)


@pytest.fixture
def uploads(on_engines: Deployment) -> Uploads:
    """With a clock that the test moves."""
    return replace(on_engines.services.uploads, clock=Clock())


@pytest.fixture(params=[1000, PART_SIZE + 1000], ids=["small", "multipart"])
def content(request: pytest.FixtureRequest) -> bytes:
    return os.urandom(request.param)


def _started(uploads: Uploads, repository: Repository, content: bytes) -> str:
    session = uploads.open(repository).session
    uploads.append(repository, session, Chunk([content]))
    return session


@dataclass
class Takeover:
    """Another writer closes the session once the lease has run out."""

    uploads: Uploads
    repository: Repository
    session: str
    content: bytes
    published: Link | None = None

    def __call__(self) -> None:
        """Where the sleeper had completed the multipart upload already, nobody can go on from there."""
        clock: Any = self.uploads.clock
        clock.now += LEASE_SECONDS + 1
        digest = Digest.of(self.content)
        with contextlib.suppress(ClientError):
            self.published = self.uploads.close(self.repository, self.session, digest, Chunk([]))

    def check(self, deployment: Deployment) -> None:
        """What was acknowledged is there, and nothing is where nothing was."""
        digest, blobs = Digest.of(self.content), deployment.services.blobs
        assert self.published is not None or len(self.content) > PART_SIZE
        found = blobs.links.get(self.repository, digest)
        assert (found and replace(found, idle=0)) == self.published
        if self.published is not None:
            assert blobs.objects.get(self.published.storage_key) == self.content
        assert not [line for line in broken(deployment, [self.repository]) if "named by no row" not in line]


def test_writer_that_wakes_too_late_to_publish_leaves_the_published_blob(
    on_engines: Deployment, uploads: Uploads, repository: Repository, content: bytes
) -> None:
    session = _started(uploads, repository, content)
    meanwhile = Takeover(uploads, repository, session, content)
    slow = replace(uploads, blobs=Sleeper(uploads.blobs, "publish", meanwhile))
    with pytest.raises(RegistryError):
        slow.close(repository, session, Digest.of(content), Chunk([]))
    meanwhile.check(on_engines)


def test_writer_that_wakes_too_late_to_complete_leaves_the_published_blob(
    on_engines: Deployment, uploads: Uploads, repository: Repository
) -> None:
    """S3 lets a multipart upload be completed twice, for a while."""
    content = os.urandom(PART_SIZE + 1000)
    session = _started(uploads, repository, content)
    meanwhile = Takeover(uploads, repository, session, content)
    slow = replace(uploads, multipart=Sleeper(uploads.multipart, "complete", meanwhile))
    with pytest.raises((RegistryError, ClientError)):
        slow.close(repository, session, Digest.of(content), Chunk([]))
    meanwhile.check(on_engines)


def test_writer_that_wakes_with_a_wrong_digest_leaves_the_published_blob(
    on_engines: Deployment, uploads: Uploads, repository: Repository, content: bytes
) -> None:
    session = _started(uploads, repository, content)
    meanwhile = Takeover(uploads, repository, session, content)

    def nothing() -> Iterator[bytes]:
        yield from ()
        meanwhile()

    with pytest.raises(RegistryError):
        uploads.close(repository, session, Digest.of(b"something else"), Chunk(nothing()))
    meanwhile.check(on_engines)


def test_writer_that_wakes_with_a_wrong_digest_of_another_algorithm_leaves_the_published_blob(
    on_engines: Deployment, uploads: Uploads, repository: Repository, content: bytes
) -> None:
    """Its bytes are read back, since they were hashed as sha256 while they came."""
    session = _started(uploads, repository, content)
    meanwhile = Takeover(uploads, repository, session, content)
    slow = replace(uploads, objects=Sleeper(uploads.objects, "blocks", meanwhile))
    with pytest.raises(RegistryError):
        slow.close(repository, session, Digest.of(b"something else", "sha512"), Chunk([]))
    meanwhile.check(on_engines)


def test_writer_that_wakes_with_bytes_to_add_leaves_the_published_blob(
    on_engines: Deployment, uploads: Uploads, repository: Repository, content: bytes
) -> None:
    session = _started(uploads, repository, content)
    meanwhile = Takeover(uploads, repository, session, content)

    def late() -> Iterator[bytes]:
        yield b"some bytes"
        meanwhile()
        yield os.urandom(PART_SIZE)

    with pytest.raises((RegistryError, ClientError)):
        uploads.append(repository, session, Chunk(late()))
    meanwhile.check(on_engines)


def test_wrong_digest_leaves_nothing_behind(
    on_engines: Deployment, uploads: Uploads, repository: Repository, content: bytes
) -> None:
    for algorithm in ("sha256", "sha512"):
        session = _started(uploads, repository, content)
        with pytest.raises(RegistryError):
            uploads.close(repository, session, Digest.of(b"something else", algorithm), Chunk([]))
        assert uploads.sessions.get(session) is None
    assert broken(on_engines, [repository]) == []


def test_closing_and_cancelling_at_once_never_breaks_a_blob(
    on_engines: Deployment, uploads: Uploads, repository: Repository
) -> None:
    published = []
    for _ in range(6):
        content = os.urandom(3000)
        session = _started(uploads, repository, content)
        digest = Digest.of(content)
        closed, _ = race(
            [
                lambda s=session, d=digest: uploads.close(repository, s, d, Chunk([])),
                lambda s=session: uploads.cancel(repository, s),
            ]
        )
        if isinstance(closed, Link):
            published.append(content)
        else:
            assert on_engines.services.blobs.links.get(repository, digest) is None
    for content in published:
        link = on_engines.services.blobs.find(repository, Digest.of(content))
        assert on_engines.services.blobs.objects.get(link.storage_key) == content
    assert broken(on_engines, [repository]) == []
