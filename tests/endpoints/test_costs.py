"""`ccr cost` counts with what handlers do: its calls, units and schedules are measured here."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ccr.cli.cost import requests
from ccr.cli.cost.requests import Request
from chalicelib.aws.calls import counted
from chalicelib.aws.staged_store import S3StagedStore
from chalicelib.config import EDGE, FUNCTION
from chalicelib.registry import parts
from chalicelib.registry.parts import PartWriter
from chalicelib.registry.stores import Staged, UploadRow
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from infra.templates import watch
from infra.templates.cloudformation import template
from infra.templates.edge import origin_response
from infra.templates.functions import FUNCTIONS
from infra.templates.lambdas import schedules
from infra.templates.names import logical
from tests.edge.staging import created, stage
from tests.endpoints.driver import PASSWORD, Driver
from tests.endpoints.meter import Meter, metered

PUTS = {"PutObject", "CopyObject", "ListObjectsV2", "CreateMultipartUpload", "UploadPart"} | {
    "CompleteMultipartUpload",
    "UploadPartCopy",
    "ListMultipartUploads",
}


def request_of(meter: Meter, calls: tuple[int, int]) -> Request:
    puts = sum(name in PUTS for name in meter.s3)
    deletes = sum(name.startswith("Delete") for name in meter.s3)
    found = Request(calls[0], meter.reads, meter.writes, puts, len(meter.s3) - puts - deletes, deletes)
    assert found.s3 == calls[1]
    return found


def measured(driver: Driver, *arguments: Any, **options: Any) -> Request:
    with metered(driver.deployment) as meter:
        answer = driver.call(*arguments, **options)
    assert answer.status in {200, 201, 202, 307, 404}, answer
    return request_of(meter, answer.calls)


@pytest.fixture
def warm(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver.warm_up(monkeypatch)
    return driver


@pytest.fixture
def behind_edge(deploy: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver(deploy(uploads=frozenset({FUNCTION, EDGE})))
    driver.log_in()
    driver.warm_up(monkeypatch)
    return driver


def test_token(warm: Driver) -> None:
    basic = "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    asked = {"scope": "repository:dev/app:pull"}
    assert measured(warm, "GET", "/token", asked, authorization=basic) == requests.TOKEN


@pytest.mark.parametrize("layers", [1, 12])
def test_pull(warm: Driver, layers: int) -> None:
    digest = warm.push_image("v1", layers)
    by_digest = warm.of(f"manifests/{digest}")
    assert measured(warm, "HEAD", warm.of("manifests/v1")) == requests.HEAD_MANIFEST
    first, again = measured(warm, "GET", by_digest), measured(warm, "GET", by_digest)
    assert again == requests.get_manifest(layers)
    note = requests.note_pull(layers)
    assert (first.dynamodb, first.writes) == (again.dynamodb + note.dynamodb, note.writes)
    blob = warm.push_blob(b"pulled")
    assert measured(warm, "GET", warm.of(f"blobs/{blob}")) == requests.GET_BLOB


def test_asking_for_a_blob(behind_edge: Driver) -> None:
    there = behind_edge.push_blob(b"there")
    assert measured(behind_edge, "HEAD", behind_edge.of(f"blobs/{there}")) == requests.HEAD_BLOB
    missing = behind_edge.of(f"blobs/{Digest.of(b'missing')}")
    assert measured(behind_edge, "HEAD", missing) == requests.MISSING_BLOB


def test_a_small_upload(warm: Driver) -> None:
    assert measured(warm, "POST", warm.of("blobs/uploads/")) == requests.OPEN_UPLOAD
    where = warm.open_upload()
    content = b"small"
    asked = {"digest": Digest.of(content)}
    assert measured(warm, "PUT", where, asked, content) == requests.CLOSE_SMALL_UPLOAD


def test_an_upload_by_patch(warm: Driver) -> None:
    """Its parts are counted below."""
    content = b"small"
    with metered(warm.deployment) as meter:
        patched = warm.call("PATCH", warm.open_upload(), body=content)
    opened = requests.OPEN_UPLOAD
    patch = requests.put_gateway_upload(len(content))
    assert (patched.calls, meter.writes - opened.writes) == ((patch.dynamodb, patch.puts), patch.writes)
    assert requests.put_chunks(len(content)) == (1, patch)
    closed = measured(warm, "PUT", patched.headers["location"], {"digest": Digest.of(content)})
    assert closed == requests.close_upload(len(content))


def test_what_s3_took_itself(behind_edge: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moto tells no checksum of an object: what S3 says of it is taken as right."""
    deployment, content = behind_edge.deployment, b"staged"
    asks = S3StagedStore.verified_size

    def verified(self: S3StagedStore, one: Staged) -> int:
        asks(self, one)
        return len(content)

    monkeypatch.setattr(S3StagedStore, "verified_size", verified)
    row = deployment.services.uploads.open(Repository(deployment.settings.account, behind_edge.repository))
    key = stage(deployment, row, content)
    with metered(deployment) as meter, counted() as calls:
        deployment.adopt(created(key))
    assert request_of(meter, (calls["dynamodb"], calls["s3"])) == requests.ADOPT


@pytest.mark.parametrize("layers", [1, 12])
def test_a_manifest_that_moves_a_tag(warm: Driver, layers: int) -> None:
    warm.push_image("moved", layers, seed="before")
    document = warm.image(layers, seed="after")
    raw = json.dumps(document).encode()
    expected = requests.put_manifest(layers, new_blobs=layers + 1)
    path = warm.of("manifests/moved")
    assert measured(warm, "PUT", path, None, raw, content_type=document["mediaType"]) == expected


def test_telling_of_a_change(warm: Driver) -> None:
    warm.deployment.tell_all(120)
    warm.push_image("told", seed="told")
    row = next(iter(warm.deployment._tables.outbox.scan()))
    keys = {"lane": {"S": row.lane}, "order": {"S": row.order}}
    event = {"Records": [{"eventName": "INSERT", "dynamodb": {"Keys": keys}}]}
    with metered(warm.deployment) as meter, counted() as calls:
        warm.deployment.tell(event, 60)
    assert request_of(meter, (calls["dynamodb"], calls["s3"])) == requests.TELL_CHANGE


@dataclass
class Counting:
    """S3 as a part writer sees it."""

    kept: bytes = b""
    puts: int = 0
    gets: int = 0

    def put(self, _key: str, data: bytearray) -> None:
        self.puts += 1
        self.kept = bytes(data)

    def get(self, _key: str) -> bytes:
        self.gets += 1
        return self.kept

    def begin(self, _key: str) -> str:
        self.puts += 1
        return "id"

    def put_part(self, *_: Any) -> str:
        self.puts += 1
        return "etag"

    copy_part = put_part

    def complete(self, *_: Any) -> None:
        self.puts += 1


def sent(size: int, piece: int) -> tuple[Counting, int]:
    """Of a layer in requests of `piece` bytes; and how many objects were replaced."""
    seen, row, left, replaced = Counting(), UploadRow("s", Repository("default", "dev/app")), size, 0
    block = memoryview(bytes(piece))
    while left:
        writer: Any = PartWriter(seen, seen, row, "multipart", "own")  # type: ignore[arg-type]
        writer.write(block[: min(left, piece)])
        row, left, replaced = writer.pause(), left - min(left, piece), replaced + len(writer.replaced)
    final: Any = PartWriter(seen, seen, row, "multipart", "own")  # type: ignore[arg-type]
    final.finish()
    return seen, replaced + len(final.replaced)


MIB = 1024**2


@pytest.mark.parametrize("mebibytes", [1, 8, 21, 40])
def test_parts_of_a_layer(mebibytes: int) -> None:
    size = mebibytes * MIB
    through_gateway, _ = sent(size, size)
    closing = requests.close_upload(size).puts
    assert through_gateway.puts == requests.put_gateway_upload(size).puts + closing
    through_function, replaced = sent(size, requests.CHUNK_BYTES)
    _, chunked = requests.put_chunks(size)
    assert (through_function.puts, through_function.gets) == (chunked.puts + closing, chunked.gets)
    assert replaced == chunked.deletes
    assert parts.PART_SIZE == requests.PART_BYTES


def test_what_is_scheduled_is_what_runs_and_an_idle_run_costs_as_much(warm: Driver) -> None:
    """Of an account with one image, and nothing to do."""
    deployment = warm.deployment
    deployment.migrate(900)
    deployment.tell_all(120)
    runs: dict[str, Callable[[], object]] = {
        "collect": lambda: deployment.collect(900),
        "sweep": lambda: deployment.sweep(900),
        "reconcile": lambda: (deployment.migrate(900), deployment.reconcile_all(900)),
        "lifecycle": lambda: deployment.apply_lifecycle(900),
        "tell": lambda: deployment.tell_all(120),
    }
    expected = requests.SCHEDULES
    assert set(expected) == set(runs) == set(schedules())
    for name, expression in schedules().items():
        assert watch.interval_minutes(expression) == expected[name].minutes
        with metered(deployment) as meter, counted() as calls:
            runs[name]()
        found = request_of(meter, (calls["dynamodb"], calls["s3"]))
        assert found == expected[name].each, name


def test_what_is_deployed_is_what_is_charged() -> None:
    assert {name: one.memory for name, one in FUNCTIONS.items()} == dict(requests.MEMORY)
    made = template()["Resources"]
    snapshots = {name for name in FUNCTIONS if "SnapStart" in made[logical(name, "Function")]["Properties"]}
    assert snapshots == set(requests.SNAPSHOTS)
    assert len(watch.alarms()) == requests.ALARMS
    kinds = [(one["Type"], one.get("Condition")) for one in template()["Resources"].values()]
    assert kinds.count(("AWS::SecretsManager::Secret", None)) == requests.SECRETS
    assert kinds.count(("AWS::SecretsManager::Secret", "HasGateway")) == requests.GATEWAY_SECRETS
    assert kinds.count(("AWS::ElasticLoadBalancingV2::LoadBalancer", "HasGateway")) == 1
    assert origin_response()["OriginResponseFunction"]["Properties"]["MemorySize"] == requests.EDGE_MEMORY
    task = template()["Resources"]["GatewayTask"]["Properties"]
    assert int(task["Cpu"]) / 1024 == requests.GATEWAY_CPUS
    assert int(task["Memory"]) / 1024 == requests.GATEWAY_GB
