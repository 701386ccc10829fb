"""Makes the tables and the bucket of a local deployment; on AWS the template does."""

from __future__ import annotations

from typing import Any

from chalicelib.aws.tables import Tables
from chalicelib.config import Settings


def create_tables(tables: Tables) -> None:
    for model in tables.stored():
        if not model.exists():
            model.create_table(wait=True)


def create_bucket(client: Any, settings: Settings) -> None:
    known = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    if settings.bucket in known:
        return
    options = {}
    if settings.region != "us-east-1":
        options["CreateBucketConfiguration"] = {"LocationConstraint": settings.region}
    client.create_bucket(Bucket=settings.bucket, **options)
