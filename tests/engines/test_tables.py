"""The embedded tables: replay and compaction, killed between any two lines of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from ccr.engines import journaled_ministack
from ccr.engines.ministack import prepare_ministack, start_ministack
from ccr.engines.process import Engine
from tests.engines import compaction
from tests.engines.backends import ACCESS_KEY, SECRET_KEY


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = start_ministack(tmp_path, ACCESS_KEY, SECRET_KEY)
    yield engine
    engine.stop()


def client_of(engine: Engine, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> Any:
    session = boto3.Session(access_key, secret_key, region_name="us-east-1")
    config = Config(retries={"total_max_attempts": 1})
    return session.client("dynamodb", endpoint_url=engine.endpoint, config=config)


def create(client: Any) -> None:
    client.create_table(
        TableName="table",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
    )


def items(client: Any) -> dict[str, Any]:
    found = client.scan(TableName="table", ConsistentRead=True)["Items"]
    return {item["name"]["S"]: {key: item[key] for key in item if key != "name"} for item in found}


def change_everything(client: Any) -> None:
    """Every kind of change that the registry makes, and some that are refused."""
    for name in ("put", "updated", "deleted"):
        client.put_item(TableName="table", Item={"name": {"S": name}, "bytes": {"B": b"\x00\xff"}})
    add = {"UpdateExpression": "ADD hits :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    for _ in range(3):
        client.update_item(TableName="table", Key={"name": {"S": "updated"}}, **add)
    client.delete_item(TableName="table", Key={"name": {"S": "deleted"}})
    with pytest.raises(ClientError):
        client.put_item(
            TableName="table",
            Item={"name": {"S": "put"}, "lost": {"BOOL": True}},
            ConditionExpression="attribute_not_exists(#n)",
            ExpressionAttributeNames={"#n": "name"},
        )
    client.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": "table", "Item": {"name": {"S": "together"}}}},
            {"Update": {"TableName": "table", "Key": {"name": {"S": "updated"}}, **add}},
        ]
    )
    client.batch_write_item(
        RequestItems={"table": [{"PutRequest": {"Item": {"name": {"S": "batch \N{SNOWMAN}"}}}}]}
    )


EXPECTED = {
    "put": {"bytes": {"B": b"\x00\xff"}},
    "updated": {"bytes": {"B": b"\x00\xff"}, "hits": {"N": "4"}},
    "together": {},
    "batch \N{SNOWMAN}": {},
}


def test_changes_are_replayed_after_a_kill(tmp_path: Path, engine: Engine) -> None:
    client = client_of(engine)
    create(client)
    change_everything(client)
    assert items(client) == EXPECTED
    for _ in range(2):
        engine.process.kill()
        engine.process.wait()
        engine = start_ministack(tmp_path, ACCESS_KEY, SECRET_KEY)
        assert items(client_of(engine)) == EXPECTED
    engine.stop()


def test_torn_record_loses_that_change_alone(tmp_path: Path, engine: Engine) -> None:
    client = client_of(engine)
    create(client)
    client.put_item(TableName="table", Item={"name": {"S": "first"}})
    client.put_item(TableName="table", Item={"name": {"S": "second"}})
    engine.process.kill()
    engine.process.wait()
    (journal,) = (tmp_path / "tables").glob("journal-*.log")
    journal.write_bytes(journal.read_bytes()[:-5])
    engine = start_ministack(tmp_path, ACCESS_KEY, SECRET_KEY)
    assert items(client_of(engine)) == {"first": {}}
    engine.stop()


@pytest.mark.parametrize(
    ("access_key", "secret_key"),
    [("somebodyelse", SECRET_KEY), (ACCESS_KEY, "guessed"), ("somebodyelse", "guessed")],
)
def test_client_without_both_keys_is_refused(engine: Engine, access_key: str, secret_key: str) -> None:
    """Presigned URLs show the access key to everyone who pulls."""
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        client_of(engine, access_key, secret_key).list_tables()


@dataclass
class Signed:
    """A request as the SDK signs it, to be sent with a change."""

    url: str
    body: bytes
    headers: dict[str, str]

    def status(self) -> int:
        with requests.Session() as session:
            session.trust_env = False
            return session.post(self.url, self.body, headers=self.headers, timeout=60).status_code


@pytest.fixture
def signed(engine: Engine) -> Signed:
    body, target = b'{"TableName": "table"}', "DynamoDB_20120810.DescribeTable"
    create(client_of(engine))
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"}
    request = AWSRequest("POST", f"{engine.endpoint}/", headers, body)
    SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "dynamodb", "us-east-1").add_auth(request)
    return Signed(f"{engine.endpoint}/", body, dict(request.headers))


def test_request_is_answered_as_it_was_signed(signed: Signed) -> None:
    assert signed.status() == 200


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("X-Amz-Target", "DescribeTable", "DeleteTable"),
        ("X-Amz-Date", "T", "T0"),
        ("Authorization", "Signature=", "Signature=0"),
        ("Authorization", "x-amz-target", "x-amz-other"),
        ("Authorization", ";x-amz-target", ""),
        ("Authorization", "/dynamodb/", "/s3/"),
        ("Authorization", "AWS4", ""),
    ],
)
def test_request_that_differs_from_what_was_signed_is_refused(
    signed: Signed, part: str, old: str, new: str
) -> None:
    assert old in signed.headers[part]
    signed.headers[part] = signed.headers[part].replace(old, new)
    assert signed.status() == 400


def test_request_with_another_body_address_or_no_signature_is_refused(signed: Signed) -> None:
    assert replace(signed, body=b'{"TableName": "other"}').status() == 400
    assert replace(signed, url=f"{signed.url}elsewhere").status() == 400
    assert replace(signed, url=f"{signed.url}?elsewhere").status() == 400
    assert replace(signed, headers={"X-Amz-Target": signed.headers["X-Amz-Target"]}).status() == 400


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_key_is_among_the_arguments_that_every_user_can_list(engine: Engine) -> None:
    arguments = Path(f"/proc/{engine.process.pid}/cmdline").read_text()
    assert "journaled_ministack" in arguments
    assert ACCESS_KEY not in arguments
    assert SECRET_KEY not in arguments


@pytest.fixture
def grown(tmp_path: Path, engine: Engine) -> Path:
    """The folder of tables with changes in its journal."""
    client = client_of(engine)
    create(client)
    change_everything(client)
    engine.stop()
    return tmp_path / "tables"


def in_its_environment(*arguments: str) -> dict[str, Any]:
    """Run `compaction.py` where ministack is installed."""
    command = [str(prepare_ministack()), "-I", compaction.__file__, journaled_ministack.__file__, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="forks, to be killed")
def test_compaction_killed_between_any_two_lines_loses_nothing(tmp_path: Path, grown: Path) -> None:
    found = in_its_environment("kill", str(grown), str(tmp_path / "copies"))
    assert found["kills"] > 10
    assert found["states"] == [found["before"]]
    assert len(found["before"]["items"]) == len(EXPECTED)


def test_compaction_leaves_one_snapshot_and_one_journal(tmp_path: Path, grown: Path) -> None:
    """And a change after it lands in the new journal."""
    found = in_its_environment("compact", str(grown))
    assert found["files"] == ["journal-2.log", "snapshot-2.json"]
    engine = start_ministack(tmp_path, ACCESS_KEY, SECRET_KEY)
    client = client_of(engine)
    assert items(client) == EXPECTED
    client.put_item(TableName="table", Item={"name": {"S": "after"}})
    engine.process.kill()
    engine.process.wait()
    engine = start_ministack(tmp_path, ACCESS_KEY, SECRET_KEY)
    assert items(client_of(engine)) == {**EXPECTED, "after": {}}
    engine.stop()


def test_transaction_sent_again_across_a_compaction_is_applied_once(grown: Path) -> None:
    """A client that saw no answer sends it again under the same token; the journal must not have it twice."""
    found = in_its_environment("retry", str(grown))
    assert found["statuses"] == [200, 200]
    assert found["hits"] == ["5", "5"]


def test_engine_that_cannot_write_its_journal_ends(grown: Path) -> None:
    """To go on would be to acknowledge changes that the next start does not know."""
    found = in_its_environment("full", str(grown))
    assert found["exit"] != 0
    assert found["hits"] == "4"


def test_environment_is_this_python(engine: Engine) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    said = subprocess.run([prepare_ministack(), "--version"], check=True, capture_output=True, text=True)
    assert said.stdout.startswith(f"Python {version}")
