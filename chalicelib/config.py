"""Settings of a deployment, read once from the environment and then frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

FUNCTION_URL: Final = "function-url"
AWS: Final = "aws"

# Who may carry the bytes of an upload.
FUNCTION: Final = "function"
EDGE: Final = "edge"
GATEWAY: Final = "gateway"
CARRIERS: Final = frozenset({FUNCTION, EDGE, GATEWAY})


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
    Variable(
        "CCR_TOKEN_KEY_SECRET",
        "none",
        "on AWS, the secret of Secrets Manager that has CCR_TOKEN_KEY, by ARN; read when a function starts",
    ),
    Variable(
        "CCR_ORIGIN_SECRET_SECRET", "none", "on AWS, the secret that has CCR_ORIGIN_SECRET, in the same way"
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
        "on; off in `make run` for other machines on an S3 of its own",
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
        "CCR_EMULATE",
        "nothing",
        "function-url: the local process behaves as the front end of a function URL; aws: as the whole "
        "front door, with the edge functions run by Node.js and S3 behind the edge",
    ),
    Variable(
        "CCR_UPLOADS",
        "gateway locally, function on Lambda; `CCR_EMULATE` says its own",
        "who may carry the bytes of an upload, with commas: function (4.5 MiB a request), edge (S3 itself, "
        "for clients that send one PUT), gateway",
    ),
    Variable(
        "CCR_REFUSE_STREAMS",
        "off",
        "on: where a function alone would carry an upload, clients that cannot cut a layer are refused as "
        "they begin, and told of `ccr push`",
    ),
    Variable(
        "CCR_ORIGIN_SECRET",
        "none; made by `CCR_EMULATE=aws`",
        "what the edge adds to each request, at least 16 characters: whoever comes without it is refused; to "
        "rotate it, put the new one in front with a comma",
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
    Variable(
        "CCR_GRACE_SECONDS",
        "86400",
        "how long a blob that no manifest in its repository names stays there: longer than any push takes",
    ),
    Variable(
        "CCR_RETENTION_DAYS",
        "7",
        "how long what is deleted can be restored, 0 to 365 days, where no policy of its repository or "
        "registry says otherwise; 0: it is gone at once",
    ),
    Variable(
        "CCR_PULL_EVENTS",
        "off",
        "pulls that are told as events: off, all, or a share of them such as 0.01; each is one more write",
    ),
    Variable("CCR_EVENT_BUS", "none", "the EventBridge bus that gets every event, by name or ARN"),
    Variable("CCR_EVENTS_ENDPOINT", "Amazon EventBridge", "another EventBridge to use"),
    Variable(
        "CCR_WEBHOOK_HTTP", "off", "on: the URL of a webhook may be http://, for receivers that have no TLS"
    ),
    Variable(
        "CCR_WEBHOOK_INSIDE",
        "none: webhooks go to public addresses only",
        "hosts whose addresses may be private all the same, with commas; loopback: this machine",
    ),
    Variable(
        "CCR_WEBHOOK_RETRIES",
        "5,300,1800,7200,18000,36000,36000",
        "after how many seconds a delivery is tried again; after the last of them it is given up",
    ),
    Variable(
        "CCR_RETENTION_COUNTED",
        "on",
        "off: what can be restored gives way to pushes that the account has no other room for, the oldest "
        "first, where no policy says otherwise",
    ),
    Variable("CCR_FAST_READS", "on", "off: read single rows through botocore instead of signing by hand"),
    Variable("CCR_DEBUG_BACKEND_CALLS", "off", "on: each answer says how many backend calls it took"),
)


# Of a process that serves, here and at a gateway; a function has CloudWatch.
PROCESS_VARIABLES: Final = (
    Variable(
        "CCR_METRICS",
        "off",
        "host:port to serve `GET /metrics` on, for Prometheus, without a login: 127.0.0.1:9180; with 0 a "
        "free one",
    ),
    Variable(
        "CCR_ACCESS_LOG", "on", "off: no line for each request on standard error; all else is still told"
    ),
)

GATEWAY_VARIABLES: Final = (
    Variable(
        "CCR_CAPABILITY_KEY",
        "required",
        "the key of upload capabilities alone, as `ccr capability-key` derives it from CCR_TOKEN_KEY; with a "
        "comma two, while that is rotated",
    ),
    Variable("CCR_REGISTRY_URL", "required", "the registry function, which publishes what was verified here"),
    Variable("CCR_ORIGIN_SECRET", "nothing", "what the registry function asks of whoever stands before it"),
    Variable("CCR_UPLOADS_AT_ONCE", "8", "bodies received at once, each with up to 20 MB of memory"),
    Variable("CCR_DRAIN_SECONDS", "110", "how long uploads may go on after SIGTERM"),
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
    uploads: frozenset[str] = frozenset({GATEWAY})
    refuse_streams: bool = False
    origin_secrets: tuple[str, ...] = field(default=(), repr=False)
    verifier_function: str = ""
    grace_seconds: int = 24 * 3600
    retention_days: int = 7
    pull_events: float = 0.0
    event_bus: str = ""
    events_endpoint: str = ""
    webhook_http: bool = False
    webhook_inside: frozenset[str] = frozenset()
    webhook_retries: tuple[int, ...] = (5, 300, 1800, 7200, 18000, 36000, 36000)
    retention_counted: bool = True

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Raises SettingsError."""
        return cls.with_keys(_keys(environ), environ)

    @classmethod
    def with_keys(cls, token_keys: tuple[bytes, ...], environ: Mapping[str, str]) -> Settings:
        """All the rest from the environment. Raises SettingsError."""
        emulate = environ.get("CCR_EMULATE", "")
        if emulate not in {"", FUNCTION_URL, AWS}:
            raise SettingsError(f"CCR_EMULATE takes nothing, {FUNCTION_URL} or {AWS}, not {emulate!r}")
        endpoint = environ.get("CCR_S3_ENDPOINT", "")
        return cls(
            token_keys=token_keys,
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
            uploads=_uploads(environ),
            refuse_streams=_switch(environ, "CCR_REFUSE_STREAMS", default=False),
            origin_secrets=_origin_secrets(environ),
            grace_seconds=_number(environ, "CCR_GRACE_SECONDS", default=24 * 3600, most=365 * 24 * 3600),
            retention_days=_number(environ, "CCR_RETENTION_DAYS", default=7, most=365, least=0),
            pull_events=_share(environ, "CCR_PULL_EVENTS"),
            event_bus=environ.get("CCR_EVENT_BUS", ""),
            events_endpoint=environ.get("CCR_EVENTS_ENDPOINT", ""),
            webhook_http=_switch(environ, "CCR_WEBHOOK_HTTP", default=False),
            webhook_inside=_names(environ, "CCR_WEBHOOK_INSIDE"),
            webhook_retries=_retries(environ),
            retention_counted=_switch(environ, "CCR_RETENTION_COUNTED", default=True),
        )


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Of an upload gateway on its own: no key that signs tokens."""

    storage: Settings
    capability_keys: tuple[bytes, ...] = field(repr=False)
    registry_url: str
    origin_secret: str = field(repr=False, default="")
    uploads_at_once: int = 8
    drain_seconds: int = 110

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> GatewaySettings:
        """Raises SettingsError."""
        url = environ.get("CCR_REGISTRY_URL", "").rstrip("/")
        if not url.startswith(("http://", "https://")):
            raise SettingsError(f"CCR_REGISTRY_URL starts with http:// or https://, not {url!r}")
        return cls(
            storage=Settings.with_keys((), environ),
            capability_keys=_keys(environ, "CCR_CAPABILITY_KEY"),
            registry_url=url,
            origin_secret=next(iter(_origin_secrets(environ)), ""),
            uploads_at_once=_number(environ, "CCR_UPLOADS_AT_ONCE", default=8, most=64),
            drain_seconds=_number(environ, "CCR_DRAIN_SECONDS", default=110, most=3600),
        )


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """`metrics` is where they are served; None: nowhere."""

    metrics: tuple[str, int] | None = None
    has_access_log: bool = True

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> ProcessSettings:
        """Raises SettingsError."""
        log = _switch(environ, "CCR_ACCESS_LOG", default=True)
        text = environ.get("CCR_METRICS") or "off"
        if text == "off":
            return cls(None, log)
        host, _, port = text.rpartition(":")
        if not host or not (port.isascii() and port.isdigit() and int(port) < 65536):
            raise SettingsError(f"CCR_METRICS takes off, or host:port such as 127.0.0.1:9180, not {text!r}")
        return cls((host.strip("[]"), int(port)), log)


def _number(environ: Mapping[str, str], name: str, *, default: int, most: int, least: int = 1) -> int:
    value = environ.get(name) or str(default)
    if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
        raise SettingsError(f"{name} takes a whole number from {least} to {most}, not {value!r}")
    return int(value)


def _share(environ: Mapping[str, str], name: str) -> float:
    text = environ.get(name) or "off"
    try:
        share = {"off": 0.0, "all": 1.0}.get(text)
        share = float(text) if share is None else share
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingsError(f"{name} takes off, all, or a share from 0 to 1, not {text!r}")
    return share


def _names(environ: Mapping[str, str], name: str) -> frozenset[str]:
    words = (word.strip().lower() for word in environ.get(name, "").split(","))
    return frozenset(word for word in words if word)


def _retries(environ: Mapping[str, str]) -> tuple[int, ...]:
    text = environ.get("CCR_WEBHOOK_RETRIES") or "5,300,1800,7200,18000,36000,36000"
    words = [word.strip() for word in text.split(",")]
    if len(words) > 20 or not all(word.isascii() and word.isdigit() for word in words):
        raise SettingsError(f"CCR_WEBHOOK_RETRIES takes up to 20 numbers of seconds, not {text!r}")
    return tuple(min(int(word), 7 * 24 * 3600) for word in words)


def _behind_function_url(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("CCR_EMULATE")) or "AWS_LAMBDA_FUNCTION_NAME" in environ


def _uploads(environ: Mapping[str, str]) -> frozenset[str]:
    default = FUNCTION if _behind_function_url(environ) else GATEWAY
    if environ.get("CCR_EMULATE") == AWS:
        default = f"{FUNCTION},{EDGE},{GATEWAY}"
    text = environ.get("CCR_UPLOADS") or default
    carriers = frozenset(word.strip() for word in text.split(","))
    if not carriers <= CARRIERS:
        raise SettingsError(f"CCR_UPLOADS takes some of {', '.join(sorted(CARRIERS))}, not {text!r}")
    return carriers


def _origin_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    text = environ.get("CCR_ORIGIN_SECRET", "")
    secrets = tuple(text.split(",")) if text else ()
    if any(len(secret) < 16 for secret in secrets):
        raise SettingsError("CCR_ORIGIN_SECRET takes at least 16 characters")
    return secrets


def _keys(environ: Mapping[str, str], name: str = "CCR_TOKEN_KEY") -> tuple[bytes, ...]:
    try:
        keys = tuple(bytes.fromhex(text) for text in environ.get(name, "").split(","))
    except ValueError as error:
        raise SettingsError(f"{name} is not hexadecimal") from error
    if min(map(len, keys)) < 32:
        raise SettingsError(f"{name} takes at least 32 random bytes as hexadecimal digits")
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
