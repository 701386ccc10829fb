"""Makes the tables and the bucket of a local deployment; on AWS the template does."""

from __future__ import annotations

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


def create_tables(tables: Tables) -> None:
    for model in tables.stored():
        if not model.exists():
            model.create_table(wait=True)


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
