"""The machine of `test_everything.py` on DynamoDB and S3: each call of botocore is a stop of its operation.

Tables and bucket are read back into the memory that the same checks look at, and emptied for each example.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Final

import pytest
from botocore.endpoint import Endpoint
from botocore.exceptions import ClientError
from hypothesis import Phase

from chalicelib.aws import (
    collectable_store,
    direct_store,
    keys,
    rows,
    transactions,
    upload_store,
)
from chalicelib.aws.direct_store import _row as direct_row
from chalicelib.registry import direct
from chalicelib.registry.changes import TellMove
from chalicelib.registry.expiry import DIRECT
from chalicelib.registry.policies import Policy
from chalicelib.registry.stores import DirectRow, Link, Usage
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.edge.staging import staged_key
from tests.properties.direct_in_memory import PUT_LIMIT
from tests.properties.interleaving import DeathError, Fate, OutageError, current
from tests.properties.memory_stores import DirectSession, Memory, S3Error, Session
from tests.properties.registry_in_memory import GRACE, small_transactions
from tests.properties.test_everything import ROOM, TICK, EverythingMachine, Running

PREFIX: Final = "everything-"
# Of one BatchWriteItem.
AT_ONCE: Final = 25
# What the machine calls the calls that change something.
_NAMES: Final = {
    "TransactWriteItems": "write",
    "DeleteItem": "delete",
    "DeleteObject": "delete",
    "DeleteObjects": "delete",
    "CompleteMultipartUpload": "complete",
    "AbortMultipartUpload": "abort",
}
_READS: Final = ("Get", "BatchGet", "Query", "Scan", "Head", "List", "TransactGet")
_BUCKET: Final = "bucket"
_TABLES: Final = ("manifests", "tags", "history", "links", "blobs", "trash", "buried", "usage", "uploads")


@contextmanager
def calls_that_stop(changed: Callable[[str, Any], None]) -> Iterator[None]:
    """Before each call of an operation it is asked how that shall end.

    `changed` is told of every write: the service and the body.
    """
    make = Endpoint.make_request

    def stopping(endpoint: Endpoint, operation_model: Any, request: Any) -> Any:
        operation, name = current(), operation_model.name
        fate = Fate.WELL if operation is None else operation.stop_before(_NAMES.get(name, name))
        if not name.startswith(_READS):
            changed(operation_model.service_model.service_name, request["body"])
        answer = make(endpoint, operation_model, request)
        if fate is Fate.DIE_AFTER:
            raise DeathError
        if fate is Fate.LOSE_ANSWER:
            raise OutageError(name)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Endpoint, "make_request", stopping)
        yield


@contextmanager
def small_limits() -> Iterator[None]:
    """Parts are as large as S3 wants them. One shard: a collection is 6 queries then, and not 96."""
    with small_transactions(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "PUT_LIMIT", PUT_LIMIT)
        for module in (collectable_store, direct_store, rows, transactions, upload_store):
            patch.setattr(module, "shard_of", lambda _: keys.SHARDS[0])
        yield


class Backend:
    """Tables and a bucket that nobody else uses, on the engines of another deployment, which may be moto.

    `now` is what every clock says.
    """

    def __init__(self, beside: Deployment) -> None:
        settings = replace(
            beside.settings,
            table_prefix=PREFIX,
            bucket=PREFIX.strip("-"),
            grace_seconds=GRACE,
            uploads=frozenset({"function", "edge"}),
            # Past botocore no call would stop.
            fast_reads=False,
        )
        self.now = float(int(beside.clock()))
        self.deployment = Deployment(settings, clock=lambda: self.now)
        self.deployment.prepare()

    def table(self, name: str) -> Any:
        return getattr(self.deployment._tables, name)

    def items(self, name: str) -> list[dict[str, Any]]:
        table = self.table(name).Meta.table_name
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {"LastEvaluatedKey": None}
        while "LastEvaluatedKey" in page:
            start = page["LastEvaluatedKey"]
            more = {"ExclusiveStartKey": start} if start else {}
            page = self.deployment.dynamodb.scan(TableName=table, ConsistentRead=True, **more)
            found += page["Items"]
        return found

    def empty(self) -> None:
        client = self.deployment.dynamodb
        for name in (*_TABLES, "audit", "policies"):
            model = self.table(name)
            table, keys_of = model.Meta.table_name, model.get_attributes()
            key = [one.attr_name for one in keys_of.values() if one.is_hash_key or one.is_range_key]
            items = self.items(name)
            for first in range(0, len(items), AT_ONCE):
                rows_of = [{part: one[part] for part in key} for one in items[first : first + AT_ONCE]]
                deletions = [{"DeleteRequest": {"Key": one}} for one in rows_of]
                client.batch_write_item(RequestItems={table: deletions})
        s3, bucket = self.deployment._s3, self.deployment.settings.bucket
        objects = [{"Key": one["Key"]} for one in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]
        if objects:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        for one in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", ()):
            s3.abort_multipart_upload(Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"])


class DeployedRegistry:
    """What the machine asks of a `WholeRegistry`, of a deployment."""

    def __init__(self, backend: Backend) -> None:
        self._backend, deployment = backend, backend.deployment
        backend.empty()
        self._deployment = deployment
        self._memory: Memory | None = None
        # What was read of each table and of the bucket, and which of them have changed since.
        self._rows: dict[str, list[tuple[Callable[[Memory, Any], None], Any]]] = {}
        self._objects: dict[str, bytes] = {}
        self._stale = {*_TABLES, _BUCKET}
        self._contents: dict[tuple[str, str], bytes] = {}
        services = deployment.services
        self.uploads, self.blobs, self.manifests = services.uploads, services.blobs, services.manifests
        self.adoption, self.undo = services.adoption, deployment.undo
        # Nobody verifies beside the machine.
        self.direct = replace(deployment.direct, start=lambda _: None)
        self.verifier = self.direct.verifier
        self.collector = replace(deployment.collector, shards=keys.SHARDS[0])
        deployment.quota.forget("account")
        deployment.quota.usages.open("account", ROOM)

    @property
    def now(self) -> float:
        return self._backend.now

    @now.setter
    def now(self, second: float) -> None:
        self._backend.now = second

    def changed(self, service: str, body: Any) -> None:
        self._memory = None
        if service == "s3":
            self._stale.add(_BUCKET)
        else:
            text = body if isinstance(body, str) else bytes(body).decode()
            self._stale.update(name for name in _TABLES if f'"{PREFIX}{name}"' in text)

    @property
    def memory(self) -> Memory:
        """As the tables and the bucket are now; nothing is under way while this reads."""
        if self._memory is None:
            self._memory = self._read()
        return self._memory

    def send(self, row: DirectRow, content: bytes) -> None:
        client, place = self._deployment._s3, {"Bucket": self._deployment.settings.bucket, "Key": row.key}
        self.changed("s3", "")
        if row.multipart_id is None:
            client.put_object(**place, Body=content)
        else:
            client.upload_part(**place, UploadId=row.multipart_id, PartNumber=1, Body=content)

    def stage(self, repository: Repository, digest: Digest, session: str, content: bytes) -> None:
        self.changed("s3", "")
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        self._deployment._s3.put_object(
            Bucket=self._deployment.settings.bucket,
            Key=staged_key(repository, digest, session),
            Body=content,
            # moto remembers a checksum only where its algorithm is said too.
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=checksum,
        )

    def set_policy(self, policy: Policy) -> None:
        document = json.dumps(policy.document)
        table = self._backend.table("policies")
        table(policy.scope, policy.kind, document=document, version=policy.version).save()

    def is_staged(self, repository: Repository, digest: Digest) -> bool:
        prefix = keys.staged_prefix(repository, digest)
        return any(key.startswith(prefix) for key in self.memory.objects)

    def _read(self) -> Memory:
        stale, self._stale = self._stale, set()
        for name in _TABLES:
            if name in stale:
                self._rows[name] = [self._model(name, one) for one in self._backend.items(name)]
        if _BUCKET in stale:
            self._objects = self._read_objects()
        memory = Memory(objects=self._objects)
        for rows_of in self._rows.values():
            for add, model in rows_of:
                add(memory, model)
        memory.history.sort(key=lambda one: one.move.at)
        return memory

    def _model(self, table: str, item: dict[str, Any]) -> tuple[Callable[[Memory, Any], None], Any]:
        """Two tables have rows of two kinds."""
        if table == "manifests" and item["digest"]["S"].startswith("referrers#"):
            table = "referrers"
        if table == "uploads" and item["session"]["S"].startswith(DIRECT):
            table = "direct"
        return _ADDS[table], self._backend.table(table).from_raw_data(item)

    def _read_objects(self) -> dict[str, bytes]:
        """Those that were read before have the same ETag."""
        client, bucket = self._deployment._s3, self._deployment.settings.bucket
        found = {}
        for one in client.list_objects_v2(Bucket=bucket).get("Contents", ()):
            known = one["Key"], one["ETag"]
            if known not in self._contents:
                answer = client.get_object(Bucket=bucket, Key=one["Key"])
                self._contents[known] = answer["Body"].read()
            found[one["Key"]] = self._contents[known]
        return found


def _name(model: Any) -> str:
    return str(model.repository.partition("/")[2])


def _add_manifest(memory: Memory, model: Any) -> None:
    key = _name(model), Digest(model.digest)
    memory.manifests[key] = rows.manifest_row(model)
    if model.idle is not None:
        memory.idle_manifests[key] = int(model.idle)


def _add_edge(memory: Memory, model: Any) -> None:
    _, subject, digest = model.digest.split("#")
    memory.referrers[_name(model), Digest(subject), Digest(digest)] = {}


def _add_direct(memory: Memory, model: Any) -> None:
    row = direct_row(model)
    assert row is not None
    memory.direct[row.session] = DirectSession(row, model.writer)


def _add_tag(memory: Memory, model: Any) -> None:
    memory.tags[_name(model), model.tag] = rows.tag_row(model)


def _add_link(memory: Memory, model: Any) -> None:
    memory.links[_name(model), Digest(model.digest)] = rows.link_row(model)


def _add_blob(memory: Memory, model: Any) -> None:
    key = model.account, Digest(model.digest)
    memory.blobs[key] = Link(key[1], int(model.size), model.storage_key, idle=int(model.idle or 0))
    memory.blob_links[key], memory.blob_keeps[key] = int(model.links), int(model.kept or 0)


def _add_trash(memory: Memory, model: Any) -> None:
    memory.trash[_name(model), Digest(model.digest)] = rows.trash_row(model)


def _add_move(memory: Memory, model: Any) -> None:
    repository = Repository(*model.repository.split("/", 1))
    memory.history.append(TellMove(repository, rows.tag_move(model)))


def _add_usage(memory: Memory, model: Any) -> None:
    counted, free = int(model.bytes), int(model.free)
    memory.usage[model.account] = Usage(counted, counted + free, int(model.level or 0), int(model.turn or 0))


def _add_buried(memory: Memory, model: Any) -> None:
    memory.buried.add(model.storage_key)


def _add_upload(memory: Memory, model: Any) -> None:
    memory.uploads[model.session] = Session(rows.upload_row(model), model.writer, int(model.lease or 0))


_ADDS: Final[dict[str, Callable[[Memory, Any], None]]] = {
    "manifests": _add_manifest,
    "referrers": _add_edge,
    "direct": _add_direct,
    "tags": _add_tag,
    "links": _add_link,
    "blobs": _add_blob,
    "trash": _add_trash,
    "history": _add_move,
    "usage": _add_usage,
    "buried": _add_buried,
    "uploads": _add_upload,
}


class DeployedMachine(EverythingMachine):
    """On `backend`, which whoever runs it has opened."""

    S3_ERRORS: ClassVar[tuple[type[Exception], ...]] = (S3Error, ClientError)
    # An example takes seconds, and minutes to be made simpler.
    PHASES: ClassVar[tuple[Phase, ...]] = (Phase.generate,)
    backend: ClassVar[Backend]

    def world(self) -> DeployedRegistry:
        self.stack.enter_context(small_limits())
        registry = DeployedRegistry(self.backend)
        self.stack.enter_context(calls_that_stop(registry.changed))
        return registry

    def step(self, running: Running, fate: Fate = Fate.WELL) -> None:
        """What was written is looked at when the rule is over: here that takes calls of its own."""
        self.registry.now += TICK
        running.operation.step(fate)
        self.settle(running)


def on(backend: Backend) -> type[DeployedMachine]:
    return type("DeployedMachine", (DeployedMachine,), {"backend": backend})
