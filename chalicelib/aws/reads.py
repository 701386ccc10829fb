"""Rows by their keys: through PynamoDB, or signed by hand at a third of the CPU. See ADR 9."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import urllib3
from pynamodb.connection import Connection
from pynamodb.models import Model

from chalicelib.aws.calls import count
from chalicelib.aws.signature import Signer

_HEADERS: Final = {"content-type": "application/x-amz-json-1.0"}
_TARGET: Final = "DynamoDB_20120810"
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
BATCH_LIMIT: Final = 100


Key = tuple[Any, str, str | None]


class Reads(Protocol):
    """Consistent reads of rows by key."""

    def get(self, model: Any, hash_key: str, range_key: str | None = None) -> Any | None:
        """None where there is none."""
        ...

    def get_many(self, keys: Sequence[Key]) -> list[Any]:
        """Those of at most `BATCH_LIMIT` different keys that are there, in any order: one BatchGetItem."""
        ...


class PynamoReads:
    """With botocore's retries."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, model: type[Model], hash_key: str, range_key: str | None = None) -> Model | None:
        try:
            return model.get(hash_key, range_key, consistent_read=True)
        except model.DoesNotExist:
            return None

    def get_many(self, keys: Sequence[Key]) -> list[Any]:
        found: list[Any] = []
        asked = _batch(keys)
        while asked:
            answer = self._connection.dispatch("BatchGetItem", {"RequestItems": asked})
            found += _models(keys, answer["Responses"])
            asked = answer.get("UnprocessedKeys") or {}
        return found


class SignedReads:
    """Asks once over a connection that stays open; any answer but a good one is `otherwise`'s to get."""

    def __init__(self, signer: Signer, endpoint: str, pool: urllib3.PoolManager, otherwise: Reads) -> None:
        self._signer, self._pool, self._otherwise = signer, pool, otherwise
        self._url, self._host = f"{endpoint.rstrip('/')}/", urlsplit(endpoint).netloc

    def get(self, model: type[Model], hash_key: str, range_key: str | None = None) -> Model | None:
        request = {"TableName": model.Meta.table_name, "Key": key_of(model, hash_key, range_key)}
        answer = self._ask("GetItem", {**request, "ConsistentRead": True})
        if answer is None:
            return self._otherwise.get(model, hash_key, range_key)
        item = answer.get("Item")
        return None if item is None else model.from_raw_data(_decoded(item))

    def get_many(self, keys: Sequence[Key]) -> list[Any]:
        answer = self._ask("BatchGetItem", {"RequestItems": _batch(keys)})
        if answer is None or answer.get("UnprocessedKeys"):
            return self._otherwise.get_many(keys)
        for items in answer["Responses"].values():
            for item in items:
                _decoded(item)
        return _models(keys, answer["Responses"])

    def _ask(self, action: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """None for whatever botocore would try again."""
        body = json.dumps(request).encode()
        headers = self._signer.sign(self._host, _HEADERS | {"x-amz-target": f"{_TARGET}.{action}"}, body)
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


def _batch(keys: Sequence[Key]) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    for model, hash_key, range_key in keys:
        request = asked.setdefault(model.Meta.table_name, {"Keys": [], "ConsistentRead": True})
        request["Keys"].append(key_of(model, hash_key, range_key))
    return asked


def _models(keys: Sequence[Key], responses: dict[str, list[Any]]) -> list[Any]:
    models = {model.Meta.table_name: model for model, _, _ in keys}
    return [models[table].from_raw_data(item) for table, items in responses.items() for item in items]


def key_of(model: Any, hash_key: str, range_key: str | None) -> dict[str, dict[str, str]]:
    """PynamoDB has no public way to a key's attribute."""
    key = {model._hash_key_attribute().attr_name: {"S": hash_key}}  # noqa: SLF001
    if range_key is not None:
        key[model._range_key_attribute().attr_name] = {"S": range_key}  # noqa: SLF001
    return key


def _decoded(item: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Binary attributes as botocore gives them."""
    for value in item.values():
        if "B" in value:
            value["B"] = base64.b64decode(value["B"])
    return item
