"""A pytest plugin: which AWS actions each function of `app.py` takes, on what, while the tests run.

`python -m pytest -p tests.templates.recorder --record FILE ...` writes them as JSON. This is the one place
where calls of botocore are watched for the roles, and those that are signed by hand beside it.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.client import BaseClient

from chalicelib.aws.signature import Signer
from chalicelib.events.rounds import Rounds
from chalicelib.registry.collection import Collector
from chalicelib.registry.lifecycle_rounds import LifecycleRounds
from chalicelib.registry.reconcile import Reconciliation
from chalicelib.registry.sweep import Sweep
from chalicelib.registry.verification import Verifier
from chalicelib.wiring import Deployment

# What app.py calls, and the function that calls it.
ENTRIES: Final = {
    "handler": "registry",
    "manage": "management",
    "adopt": "adopt",
    "collect": "collect",
    "sweep": "sweep",
    "migrate": "reconcile",
    "reconcile_all": "reconcile",
    "verify": "verifier",
    "apply_lifecycle": "lifecycle",
    "open": "setup",
    "tell": "stream",
    "tell_all": "tell",
}
# What tests call of it without the entry.
INSIDE: Final = (
    (Collector, "run", "collect"),
    (Sweep, "run", "sweep"),
    (Reconciliation, "run", "reconcile"),
    (LifecycleRounds, "go", "lifecycle"),
    (Verifier, "verify", "verifier"),
    (Rounds, "run", "tell"),
)
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
S3: Final = {
    "GetObject": ["s3:GetObject"],
    "HeadObject": ["s3:GetObject"],
    "PutObject": ["s3:PutObject"],
    "CreateMultipartUpload": ["s3:PutObject"],
    "UploadPart": ["s3:PutObject"],
    "CompleteMultipartUpload": ["s3:PutObject"],
    "AbortMultipartUpload": ["s3:AbortMultipartUpload"],
    "ListParts": ["s3:ListMultipartUploadParts"],
    "DeleteObject": ["s3:DeleteObject"],
    "DeleteObjects": ["s3:DeleteObject"],
    "CopyObject": ["s3:PutObject"],
    "UploadPartCopy": ["s3:PutObject"],
}
BUCKET: Final = {"ListObjectsV2": "s3:ListBucket", "ListMultipartUploads": "s3:ListBucketMultipartUploads"}
SIGNED: Final = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject"}
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
IN_TRANSACTION: Final = {
    "Get": "dynamodb:GetItem",
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}

Call = tuple[str, str, str]
calls: Final[set[Call]] = set()
_function: ContextVar[str] = ContextVar("function", default="")
PREFIX: Final = "ccr-"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", type=Path, help="the file to write what was called to")


def pytest_configure(config: pytest.Config) -> None:
    recorded = recording()
    recorded.__enter__()
    config.add_cleanup(functools.partial(recorded.__exit__, None, None, None))


@contextmanager
def recording() -> Iterator[set[Call]]:
    """Everything that is called meanwhile: function, action, and what it is on."""
    with pytest.MonkeyPatch.context() as patch:
        for name, function in ENTRIES.items():
            patch.setattr(Deployment, name, _within(function, getattr(Deployment, name)))
        for owner, name, function in INSIDE:
            patch.setattr(owner, name, _within(function, getattr(owner, name)))
        patch.setattr(BaseClient, "_make_api_call", _watched(BaseClient._make_api_call))
        patch.setattr(Signer, "presign", _signed(Signer.presign))
        patch.setattr(ThreadPoolExecutor, "submit", _followed(ThreadPoolExecutor.submit))
        yield calls


def pytest_sessionfinish(session: pytest.Session) -> None:
    target = session.config.getoption("--record")
    if target:
        target.write_text(json.dumps(sorted(calls), indent=0))


def _within(function: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """What is called from inside another entry is of that one."""

    @functools.wraps(method)
    def entered(*arguments: Any, **named: Any) -> Any:
        token = _function.set(_function.get() or function)
        try:
            return method(*arguments, **named)
        finally:
            _function.reset(token)

    return entered


def _followed(submit: Callable[..., Any]) -> Callable[..., Any]:
    """What a pool does is of the function that asked for it."""

    @functools.wraps(submit)
    def followed(pool: Any, task: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        return submit(pool, copy_context().run, task, *arguments, **named)

    return followed


def _now() -> str:
    """Direct uploads are verified by a thread here, and by a function of their own on AWS."""
    return "verifier" if threading.current_thread().name == "verifier" else _function.get()


def _watched(make: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(make)
    def call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        function = _now()
        if function:
            service = client.meta.service_model.service_name
            calls.update((function, *one) for one in actions(service, operation, parameters))
        return make(client, operation, parameters)

    return call


def _signed(presign: Callable[..., str]) -> Callable[..., str]:
    """Who uses a presigned URL may what its signer may."""

    @functools.wraps(presign)
    def signed(signer: Signer, method: str, host: str, path: str, *arguments: Any, **named: Any) -> str:
        function = _now()
        if function:
            key = path.removeprefix("/ccr/") if path.startswith("/ccr/") else path.removeprefix("/")
            calls.add((function, SIGNED[method], _prefix(key)))
        return presign(signer, method, host, path, *arguments, **named)

    return signed


def actions(service: str, operation: str, parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each action that IAM asks about, and a table, an index of it, a prefix of keys, or `bucket`."""
    if service == "s3":
        yield from _of_s3(operation, parameters)
    elif service == "dynamodb":
        yield from _of_dynamodb(operation, parameters)
    elif service == "events":
        yield f"events:{operation}", "bus"
    else:
        yield f"{service}:{operation}", "*"


def _of_s3(operation: str, parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if operation in BUCKET:
        yield BUCKET[operation], "bucket"
        return
    named = [one["Key"] for one in parameters.get("Delete", {}).get("Objects", ())] or [parameters["Key"]]
    for key in named:
        for action in S3[operation]:
            yield action, _prefix(key)
    if "CopySource" in parameters:
        source = parameters["CopySource"]
        key = source["Key"] if isinstance(source, Mapping) else source.partition("/")[2]
        yield "s3:GetObject", _prefix(key)


def _of_dynamodb(operation: str, parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if operation in {"TransactWriteItems", "TransactGetItems"}:
        for item in parameters["TransactItems"]:
            for verb, inside in item.items():
                yield IN_TRANSACTION[verb], _table(inside["TableName"])
    elif operation in {"BatchGetItem", "BatchWriteItem"}:
        for table in parameters["RequestItems"]:
            yield f"dynamodb:{operation}", _table(table)
    else:
        table = _table(parameters["TableName"])
        yield f"dynamodb:{operation}", f"{table}/index" if "IndexName" in parameters else table


def _table(name: str) -> str:
    return name.removeprefix(PREFIX)


def _prefix(key: str) -> str:
    return key.partition("/")[0] + "/"
