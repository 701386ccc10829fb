"""The only place where clients are made: one of each service, with its time-outs and retries."""

from __future__ import annotations

from typing import Any, Final

import boto3
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError
from pynamodb.connection import Connection

from chalicelib.aws.calls import watch
from chalicelib.aws.reads import PynamoReads, Reads, SignedReads
from chalicelib.aws.signature import Signer
from chalicelib.aws.transactions import TransactionConflictError
from chalicelib.config import Settings

CONNECT_SECONDS: Final = 3
READ_SECONDS: Final = 60
POOL: Final = 64
_THROTTLED: Final = frozenset(
    {
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)


def session(settings: Settings) -> boto3.Session:
    return boto3.Session(region_name=settings.region)


def signer(own: boto3.Session, service: str) -> Signer:
    """Signs as clients of `own` do."""

    def credentials() -> Any:
        found = own.get_credentials()
        if found is None:
            raise NoCredentialsError
        return found.get_frozen_credentials()

    return Signer(credentials, own.region_name, service)


def row_reads(settings: Settings, own: boto3.Session, connection: Connection) -> Reads:
    """By hand where `settings.fast_reads` says so."""
    if not settings.fast_reads:
        return PynamoReads(connection)
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    pool = urllib3.PoolManager(maxsize=POOL, timeout=timeout, cert_reqs="CERT_REQUIRED")
    endpoint = str(connection.client.meta.endpoint_url)
    return SignedReads(signer(own, "dynamodb"), endpoint, pool, PynamoReads(connection))


def s3_client(own: boto3.Session, endpoint: str) -> Any:
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
    client = own.client("s3", endpoint_url=endpoint or None, config=config)
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


def lambda_client(own: boto3.Session) -> Any:
    config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"mode": "standard"})
    return own.client("lambda", config=config)


def secrets_client(region: str) -> Any:
    config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"mode": "standard"})
    return boto3.Session(region_name=region or None).client("secretsmanager", config=config)


def events_client(own: boto3.Session, endpoint: str) -> Any:
    """`endpoint` is '' for Amazon EventBridge."""
    config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"mode": "standard"})
    return own.client("events", endpoint_url=endpoint or None, config=config)


def is_throttled(error: BaseException | None) -> bool:
    """Whether AWS asked to slow down, or others kept the rows busy, however deep in the chain of causes."""
    while error is not None:
        if isinstance(error, TransactionConflictError):
            return True
        if isinstance(error, ClientError) and not _THROTTLED.isdisjoint(_codes(error)):
            return True
        error = error.__cause__ or getattr(error, "cause", None)
    return False


def _codes(error: ClientError) -> set[str]:
    """Its own, and why each item of a transaction was refused."""
    reasons = error.response.get("CancellationReasons", ())
    return {error.response["Error"].get("Code", ""), *(reason["Code"] for reason in reasons)}
