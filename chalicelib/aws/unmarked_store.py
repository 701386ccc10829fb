"""Rows of before the collector: `registry.unmarked.UnmarkedStore` on DynamoDB."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import ClientError

from chalicelib.aws.keys import shard_of
from chalicelib.aws.tables import Tables
from chalicelib.registry.stores import LIVE
from chalicelib.registry.unmarked import BLOBS, LINKS, MANIFESTS, Unmarked

# Rows that are looked at, not found: 1 MiB of them is a page of DynamoDB anyway.
PAGE: Final = 500
_KEYS: Final = {
    MANIFESTS: ("repository", "digest"),
    LINKS: ("repository", "digest"),
    BLOBS: ("account", "digest"),
}
# Referrers are rows of the table of manifests too, and have no state.
_UNUSED: Final = {
    MANIFESTS: "attribute_exists(#state) AND #state <> :live",
    LINKS: "(attribute_not_exists(#references) OR #references = :none)",
    BLOBS: "#links = :none AND (attribute_not_exists(#kept) OR #kept = :none)",
}
_NAMES: Final = {
    MANIFESTS: {"#state": "state"},
    LINKS: {"#references": "references"},
    BLOBS: {"#links": "links", "#kept": "kept"},
}


class DynamoUnmarkedStore:
    """The client itself: the models would hide what is missing in a row."""

    def __init__(
        self,
        client: Any,
        tables: Tables,
        clock: Callable[[], float] = time.time,
        page: int = PAGE,
    ) -> None:
        self._client, self._tables, self._clock, self._page = client, tables, clock, page

    def unmarked(self, table: str, after: str) -> tuple[list[Unmarked], str]:
        """The scan is consistent, or a row that was just let go of would be passed over as used."""
        hash_key, range_key = _KEYS[table]
        begin = {"ExclusiveStartKey": json.loads(after)} if after else {}
        found = self._client.scan(
            TableName=self._name(table),
            ConsistentRead=True,
            Limit=self._page,
            FilterExpression=_condition(table),
            ProjectionExpression="#h, #r",
            ExpressionAttributeNames={"#h": hash_key, "#r": range_key, **_names(table)},
            ExpressionAttributeValues=_values(table),
            **begin,
        )
        rows = [Unmarked(item[hash_key]["S"], item[range_key]["S"]) for item in found["Items"]]
        last = found.get("LastEvaluatedKey")
        return rows, json.dumps(last) if last else ""

    def mark(self, table: str, row: Unmarked) -> bool:
        hash_key, range_key = _KEYS[table]
        values = {
            ":shard": {"S": shard_of(row.range_key)},
            ":idle": {"N": str(int(self._clock()))},
            ":one": {"N": "1"},
        }
        try:
            self._client.update_item(
                TableName=self._name(table),
                Key={hash_key: {"S": row.hash_key}, range_key: {"S": row.range_key}},
                UpdateExpression="SET #shard = :shard, #idle = :idle ADD #version :one",
                # What is gone meanwhile is not made again.
                ConditionExpression=f"attribute_exists(#h) AND {_condition(table)}",
                ExpressionAttributeNames={
                    "#h": hash_key,
                    "#shard": "shard",
                    "#version": "version",
                    **_names(table),
                },
                ExpressionAttributeValues={**values, **_values(table)},
            )
        except ClientError as error:
            if error.response["Error"].get("Code") != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def _name(self, table: str) -> str:
        return str(getattr(self._tables, table).Meta.table_name)


def _condition(table: str) -> str:
    return f"attribute_not_exists(#idle) AND {_UNUSED[table]}"


def _names(table: str) -> dict[str, str]:
    return {"#idle": "idle", **_NAMES[table]}


def _values(table: str) -> dict[str, Any]:
    return {":live": {"S": LIVE}} if table == MANIFESTS else {":none": {"N": "0"}}
