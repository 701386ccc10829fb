"""One row by its key: through PynamoDB, or signed by hand at a third of the CPU. See ADR 9."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import urllib3
from pynamodb.models import Model

from chalicelib.aws.calls import count
from chalicelib.aws.signature import Signer

_HEADERS: Final = {
    "content-type": "application/x-amz-json-1.0",
    "x-amz-target": "DynamoDB_20120810.GetItem",
}


class Reads(Protocol):
    """Consistent reads of one row; None where there is none."""

    def get(self, model: Any, hash_key: str, range_key: str | None = None) -> Any | None: ...


class PynamoReads:
    """With botocore's retries."""

    def get(self, model: type[Model], hash_key: str, range_key: str | None = None) -> Model | None:
        try:
            return model.get(hash_key, range_key, consistent_read=True)
        except model.DoesNotExist:
            return None


class SignedReads:
    """Asks once over a connection that stays open; any answer but a good one is `otherwise`'s to get."""

    def __init__(self, signer: Signer, endpoint: str, pool: urllib3.PoolManager, otherwise: Reads) -> None:
        self._signer, self._pool, self._otherwise = signer, pool, otherwise
        self._url, self._host = f"{endpoint.rstrip('/')}/", urlsplit(endpoint).netloc

    def get(self, model: type[Model], hash_key: str, range_key: str | None = None) -> Model | None:
        answer = self._ask(_request(model, hash_key, range_key))
        if answer is None:
            return self._otherwise.get(model, hash_key, range_key)
        item = answer.get("Item")
        return None if item is None else model.from_raw_data(_decoded(item))

    def _ask(self, body: bytes) -> dict[str, Any] | None:
        """None for whatever botocore would try again."""
        headers = self._signer.sign(self._host, _HEADERS, body)
        count("dynamodb")
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=headers, retries=False)
        except urllib3.exceptions.HTTPError:
            return None
        checksum = answer.headers.get("x-amz-crc32")
        if answer.status != 200 or (checksum and int(checksum) != zlib.crc32(answer.data)):
            return None
        document: dict[str, Any] = json.loads(answer.data)
        return document


def _request(model: type[Model], hash_key: str, range_key: str | None) -> bytes:
    # PynamoDB has no public way to a key's attribute.
    own: Any = model
    key = {own._hash_key_attribute().attr_name: {"S": hash_key}}  # noqa: SLF001
    if range_key is not None:
        key[own._range_key_attribute().attr_name] = {"S": range_key}  # noqa: SLF001
    return json.dumps({"TableName": model.Meta.table_name, "Key": key, "ConsistentRead": True}).encode()


def _decoded(item: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Binary attributes as botocore gives them."""
    for value in item.values():
        if "B" in value:
            value["B"] = base64.b64decode(value["B"])
    return item
