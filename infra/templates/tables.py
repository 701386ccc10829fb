"""The tables as their models have them, with what only a deployment needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pynamodb.connection import Connection

from chalicelib.aws.tables import bind
from infra.templates.functions import FUNCTIONS
from infra.templates.names import STACK, Resource, logical, ref, sub

# Tables whose changes call a function, which reads what it wants itself.
STREAMED: Final = frozenset(function.stream for function in FUNCTIONS.values() if function.stream)
STREAM_VIEW: Final = "KEYS_ONLY"


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of each table without a prefix, and what CreateTable takes of it besides."""
    connection = Connection(region="us-east-1")
    # It is never called; without them botocore would look for some on the network.
    connection.session.set_credentials("none", "none")
    tables = bind(connection, "")
    for model in tables.stored():
        yield str(model.Meta.table_name), _schema(model)


def _schema(model: Any) -> dict[str, Any]:
    said = model._get_schema()  # noqa: SLF001 - there is no public way
    keys = {"KeySchema": _keys(said["key_schema"]), "AttributeDefinitions": said["attribute_definitions"]}
    for theirs, ours in (
        ("global_secondary_indexes", "GlobalSecondaryIndexes"),
        ("local_secondary_indexes", "LocalSecondaryIndexes"),
    ):
        if said.get(theirs):
            keys[ours] = [_index(index) for index in said[theirs]]
    ttl = model._ttl_attribute()  # noqa: SLF001 - there is no public way
    if ttl is not None:
        keys["TimeToLiveSpecification"] = {"AttributeName": ttl.attr_name, "Enabled": True}
    return keys


def _keys(keys: list[dict[str, str]]) -> list[dict[str, str]]:
    """The hash key comes first."""
    return sorted(
        ({"AttributeName": one["AttributeName"], "KeyType": one["KeyType"]} for one in keys),
        key=lambda one: one["KeyType"],
    )


def _index(index: dict[str, Any]) -> dict[str, Any]:
    return {
        "IndexName": index["index_name"],
        "KeySchema": _keys(index["key_schema"]),
        "Projection": index["projection"],
    }


def resources() -> dict[str, Resource]:
    return {logical(name, "Table"): _table(name, schema) for name, schema in schemas()}


def _table(name: str, schema: dict[str, Any]) -> Resource:
    properties = {
        "TableName": sub(f"{STACK}-{name}"),
        "BillingMode": "PAY_PER_REQUEST",
        "DeletionProtectionEnabled": ref("Protect"),
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": ref("PointInTimeRecovery")},
        "SSESpecification": {"SSEEnabled": True},
        **schema,
    }
    if name in STREAMED:
        properties["StreamSpecification"] = {"StreamViewType": STREAM_VIEW}
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": properties,
    }
