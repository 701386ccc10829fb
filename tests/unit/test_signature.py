"""Our signatures are botocore's, to the letter; hand-made reads leave what is odd to botocore."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import urllib3
from botocore.auth import S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws.blob_store import PRESIGNED_SECONDS, S3BlobStore
from chalicelib.aws.reads import SignedReads
from chalicelib.aws.signature import Signer
from chalicelib.aws.tables import BlobModel

REGION = "eu-west-3"
TOKENS = st.sampled_from([None, "session/token+of=a function"])
TEXT = st.text("abc/+=~ é:", min_size=1, max_size=20)


def signer(credentials: Credentials, service: str, stamp: str) -> Signer:
    """One whose clock stands at `stamp`."""
    moment = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    return Signer(credentials.get_frozen_credentials, REGION, service, lambda: moment)


@given(st.binary(max_size=300), TEXT, TOKENS)
def test_a_signed_post_is_the_one_botocore_makes(body: bytes, secret: str, token: str | None) -> None:
    credentials = Credentials("AKIDEXAMPLE", secret, token)
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.GetItem"}
    request = AWSRequest("POST", "http://127.0.0.1:8000/", headers=headers, data=body)
    SigV4Auth(credentials, "dynamodb", REGION).add_auth(request)
    ours = signer(credentials, "dynamodb", request.headers["X-Amz-Date"])
    signed = ours.sign("127.0.0.1:8000", headers, body)
    assert signed["authorization"] == request.headers["Authorization"]
    assert signed["x-amz-date"] == request.headers["X-Amz-Date"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@given(secret=TEXT, token=TOKENS)
def test_a_presigned_url_is_the_one_botocore_makes(method: str, secret: str, token: str | None) -> None:
    credentials = Credentials("AKIDEXAMPLE", secret, token)
    path = "/ccr/blobs/default/dev/0a1b/sha256%3A00"
    request = AWSRequest(method, f"https://s3.example{path}")
    S3SigV4QueryAuth(credentials, "s3", REGION, expires=1200).add_auth(request)
    theirs = parse_qs(urlsplit(request.url).query)
    ours = signer(credentials, "s3", theirs["X-Amz-Date"][0]).presign(method, "s3.example", path, 1200)
    assert parse_qs(ours) == theirs


@pytest.mark.parametrize("bucket", ["ccr", "ccr.with.dots"])
@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:8333", "https://s3.example/below/"])
def test_a_store_presigns_what_its_client_would(bucket: str, endpoint: str | None) -> None:
    session = boto3.Session("AKIDEXAMPLE", "secret", region_name=REGION)
    client = session.client("s3", endpoint_url=endpoint)
    key = "manifests/dev/app/sha256:00/a b~c"
    theirs = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
    credentials = session.get_credentials()
    assert credentials is not None
    own = Signer(credentials.get_frozen_credentials, REGION, "s3")
    ours = S3BlobStore(client, client, bucket, own).presign("GET", key)
    assert ours.partition("?")[0] == theirs.partition("?")[0]
    assert f"X-Amz-Expires={PRESIGNED_SECONDS}&" in ours


class Pool:
    """Answers every request the same way."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []

    def request(self, _method: str, _url: str, *, body: bytes, **_: Any) -> object:
        self.asked.append(json.loads(body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Otherwise:
    """What is asked when the quick way has no answer."""

    def get(self, _model: Any, hash_key: str, range_key: str | None = None) -> tuple[str, str | None]:
        return hash_key, range_key


class Table(BlobModel):
    class Meta:
        table_name = "ccr-blobs"


def answer(status: int, document: object, checksum: int | None = None) -> urllib3.HTTPResponse:
    body = json.dumps(document).encode()
    headers = {"x-amz-crc32": str(zlib.crc32(body) if checksum is None else checksum)}
    return urllib3.HTTPResponse(body, headers, status)


def reads(pool: Pool) -> SignedReads:
    own = Signer(Credentials("a", "b").get_frozen_credentials, REGION, "dynamodb")
    return SignedReads(own, "http://127.0.0.1:1", pool, Otherwise())  # type: ignore[arg-type]


ITEM = {
    "account": {"S": "default"},
    "digest": {"S": "sha256:00"},
    "size": {"N": "7"},
    "storage_key": {"S": "key"},
    "links": {"N": "1"},
}


def test_a_row_is_read_consistently_by_its_key() -> None:
    pool = Pool(answer(200, {"Item": ITEM}))
    model: Any = reads(pool).get(Table, "default", "sha256:00")
    assert (model.size, model.storage_key) == (7, "key")
    key = {"account": {"S": "default"}, "digest": {"S": "sha256:00"}}
    assert pool.asked == [{"TableName": "ccr-blobs", "Key": key, "ConsistentRead": True}]


def test_a_row_that_is_not_there_is_none() -> None:
    assert reads(Pool(answer(200, {}))).get(Table, "default", "sha256:00") is None


@pytest.mark.parametrize(
    "odd",
    [
        answer(400, {"__type": "ProvisionedThroughputExceededException"}),
        answer(500, {}),
        answer(200, {"Item": ITEM}, checksum=1),
        urllib3.exceptions.ProtocolError("closed"),
        urllib3.exceptions.NewConnectionError(None, "refused"),  # type: ignore[arg-type]
    ],
)
def test_an_odd_answer_is_asked_for_again_the_slow_way(odd: object) -> None:
    assert reads(Pool(odd)).get(Table, "default", "sha256:00") == ("default", "sha256:00")
