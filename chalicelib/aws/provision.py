"""Makes the tables and the bucket of a local deployment; on AWS the template does."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from chalicelib.aws.keys import INCOMING
from chalicelib.aws.tables import Tables
from chalicelib.config import Settings

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpu-abort-incomplete-mpu-lifecycle-config.html
EXPIRY: Final[tuple[dict[str, Any], ...]] = (
    {
        "ID": "ccr-unfinished-parts",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    },
    {
        "ID": "ccr-incoming",
        "Status": "Enabled",
        "Filter": {"Prefix": INCOMING},
        "Expiration": {"Days": 1},
    },
)


def create_tables(client: Any, tables: Tables) -> None:
    """Those that are not there; a table of an earlier version gets the indexes that it has not."""
    for model in tables.stored():
        if model.exists():
            _add_indexes(client, model)
        else:
            model.create_table(wait=True)


def _add_indexes(client: Any, model: Any) -> None:
    """One at a time, as DynamoDB makes them.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.OnlineOps.html
    """
    schema = model._get_schema()  # noqa: SLF001 - there is no public way
    name = model.Meta.table_name
    there = client.describe_table(TableName=name)["Table"].get("GlobalSecondaryIndexes", [])
    known = {index["IndexName"] for index in there}
    for index in schema["global_secondary_indexes"]:
        if index["index_name"] not in known:
            _add_index(client, name, index, schema["attribute_definitions"])


def _add_index(
    client: Any, table: str, index: Mapping[str, Any], definitions: Sequence[Mapping[str, str]]
) -> None:
    create = {
        "IndexName": index["index_name"],
        # The hash key comes first.
        "KeySchema": sorted(index["key_schema"], key=lambda one: str(one["KeyType"])),
        "Projection": index["projection"],
    }
    client.update_table(
        TableName=table,
        AttributeDefinitions=definitions,
        GlobalSecondaryIndexUpdates=[{"Create": create}],
    )
    while not _is_active(client, table, index["index_name"]):
        time.sleep(1)


def _is_active(client: Any, table: str, index: str) -> bool:
    there = client.describe_table(TableName=table)["Table"].get("GlobalSecondaryIndexes", [])
    return any(one["IndexName"] == index and one.get("IndexStatus", "ACTIVE") == "ACTIVE" for one in there)


def create_bucket(client: Any, settings: Settings) -> None:
    known = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    if settings.bucket not in known:
        options = {}
        if settings.region != "us-east-1":
            options["CreateBucketConfiguration"] = {"LocationConstraint": settings.region}
        client.create_bucket(Bucket=settings.bucket, **options)
    _let_expire(client, settings.bucket)


def _let_expire(client: Any, bucket: str) -> None:
    """What was uploaded and never completed goes within a day; rules of others stay."""
    own = {rule["ID"] for rule in EXPIRY}
    try:
        there = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    except client.exceptions.ClientError as error:
        if error.response["Error"].get("Code") != "NoSuchLifecycleConfiguration":
            raise
        there = []
    if all(any(rule["ID"] == one.get("ID") for one in there) for rule in EXPIRY):
        return
    others = [rule for rule in there if rule.get("ID") not in own]
    client.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": [*others, *EXPIRY]}
    )
