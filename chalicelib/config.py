"""Settings of a deployment, read once from the environment and then frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

FUNCTION_URL: Final = "function-url"


class Variable(NamedTuple):
    """One environment variable, as the documents list it."""

    name: str
    default: str
    meaning: str


VARIABLES: Final = (
    Variable(
        "CCR_TOKEN_KEY",
        "required; made and kept in the data folder by `make run`",
        "at least 32 random bytes in hexadecimal: signs tokens and upload capabilities; to rotate it, put "
        "the new one in front with a comma, and take the old one away an hour later",
    ),
    Variable("CCR_ACCOUNT", "default", "the first account, and the one of `admin`"),
    Variable(
        "CCR_CREATE_ON_PUSH",
        "on for `make run`, else off",
        "on: a push by an owner of the account makes the registry it names, in the project `default`",
    ),
    Variable(
        "CCR_LOOPBACK_ISSUERS",
        "off",
        "on: OpenID Connect issuers may be on this machine without TLS, for tests",
    ),
    Variable("CCR_SERVICE", "ccr", "what tokens name as their issuer and audience"),
    Variable(
        "CCR_PUBLIC_URL",
        "scheme and Host of the request",
        "where clients reach the registry, when a TLS proxy stands in front of it",
    ),
    Variable(
        "CCR_BLOB_REDIRECT",
        "on",
        "off: the local process streams blobs instead of redirecting to S3, for clients that cannot reach it",
    ),
    Variable(
        "CCR_S3_ENDPOINT", "Amazon S3; `make run` starts one", "the S3 that the registry itself talks to"
    ),
    Variable("CCR_S3_PUBLIC_ENDPOINT", "CCR_S3_ENDPOINT", "the same S3 as clients reach it, in redirects"),
    Variable("CCR_DYNAMODB_ENDPOINT", "Amazon DynamoDB; `make run` starts one", "the DynamoDB to use"),
    Variable("CCR_BUCKET", "ccr", "the bucket"),
    Variable("CCR_TABLE_PREFIX", "ccr-", "what the name of each table starts with"),
    Variable("AWS_REGION", "us-east-1", "the region of the bucket and the tables"),
    Variable(
        "CCR_EMULATE", "nothing", "function-url: the local process behaves as the front end of a function URL"
    ),
    Variable(
        "CCR_HEAD_BODY",
        "on behind a function URL, else off",
        "on: HEAD on a manifest answers with the body too, for a front end that counts it and takes it off",
    ),
    Variable(
        "CCR_VERIFIER_FUNCTION",
        "none: this process verifies",
        "the function that verifies direct uploads, by name or ARN; invoked asynchronously",
    ),
    Variable("CCR_FAST_READS", "on", "off: read single rows through botocore instead of signing by hand"),
    Variable("CCR_DEBUG_BACKEND_CALLS", "off", "on: each answer says how many backend calls it took"),
)


class SettingsError(Exception):
    """A setting that is missing or is none; the message names it and what it takes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Endpoints left empty are Amazon's own."""

    token_keys: tuple[bytes, ...] = field(repr=False)
    region: str = "us-east-1"
    bucket: str = "ccr"
    table_prefix: str = "ccr-"
    s3_endpoint: str = ""
    s3_public_endpoint: str = ""
    dynamodb_endpoint: str = ""
    account: str = "default"
    service: str = "ccr"
    public_url: str = ""
    redirect_blobs: bool = True
    emulate: str = ""
    head_carries_body: bool = True
    show_backend_calls: bool = False
    fast_reads: bool = False
    create_on_push: bool = False
    loopback_issuers: bool = False
    verifier_function: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Raises SettingsError."""
        emulate = environ.get("CCR_EMULATE", "")
        if emulate not in {"", FUNCTION_URL}:
            raise SettingsError(f"CCR_EMULATE takes nothing or {FUNCTION_URL}, not {emulate!r}")
        endpoint = environ.get("CCR_S3_ENDPOINT", "")
        return cls(
            token_keys=_keys(environ),
            region=environ.get("AWS_REGION") or "us-east-1",
            bucket=environ.get("CCR_BUCKET") or "ccr",
            table_prefix=environ.get("CCR_TABLE_PREFIX", "ccr-"),
            s3_endpoint=endpoint,
            s3_public_endpoint=environ.get("CCR_S3_PUBLIC_ENDPOINT") or endpoint,
            dynamodb_endpoint=environ.get("CCR_DYNAMODB_ENDPOINT", ""),
            account=environ.get("CCR_ACCOUNT") or "default",
            service=environ.get("CCR_SERVICE") or "ccr",
            public_url=_public_url(environ),
            redirect_blobs=_switch(environ, "CCR_BLOB_REDIRECT", default=True),
            emulate=emulate,
            head_carries_body=_switch(environ, "CCR_HEAD_BODY", default=_behind_function_url(environ)),
            show_backend_calls=_switch(environ, "CCR_DEBUG_BACKEND_CALLS", default=False),
            fast_reads=_switch(environ, "CCR_FAST_READS", default=True),
            create_on_push=_switch(environ, "CCR_CREATE_ON_PUSH", default=False),
            verifier_function=environ.get("CCR_VERIFIER_FUNCTION", ""),
            loopback_issuers=_switch(environ, "CCR_LOOPBACK_ISSUERS", default=False),
        )


def _behind_function_url(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("CCR_EMULATE")) or "AWS_LAMBDA_FUNCTION_NAME" in environ


def _keys(environ: Mapping[str, str]) -> tuple[bytes, ...]:
    try:
        keys = tuple(bytes.fromhex(text) for text in environ.get("CCR_TOKEN_KEY", "").split(","))
    except ValueError as error:
        raise SettingsError("CCR_TOKEN_KEY is not hexadecimal") from error
    if min(map(len, keys)) < 32:
        raise SettingsError("CCR_TOKEN_KEY takes at least 32 random bytes as hexadecimal digits")
    return keys


def _public_url(environ: Mapping[str, str]) -> str:
    url = environ.get("CCR_PUBLIC_URL", "").rstrip("/")
    if url and not url.startswith(("http://", "https://")):
        raise SettingsError(f"CCR_PUBLIC_URL starts with http:// or https://, not {url!r}")
    return url


def _switch(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = environ.get(name, "").lower()
    if value in {"on", "1", "true", "yes"}:
        return True
    if value in {"off", "0", "false", "no"}:
        return False
    if value:
        raise SettingsError(f"{name} takes on or off, not {value!r}")
    return default
