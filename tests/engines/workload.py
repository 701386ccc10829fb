"""Threads that push, move and delete until told to stop, and write down what was acknowledged."""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from requests import RequestException, Response

from tests.engines.history import History, Subject
from tests.support import content
from tests.support.client import Client
from tests.support.content import Document, digest_of
from tests.support.process import RegistryProcess

WRITERS = 3
LARGE = 9 * 1024 * 1024
BLOCK = 256 * 1024
SHARED = [digest_of(bytes([number])).encode() * 500 for number in range(12)]


@dataclass
class Workload:
    """Each writer has a repository of its own, so the order of the writes to a tag is known."""

    registry: RegistryProcess
    history: History
    prefix: str
    seed: int
    errors: list[str] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)
    _broken: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for number in range(WRITERS):
            writer = Writer(self.client(f"w{number}"), self.history, self._chance(number))
            self._run(writer.step)
        self._run(Dawdler(self.client("slow"), self.history, self._chance(WRITERS), self._ending).step)

    def _chance(self, number: int) -> random.Random:
        return random.Random(f"{self.seed} {self.prefix} {number}")

    def client(self, name: str) -> Client:
        one = self.registry
        return Client(one.url, one.username, one.password, f"{self.prefix}/{name}")

    def kill(self) -> float:
        """Kill everything in the midst of it all; return when."""
        self._broken.set()
        at = time.monotonic()
        self.registry.kill()
        self.finish()
        return at

    def finish(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(120)

    def _run(self, step: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._until_told, args=(step,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _until_told(self, step: Callable[[], None]) -> None:
        while not self._ending.is_set():
            try:
                step()
            except RequestException:
                if not self._broken.is_set():
                    self.errors.append(traceback.format_exc())
                return
            except Exception:  # noqa: BLE001 - whatever a thread says goes into the report
                self.errors.append(traceback.format_exc())
                return


@dataclass
class Writer:
    """What a few busy clients do to one repository."""

    client: Client
    history: History
    random: random.Random
    images: dict[str, Document] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    children: set[str] = field(default_factory=set)

    def step(self) -> None:
        verbs = [self.push, self.push, self.push_shared, self.push_index, self.retag, self.untag]
        verbs += [self.delete_manifest, self.delete_blob]
        self.random.choice(verbs)()

    def subject(self, kind: str, name: str) -> Subject:
        return Subject(self.client.repository, kind, name)  # type: ignore[arg-type]

    def push(self) -> None:
        sizes = [self.random.randrange(1, 200_000) for _ in range(self.random.randrange(1, 4))]
        layers = [self.random.randbytes(size) for size in sizes]
        if self.random.random() < 0.2:
            layers.append(self.random.randbytes(LARGE))
        self.push_document(content.image(*layers))

    def push_shared(self) -> None:
        """Layers that other writers push to their repositories at the same time."""
        self.push_document(content.image(*self.random.sample(SHARED, 2)))

    def push_index(self) -> None:
        if len(self.images) < 2:
            return
        named = self.random.sample(sorted(self.images), 2)
        self.children.update(named)
        self.put(content.index(*(self.images[digest] for digest in named)))

    def push_document(self, document: Document) -> None:
        for blob in document.blobs:
            self.push_blob(blob)
        self.put(document)
        self.images[document.digest] = document

    def push_blob(self, blob: bytes) -> str:
        digest = digest_of(blob)
        if self.client.head(f"blobs/{digest}").status_code == 200:
            return digest
        location, rest = self.client.open_upload(), blob
        if len(blob) >= LARGE:
            location, rest = self.patched(location, blob), b""
        with self.history.writing({self.subject("blob", digest): digest}):
            _expect(self.client.close_upload(location, digest, rest), 201)
        return digest

    def patched(self, location: str, blob: bytes) -> str:
        """One stream, or two chunks of which the first leaves a tail behind its parts."""
        if self.random.random() < 0.5:
            answer = self.client.patch(location, iter([blob]))
            return _expect(answer, 202).headers["Location"]
        cut = self.random.randrange(1, len(blob))
        for chunk in (blob[:cut], blob[cut:]):
            location = _expect(self.client.patch(location, chunk), 202).headers["Location"]
        return location

    def put(self, document: Document, tag: str = "") -> None:
        tag = tag or f"v{self.random.randrange(12)}"
        wanted: dict[Subject, str | None] = {
            self.subject("manifest", document.digest): document.digest,
            self.subject("tag", tag): document.digest,
        }
        with self.history.writing(wanted):
            _expect(self.client.put_manifest(document, tag), 201)
        self.tags[tag] = document.digest

    def retag(self) -> None:
        if self.images:
            self.put(self.images[self.random.choice(sorted(self.images))])

    def untag(self) -> None:
        if not self.tags:
            return
        tag = self.random.choice(sorted(self.tags))
        with self.history.writing({self.subject("tag", tag): None}):
            _expect(self.client.delete(f"manifests/{tag}"), 202)
        del self.tags[tag]

    def delete_manifest(self) -> None:
        """With every tag that names it."""
        alone = sorted(self.images.keys() - self.children)
        if not alone:
            return
        digest = self.random.choice(alone)
        named = [tag for tag, target in self.tags.items() if target == digest]
        wanted: dict[Subject, str | None] = dict.fromkeys([self.subject("tag", tag) for tag in named])
        with self.history.writing({self.subject("manifest", digest): None, **wanted}):
            _expect(self.client.delete(f"manifests/{digest}"), 202)
        del self.images[digest]
        for tag in named:
            del self.tags[tag]

    def delete_blob(self) -> None:
        digest = self.push_blob(self.random.randbytes(2000))
        with self.history.writing({self.subject("blob", digest): None}):
            _expect(self.client.delete(f"blobs/{digest}"), 202)


@dataclass
class Dawdler:
    """Always in the middle of an upload, in one of its two forms."""

    client: Client
    history: History
    random: random.Random
    ending: threading.Event

    def step(self) -> None:
        blob = self.random.randbytes(LARGE + self.random.randrange(LARGE))
        digest = digest_of(blob)
        repository = self.client.repository
        self.history.unfinished.add((repository, digest))
        location = self.client.open_upload()
        if self.random.random() < 0.5:
            _expect(self.client.patch(location, self.slowly(blob)), 202)
            return
        subject = Subject(repository, "blob", digest)
        with self.history.writing({subject: digest}):
            _expect(self.client.close_upload(location, digest, self.slowly(blob, digest)), 201)

    def slowly(self, blob: bytes, digest: str = "") -> Iterator[bytes]:
        for first in range(0, len(blob), BLOCK):
            if first + BLOCK >= len(blob) and digest:
                self.history.unfinished.discard((self.client.repository, digest))
            yield blob[first : first + BLOCK]
            self.ending.wait(0.03)


def _expect(answer: Response, status: int) -> Response:
    assert answer.status_code == status, (answer.request.method, answer.url, answer.status_code, answer.text)
    return answer
