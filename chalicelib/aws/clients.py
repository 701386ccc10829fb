"""The only place where clients are made: one of each service, with its time-outs and retries."""

from __future__ import annotations

from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from pynamodb.connection import Connection

from chalicelib.aws.calls import watch
from chalicelib.config import Settings

CONNECT_SECONDS: Final = 3
READ_SECONDS: Final = 60
POOL: Final = 64
_THROTTLED: Final = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)


def s3_client(settings: Settings, endpoint: str) -> Any:
    """`endpoint` is '' for Amazon S3, or the URL of another engine."""
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=POOL,
        retries={"mode": "standard", "total_max_attempts": 4},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        signature_version="s3v4",
        s3={"addressing_style": "path" if endpoint else "virtual"},
    )
    session = boto3.Session(region_name=settings.region)
    client = session.client("s3", endpoint_url=endpoint or None, config=config)
    watch(client, "s3")
    return client


def dynamodb_connection(settings: Settings) -> Connection:
    """The one connection that every table shares."""
    connection = Connection(
        region=settings.region,
        host=settings.dynamodb_endpoint or None,
        connect_timeout_seconds=CONNECT_SECONDS,
        read_timeout_seconds=READ_SECONDS,
        max_pool_connections=POOL,
        max_retry_attempts=3,
    )
    watch(connection.client, "dynamodb")
    return connection


def is_throttled(error: BaseException | None) -> bool:
    """Whether AWS asked to slow down, however deep in the chain of causes."""
    while error is not None:
        if isinstance(error, ClientError) and error.response["Error"].get("Code") in _THROTTLED:
            return True
        error = error.__cause__ or getattr(error, "cause", None)
    return False
