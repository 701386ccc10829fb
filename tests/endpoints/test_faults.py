"""Random pushes while every call to S3 and DynamoDB may fail, be throttled, or lose its answer.

From fixed seeds, in every way of uploading that moto can carry; clients try again as real ones do.
125 pushes take half a minute; `CCR_PROPERTIES=long` makes 1,000 from eight seeds, each on empty tables:
moto copies all of them for each transaction.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from botocore import retryhandler
from botocore.endpoint import Endpoint
from botocore.exceptions import BotoCoreError, EndpointConnectionError, ReadTimeoutError
from botocore.retries import standard
from pynamodb.exceptions import PynamoDBException

from chalicelib.aws import transactions
from chalicelib.registry.stores import LIVE
from chalicelib.registry.uploads import LEASE_SECONDS, Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import RegistryError
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.endpoints.driver import IMAGE, Answer, Driver
from tests.properties.effort import LONG
from tests.stores.invariants import rows_of, wrong_counts

PUSHES: Final = 125 if LONG else 50
SEEDS: Final = range(20261124, 20261124 + (8 if LONG else 1))
TRIES: Final = 6
REPOSITORIES: Final = tuple(Repository("default", f"dev/app{number}") for number in range(3))
LAYERS: Final = [f"layer {number}".encode() * (number * 37 % 11 + 1) for number in range(60)]


@dataclass
class Faults:
    """What happens to calls while `rate` is above 0; it counts what it did."""

    random: random.Random
    rate: float = 0.0
    done: dict[str, int] = field(default_factory=dict)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Below botocore's retries, which have their part in it."""
        get = Endpoint._do_get_response

        def faulty(endpoint: Endpoint, *args: Any) -> Any:
            fate = self._fate()
            if fate == "fails":
                return None, EndpointConnectionError(endpoint_url=endpoint.host)
            answer = get(endpoint, *args)
            if fate == "loses its answer":
                return None, ReadTimeoutError(endpoint_url=endpoint.host)
            return answer

        patch.setattr(Endpoint, "_do_get_response", faulty)
        patch.setattr(standard.ExponentialBackoff, "delay_amount", lambda *_: 0)
        patch.setattr(retryhandler, "delay_exponential", lambda *_: 0)
        patch.setattr(transactions, "_FIRST_WAIT", 0)

    def _fate(self) -> str:
        fate = "goes well"
        if self.random.random() < self.rate:
            fate = self.random.choice(["fails", "loses its answer"])
        self.done[fate] = self.done.get(fate, 0) + 1
        return fate


@pytest.fixture(params=SEEDS)
def faults(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Faults:
    faults = Faults(random.Random(request.param))
    faults.install(monkeypatch)
    return faults


@dataclass
class Pusher:
    """A client that pushes small images of a few shared layers, and tries again what fails."""

    driver: Driver
    faults: Faults
    now: list[float]
    acknowledged: dict[tuple[str, str], Digest] = field(default_factory=dict)
    published: set[tuple[str, Digest]] = field(default_factory=set)

    def push(self, number: int) -> None:
        pick = self.faults.random
        repository = pick.choice(REPOSITORIES)
        self.driver.repository = repository.name
        layers = pick.sample(LAYERS, pick.randint(1, 3))
        if not all(self._upload(repository, layer) for layer in [b"{}", *layers]):
            return
        document = {"schemaVersion": 2, "mediaType": IMAGE, "config": self._descriptor(b"{}"), "n": number}
        document["layers"] = [self._descriptor(layer) for layer in layers]
        raw, tag = json.dumps(document).encode(), f"t{number % 50}"
        answer = self._tried(lambda: self.driver.put_raw(tag, raw))
        if answer is not None and answer.status == 201:
            self.acknowledged[repository.name, tag] = Digest.of(raw)
        else:
            # Nobody knows: it may have been written before its answer was lost.
            self.acknowledged.pop((repository.name, tag), None)

    def log_in(self) -> None:
        """Undisturbed, before the token of before has expired."""
        rate, self.faults.rate = self.faults.rate, 0.0
        scopes = [f"repository:{one.name}:pull,push,delete" for one in REPOSITORIES]
        self.driver.log_in(" ".join(scopes))
        self.faults.rate = rate

    def _upload(self, repository: Repository, content: bytes) -> bool:
        way = self.faults.random.choice([self._whole, self._streamed, self._through_a_gateway, self._mounted])
        digest = Digest.of(content)
        for _ in range(TRIES):
            answer = self._once(lambda: way(repository, content, digest))
            if answer is not None and answer.status == 201:
                self.published.add((repository.name, digest))
                return True
        return False

    def _whole(self, _: Repository, content: bytes, digest: Digest) -> Answer:
        opened = self.driver.call("POST", self.driver.of("blobs/uploads/"))
        if opened.status != 202:
            return opened
        return self.driver.call("PUT", opened.headers["location"], {"digest": digest}, content)

    def _streamed(self, _: Repository, content: bytes, digest: Digest) -> Answer:
        opened = self.driver.call("POST", self.driver.of("blobs/uploads/"))
        location, sent = opened.headers.get("location", ""), 0
        while location and sent < len(content):
            chunk = content[sent : sent + self.faults.random.randint(1, 40)]
            end = sent + len(chunk) - 1
            answer = self.driver.call("PATCH", location, body=chunk, content_range=f"{sent}-{end}")
            if answer.status == 416:
                # Its answer was lost: the registry says how far it is.
                sent = answer.document["errors"][0]["detail"]["offset"]
                continue
            if answer.status != 202:
                return answer
            location, sent = answer.headers["location"], end + 1
        return self.driver.call("PUT", location, {"digest": digest}) if location else opened

    def _through_a_gateway(self, repository: Repository, content: bytes, digest: Digest) -> Answer:
        opened = self.driver.call("POST", self.driver.of("blobs/uploads/"))
        if opened.status != 202:
            return opened
        session = opened.headers["docker-upload-uuid"]
        chunk = Chunk([content], len(content))
        self.driver.deployment.services.uploads.verify(repository, session, digest, chunk)
        for _ in range(TRIES):
            answer = self.driver.call("PUT", opened.headers["location"], {"digest": digest})
            if answer.status == 201:
                break
        return answer

    def _mounted(self, _: Repository, content: bytes, digest: Digest) -> Answer:
        source = self.faults.random.choice(REPOSITORIES).name
        query = {"mount": digest, "from": source}
        answer = self.driver.call("POST", self.driver.of("blobs/uploads/"), query)
        if answer.status == 202:
            return self.driver.call("PUT", answer.headers["location"], {"digest": digest}, content)
        return answer

    def _tried(self, request: Callable[[], Answer]) -> Answer | None:
        answer = None
        for _ in range(TRIES):
            answer = self._once(request)
            if answer is not None and answer.status < 429:
                break
        return answer

    def _once(self, request: Callable[[], Answer]) -> Answer | None:
        # As long as a client would wait, so that a session whose writer was lost is free again.
        self.now[0] += LEASE_SECONDS + 1
        try:
            return request()
        except (RegistryError, BotoCoreError, PynamoDBException):
            # What a gateway would answer with an error.
            return None

    @staticmethod
    def _descriptor(content: bytes) -> dict[str, Any]:
        return {
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": str(Digest.of(content)),
            "size": len(content),
        }


@pytest.fixture
def pusher(driver: Driver, faults: Faults) -> Iterator[Pusher]:
    now = [driver.deployment.services.uploads.clock()]
    with pytest.MonkeyPatch.context() as patch:
        uploads = driver.deployment.services.uploads
        object.__setattr__(uploads, "clock", lambda: now[0])
        patch.setattr(driver.deployment.services.revocations, "clock", lambda: 1.0)
        pusher = Pusher(driver, faults, now)
        pusher.log_in()
        yield pusher
        object.__setattr__(uploads, "clock", time.time)


def test_no_push_is_half_published_and_no_session_is_stuck(pusher: Pusher) -> None:
    pusher.push(0)
    pusher.faults.rate = 0.05
    for number in range(1, PUSHES):
        pusher.push(number)
        if number % 50 == 0:
            pusher.log_in()
    pusher.faults.rate = 0.0

    deployment = pusher.driver.deployment
    assert min(pusher.faults.done[fate] for fate in ("fails", "loses its answer")) > PUSHES / 10
    assert len(pusher.acknowledged) > min(100, PUSHES / 3)
    for (name, tag), digest in pusher.acknowledged.items():
        answer = pusher.driver.call("GET", f"/v2/{name}/manifests/{tag}")
        assert (answer.status, Digest.of(answer.body)) == (200, digest)
    for repository in REPOSITORIES:
        check(deployment, repository)
    for name, digest in pusher.published:
        assert pusher.driver.call("HEAD", f"/v2/{name}/blobs/{digest}").status == 307
    pusher.now[0] += LEASE_SECONDS + 1
    for session in sessions(deployment):
        row = deployment.services.uploads.sessions.get(session)
        assert row is not None
        deployment.services.uploads.cancel(row.repository, session)
    assert not sessions(deployment)


def check(deployment: Deployment, repository: Repository) -> None:
    """What can be pulled is whole, and counts are what is counted."""
    rows = rows_of(deployment, repository)
    assert wrong_counts(rows) == []
    for digest, link in rows["links"].items():
        content = deployment.services.blobs.objects.get(link["storage_key"])
        assert content is not None
        assert Digest.of(content) == digest
    for row in rows["manifests"].values():
        assert row["state"] == LIVE


def sessions(deployment: Deployment) -> list[str]:
    found = deployment.dynamodb.scan(TableName=f"{deployment.settings.table_prefix}uploads")["Items"]
    return [item["session"]["S"] for item in found]
