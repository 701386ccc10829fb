"""One process of the soak: a collector, a pusher or a deleter, until it is told to stop or killed."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from chalicelib.aws.clients import is_throttled
from chalicelib.config import Settings
from chalicelib.registry import uploads
from chalicelib.registry.manifests import Push
from chalicelib.registry.trash import Terms
from chalicelib.registry.uploads import Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.manifest import OCI_IMAGE, parse_manifest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment

COLLECTOR, PUSHER, DELETER = "collector", "pusher", "deleter"
ACCOUNT = "default"
PUSHERS = 8
REPOSITORIES = [Repository(ACCOUNT, f"soak/pusher-{number}") for number in range(PUSHERS)]
# Longer than a push takes on a busy machine, or few would succeed.
GRACE = 12
URL_SECONDS = 2
TRASH_SECONDS = 4
SESSION_SECONDS = 8
SHARED = [f"shared by everybody {number}".encode() * 20 for number in range(20)]
BULK = [f"one of many {number}".encode() for number in range(110)]
TAGS = 6
# Refusals that a client meets in such a crowd, and comes back from.
COMMON = {
    ErrorCode.MANIFEST_BLOB_UNKNOWN,
    ErrorCode.MANIFEST_UNKNOWN,
    ErrorCode.TOOMANYREQUESTS,
    ErrorCode.BLOB_UPLOAD_UNKNOWN,
    ErrorCode.BLOB_UNKNOWN,
}


def shorten() -> None:
    """What lasts a day lasts seconds."""
    uploads.SESSION_SECONDS = SESSION_SECONDS  # type: ignore[misc]
    uploads.LEASE_SECONDS = 5  # type: ignore[misc]


def deployment_of(s3: str, dynamodb: str, clock: Callable[[], float] = time.time) -> Deployment:
    shorten()
    settings = Settings(
        token_keys=(b"key of the tests".ljust(32),),
        s3_endpoint=s3,
        s3_public_endpoint=s3,
        dynamodb_endpoint=dynamodb,
        grace_seconds=GRACE,
    )
    deployment = Deployment(settings, clock)
    trash = replace(deployment.trash, terms=lambda _: Terms(TRASH_SECONDS))
    manifests = replace(deployment.services.manifests, trash=trash)
    deployment.services = replace(deployment.services, manifests=manifests)
    deployment.trash = trash
    deployment.collector = replace(deployment.collector, url_seconds=URL_SECONDS)
    return deployment


@dataclass
class Worker:
    """`log` has a line before each change and one after it."""

    deployment: Deployment
    name: str
    folder: Path
    log: TextIO
    chance: random.Random

    def run(self) -> None:
        step = {COLLECTOR: self.collect, PUSHER: self.push, DELETER: self.delete}[self.kind]
        (self.folder / f"{self.name}.ready").touch()
        while not (self.folder / "stop").exists():
            step()

    @property
    def kind(self) -> str:
        return self.name.partition("-")[0]

    @property
    def own(self) -> Repository:
        return REPOSITORIES[int(self.name.partition("-")[2])]

    def write(self, verb: str, state: str, **told: Any) -> None:
        self.log.write(json.dumps({"verb": verb, "state": state, **told}) + "\n")
        self.log.flush()

    def do(self, verb: str, change: Callable[[], Any], **told: Any) -> None:
        """Raises whatever is no common refusal."""
        self.write(verb, "begun", **told)
        try:
            change()
        except RegistryError as error:
            if error.code not in COMMON:
                raise
            self.write(verb, "refused", why=error.code.name, **told)
        except Exception as error:
            if not is_throttled(error):
                raise
            self.write(verb, "refused", why="THROTTLED", **told)
        else:
            self.write(verb, "done", **told)

    def collect(self) -> None:
        report = self.deployment.collector.run(time.time() + 60)
        freed = asdict(report.total)
        self.write("collect", "done", freed=freed, failures=report.failures)

    def push(self) -> None:
        """New bytes and shared ones; sometimes more than one transaction counts; an abandoned upload."""
        fresh = [os.urandom(self.chance.randrange(1, 3000)) for _ in range(self.chance.randrange(1, 3))]
        contents = [*fresh, *self.chance.sample(SHARED, self.chance.randrange(1, 4))]
        if self.chance.random() < 0.03:
            contents += BULK
        if self.chance.random() < 0.2:
            self._abandon()
        if self.chance.random() < 0.2:
            self._drop_blob()
        raw = _document(contents)
        digest, tag = Digest.of(raw), f"v{self.chance.randrange(TAGS)}"
        told = {"repository": self.own.name, "tag": tag, "digest": digest}
        self.do("push", lambda: self._push(contents, raw, digest, tag), **told)

    def _push(self, contents: list[bytes], raw: bytes, digest: Digest, tag: str) -> None:
        for content in contents:
            self._bring(content)
        push = Push(self.own, parse_manifest(raw, OCI_IMAGE), digest, (tag,))
        self.deployment.services.manifests.put(push)

    def _bring(self, content: bytes) -> None:
        """As clients do: not what is there, mounted where another has it, else uploaded."""
        services, digest = self.deployment.services, Digest.of(content)
        if services.blobs.look(self.own, digest):
            return
        other = self.chance.choice(REPOSITORIES)
        if content in SHARED and services.blobs.mount(self.own, digest, other):
            return
        session = services.uploads.open(self.own).session
        cut = self.chance.randrange(len(content)) if self.chance.random() < 0.3 else 0
        if cut:
            services.uploads.append(self.own, session, Chunk([content[:cut]]))
        services.uploads.close(self.own, session, digest, Chunk([content[cut:]]))

    def _abandon(self) -> None:
        session = self.deployment.services.uploads.open(self.own).session
        self.deployment.services.uploads.append(self.own, session, Chunk([os.urandom(500)]))

    def _drop_blob(self) -> None:
        content = os.urandom(300)
        self._bring(content)
        digest = Digest.of(content)
        self.do("drop", lambda: self.deployment.services.blobs.delete(self.own, digest))

    def delete(self) -> None:
        """Some tag's image, or the tag."""
        repository = self.chance.choice(REPOSITORIES)
        manifests = self.deployment.services.manifests
        row = manifests.tags.get(repository, f"v{self.chance.randrange(TAGS)}")
        if row is None:
            time.sleep(0.05)
            return
        told = {"repository": repository.name, "digest": row.digest}
        if self.chance.random() < 0.3:
            self.do("delete", lambda: manifests.untag(repository, row.tag), **told)
        else:
            self.do("delete", lambda: manifests.delete(repository, row.digest), **told)
        time.sleep(0.3)


def _document(contents: list[bytes]) -> bytes:
    entries = [
        {"mediaType": "application/octet-stream", "digest": Digest.of(one), "size": len(one)}
        for one in contents
    ]
    fields = {"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": entries[0], "layers": entries[1:]}
    return json.dumps(fields).encode()


def work(name: str, folder: Path, s3: str, dynamodb: str) -> None:
    """All that a worker process does; what it says of errors is in a file of its own."""
    with (folder / f"{name}.err").open("a") as errors:
        os.dup2(errors.fileno(), 1)
        os.dup2(errors.fileno(), 2)
    with (folder / f"{name}.log").open("a") as log:
        # Whoever was killed before may have left half a line.
        log.write("\n")
        Worker(deployment_of(s3, dynamodb), name, folder, log, random.Random()).run()
