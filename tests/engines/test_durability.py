"""kill -9 of one engine while it writes: everything that it acknowledged is there when it starts again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ccr.engines.dynamodb_local import answer_after_commit, start_dynamodb_local
from ccr.engines.ministack import start_ministack
from ccr.engines.process import Engine, EngineError
from ccr.engines.seaweedfs import start_seaweedfs
from tests.engines.backends import ACCESS_KEY, SECRET_KEY

THREADS = 4
KILLS = 2
WRITES_BEFORE_A_KILL = 40


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)


def start_real(folder: Path) -> Engine:
    try:
        return start_dynamodb_local(folder)
    except EngineError as error:
        pytest.skip(f"the real engine does not start here: {error}")


def client_of(service: str, engine: Engine) -> Any:
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    session = boto3.Session(region_name="us-east-1")
    return session.client(service, endpoint_url=engine.endpoint, config=config)


@dataclass
class Writers:
    """Threads that call `write` with a name of its own each time, until the engine is killed."""

    write: Callable[[str], None]
    acknowledged: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run_until_killed(self, engine: Engine) -> None:
        wanted = len(self.acknowledged) + WRITES_BEFORE_A_KILL
        threads = [threading.Thread(target=self._write) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        while len(self.acknowledged) < wanted and any(thread.is_alive() for thread in threads):
            time.sleep(0.001)
        engine.process.kill()
        engine.process.wait()
        for thread in threads:
            thread.join()
        assert len(self.acknowledged) >= wanted, self.failures

    def _write(self) -> None:
        while True:
            name = os.urandom(8).hex()
            try:
                self.write(name)
            except (BotoCoreError, ClientError) as error:
                self.failures.append(str(error))
                return
            self.acknowledged.append(name)


@pytest.mark.parametrize(
    "start",
    [lambda folder: start_ministack(folder, ACCESS_KEY, SECRET_KEY), start_real],
    ids=["ministack", "real"],
)
def test_transactions_are_kept_whole(tmp_path: Path, start: Callable[[Path], Engine]) -> None:
    clients: list[Any] = []

    def write(name: str) -> None:
        item = {"name": {"S": name}, "filler": {"S": "x" * 500}}
        puts = [{"Put": {"TableName": table, "Item": item}} for table in ("first", "second")]
        clients[-1].transact_write_items(TransactItems=puts)

    writers = Writers(write)
    for number in range(KILLS + 1):
        engine = start(tmp_path)
        clients.append(client_of("dynamodb", engine))
        if start is start_real:
            answer_after_commit(clients[-1])
        if number == 0:
            _create_tables(clients[-1])
        first, second = (_names(clients[-1], table) for table in ("first", "second"))
        assert first == second
        assert set(writers.acknowledged) - first == set()
        if number < KILLS:
            writers.run_until_killed(engine)
        else:
            engine.stop()


def test_objects_are_kept_whole_and_deleted_ones_stay_away(tmp_path: Path) -> None:
    clients: list[Any] = []
    deleted: list[str] = []

    def write(name: str) -> None:
        """Two objects, of which one is taken away again, and one in two parts."""
        s3 = clients[-1]
        s3.put_object(Bucket="durable", Key=name, Body=_content(name))
        s3.put_object(Bucket="durable", Key=f"{name}-gone", Body=b"content")
        s3.delete_object(Bucket="durable", Key=f"{name}-gone")
        deleted.append(f"{name}-gone")
        key = {"Bucket": "durable", "Key": f"{name}-parts"}
        upload = s3.create_multipart_upload(**key)["UploadId"]
        part = s3.upload_part(**key, UploadId=upload, PartNumber=1, Body=_content(name))
        parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
        s3.complete_multipart_upload(**key, UploadId=upload, MultipartUpload={"Parts": parts})

    writers = Writers(write)
    for number in range(KILLS + 1):
        engine = start_seaweedfs(tmp_path, ACCESS_KEY, SECRET_KEY)
        clients.append(client_of("s3", engine))
        if number == 0:
            clients[-1].create_bucket(Bucket="durable")
        for name in writers.acknowledged:
            assert _read(clients[-1], name) == _content(name)
            assert _read(clients[-1], f"{name}-parts") == _content(name)
        stored = _keys(clients[-1])
        assert stored.isdisjoint(deleted)
        for key in stored:
            assert _read(clients[-1], key) in {b"content", _content(key.partition("-")[0])}
        if number < KILLS:
            writers.run_until_killed(engine)
        else:
            engine.stop()


def _content(name: str) -> bytes:
    """Of a size that depends on the name, over several blocks of the volume."""
    return name.encode() * (1 + int(name[:4], 16) // 4)


def _create_tables(client: Any) -> None:
    for table in ("first", "second"):
        client.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
        )


def _names(client: Any, table: str) -> set[str]:
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return {item["name"]["S"] for page in pages for item in page["Items"]}


def _keys(client: Any) -> set[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="durable")
    return {item["Key"] for page in pages for item in page.get("Contents", [])}


def _read(client: Any, key: str) -> bytes:
    return bytes(client.get_object(Bucket="durable", Key=key)["Body"].read())
