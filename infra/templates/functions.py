"""Every function: its size, and what it may do to what. One entry makes its role, log and alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Function:
    """`tables` and `objects` map actions to the tables and the prefixes of keys that they are allowed on.

    `memory` is in MB, `timeout` in seconds. `bucket` has actions on the bucket itself, `invokes` functions,
    `secrets` those it reads. `has_url`: clients reach it through the edge. `is_event`: what it fails at,
    after two more tries, goes to the queue of failures. `stream` is the table whose changes call it, and
    what fails goes there too. `puts_events`: on the bus of the deployment.
    """

    memory: int
    timeout: int
    tables: Mapping[str, tuple[str, ...]]
    objects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bucket: tuple[str, ...] = ()
    invokes: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ("TokenKey", "OriginSecret")
    has_url: bool = False
    is_event: bool = True
    stream: str = ""
    puts_events: bool = False


FUNCTIONS: Final[Mapping[str, Function]] = {
    "registry": Function(
        1769,
        60,
        tables={
            "accounts": ("dynamodb:GetItem",),
            "attempts": ("dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:UpdateItem"),
            "audit": ("dynamodb:PutItem",),
            "blobs": (
                "dynamodb:BatchGetItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:UpdateItem",
            ),
            "buried": ("dynamodb:PutItem",),
            "credentials": ("dynamodb:BatchGetItem", "dynamodb:UpdateItem"),
            "history": ("dynamodb:PutItem",),
            "links": (
                "dynamodb:BatchGetItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:UpdateItem",
            ),
            "manifests": (
                "dynamodb:BatchGetItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:UpdateItem",
            ),
            "outbox": ("dynamodb:PutItem",),
            "policies": ("dynamodb:BatchGetItem", "dynamodb:GetItem"),
            "projects": ("dynamodb:GetItem", "dynamodb:PutItem"),
            "registries": ("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem"),
            "repositories": ("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:UpdateItem"),
            "repositories/index": ("dynamodb:Query",),
            "revocations": ("dynamodb:Query",),
            "tags": (
                "dynamodb:BatchGetItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
            ),
            "tags/index": ("dynamodb:Query",),
            "trash": ("dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
            "trash/index": ("dynamodb:Query",),
            "uploads": ("dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
            "usage": ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
        },
        objects={
            "blobs/": ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"),
            "manifests/": ("s3:GetObject", "s3:PutObject"),
            "staged/": ("s3:GetObject",),
        },
        bucket=("s3:ListBucket",),
        has_url=True,
        is_event=False,
    ),
    "management": Function(
        1769,
        60,
        tables={
            "accounts": ("dynamodb:GetItem", "dynamodb:PutItem"),
            "attempts": ("dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:UpdateItem"),
            "audit": ("dynamodb:PutItem", "dynamodb:Query"),
            "blobs": (
                "dynamodb:BatchGetItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:Scan",
                "dynamodb:UpdateItem",
            ),
            "blobs/index": ("dynamodb:Query",),
            "buried": ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"),
            "credentials": (
                "dynamodb:BatchGetItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:UpdateItem",
            ),
            "credentials/index": ("dynamodb:Query",),
            "deliveries": ("dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query"),
            "history": ("dynamodb:PutItem", "dynamodb:Query"),
            "links": (
                "dynamodb:BatchGetItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:Scan",
                "dynamodb:UpdateItem",
            ),
            "links/index": ("dynamodb:Query",),
            "manifests": (
                "dynamodb:BatchGetItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:Scan",
                "dynamodb:UpdateItem",
            ),
            "manifests/index": ("dynamodb:Query",),
            "outbox": ("dynamodb:PutItem",),
            "policies": (
                "dynamodb:BatchGetItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
            ),
            "projects": ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"),
            "queues": ("dynamodb:Query", "dynamodb:UpdateItem"),
            "registries": ("dynamodb:GetItem", "dynamodb:PutItem"),
            "registries/index": ("dynamodb:Query",),
            "repositories": (
                "dynamodb:BatchGetItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:Query",
            ),
            "repositories/index": ("dynamodb:Query",),
            "revocations": ("dynamodb:PutItem", "dynamodb:Query"),
            "tags": (
                "dynamodb:BatchGetItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
            ),
            "tags/index": ("dynamodb:Query",),
            "trash": ("dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"),
            "trash/index": ("dynamodb:Query",),
            "uploads": ("dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
            "uploads/index": ("dynamodb:Query",),
            "usage": ("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
            "webhooks": ("dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"),
        },
        objects={
            "blobs/": ("s3:DeleteObject", "s3:GetObject", "s3:PutObject"),
            "incoming/": (
                "s3:AbortMultipartUpload",
                "s3:DeleteObject",
                "s3:GetObject",
                "s3:ListMultipartUploadParts",
                "s3:PutObject",
            ),
        },
        bucket=("s3:ListBucket",),
        invokes=("verifier",),
        has_url=True,
        is_event=False,
    ),
    "adopt": Function(
        512,
        60,
        tables={
            "audit": ("dynamodb:PutItem",),
            "blobs": ("dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"),
            "buried": ("dynamodb:PutItem",),
            "links": ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
            "outbox": ("dynamodb:PutItem",),
            "policies": ("dynamodb:GetItem",),
            "trash": ("dynamodb:DeleteItem", "dynamodb:GetItem"),
            "trash/index": ("dynamodb:Query",),
            "uploads": ("dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:UpdateItem"),
            "usage": ("dynamodb:GetItem", "dynamodb:UpdateItem"),
        },
        objects={
            "staged/": ("s3:DeleteObject", "s3:GetObject"),
        },
        bucket=("s3:ListBucket",),
    ),
    "collect": Function(
        1024,
        900,
        tables={
            "audit": ("dynamodb:PutItem",),
            "blobs": ("dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:UpdateItem"),
            "blobs/index": ("dynamodb:Query",),
            "buried": ("dynamodb:BatchWriteItem", "dynamodb:PutItem", "dynamodb:Query"),
            "links": ("dynamodb:DeleteItem", "dynamodb:UpdateItem"),
            "links/index": ("dynamodb:Query",),
            "manifests/index": ("dynamodb:Query",),
            "outbox": ("dynamodb:PutItem",),
            "policies": ("dynamodb:GetItem",),
            "trash": ("dynamodb:DeleteItem", "dynamodb:GetItem"),
            "trash/index": ("dynamodb:Query",),
            "uploads": ("dynamodb:DeleteItem", "dynamodb:GetItem"),
            "uploads/index": ("dynamodb:Query",),
            "usage": ("dynamodb:GetItem", "dynamodb:UpdateItem"),
        },
        objects={
            "blobs/": ("s3:AbortMultipartUpload", "s3:DeleteObject"),
            "incoming/": ("s3:AbortMultipartUpload", "s3:DeleteObject"),
            "staged/": ("s3:DeleteObject",),
        },
        bucket=("s3:ListBucket", "s3:ListBucketMultipartUploads"),
    ),
    "sweep": Function(
        1024,
        900,
        tables={
            "blobs/index": ("dynamodb:Query",),
            "buried": ("dynamodb:PutItem",),
            "manifests": ("dynamodb:GetItem",),
            "policies": ("dynamodb:GetItem", "dynamodb:PutItem"),
            "uploads": ("dynamodb:GetItem",),
        },
        objects={
            "blobs/": ("s3:AbortMultipartUpload",),
        },
        bucket=("s3:ListBucket", "s3:ListBucketMultipartUploads"),
    ),
    "reconcile": Function(
        1024,
        900,
        tables={
            "accounts": ("dynamodb:GetItem", "dynamodb:Scan"),
            "audit": ("dynamodb:PutItem",),
            "blobs": ("dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem"),
            "blobs/index": ("dynamodb:Query",),
            "links": ("dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem"),
            "manifests": ("dynamodb:Scan", "dynamodb:UpdateItem"),
            "outbox": ("dynamodb:PutItem",),
            "policies": ("dynamodb:GetItem", "dynamodb:PutItem"),
            "registries/index": ("dynamodb:Query",),
            "repositories": ("dynamodb:Query",),
            "usage": ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
        },
        objects={},
        bucket=("s3:ListBucket",),
    ),
    "verifier": Function(
        1769,
        900,
        tables={
            "audit": ("dynamodb:PutItem",),
            "blobs": ("dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"),
            "buried": ("dynamodb:PutItem",),
            "links": ("dynamodb:PutItem",),
            "outbox": ("dynamodb:PutItem",),
            "policies": ("dynamodb:GetItem",),
            "trash": ("dynamodb:DeleteItem", "dynamodb:GetItem"),
            "trash/index": ("dynamodb:Query",),
            "uploads": ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
            "usage": ("dynamodb:GetItem", "dynamodb:UpdateItem"),
        },
        objects={
            "blobs/": ("s3:DeleteObject", "s3:PutObject"),
            "incoming/": (
                "s3:AbortMultipartUpload",
                "s3:DeleteObject",
                "s3:GetObject",
                "s3:ListMultipartUploadParts",
                "s3:PutObject",
            ),
        },
        invokes=("verifier",),
        bucket=("s3:ListBucket",),
    ),
    "lifecycle": Function(
        1024,
        900,
        tables={
            "audit": ("dynamodb:PutItem",),
            "blobs": ("dynamodb:UpdateItem",),
            "history": ("dynamodb:PutItem",),
            "links": ("dynamodb:UpdateItem",),
            "manifests": ("dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"),
            "outbox": ("dynamodb:PutItem",),
            "policies": ("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Scan"),
            "repositories": ("dynamodb:Query",),
            "tags": ("dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:Query"),
            "tags/index": ("dynamodb:Query",),
            "trash": ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"),
        },
        objects={},
    ),
    "setup": Function(
        512,
        60,
        tables={
            "accounts": ("dynamodb:GetItem", "dynamodb:PutItem"),
            "blobs": ("dynamodb:Query",),
            "credentials": ("dynamodb:GetItem", "dynamodb:PutItem"),
            "policies": ("dynamodb:GetItem",),
            "usage": ("dynamodb:GetItem", "dynamodb:PutItem"),
        },
        objects={},
        is_event=False,
    ),
    "stream": Function(
        1024,
        60,
        tables={
            "deliveries": ("dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query"),
            "outbox": ("dynamodb:DeleteItem", "dynamodb:Query"),
            "policies": ("dynamodb:GetItem",),
            "queues": ("dynamodb:DeleteItem", "dynamodb:UpdateItem"),
            "webhooks": ("dynamodb:GetItem", "dynamodb:Query"),
        },
        is_event=False,
        stream="outbox",
        puts_events=True,
    ),
    "tell": Function(
        1024,
        120,
        tables={
            "deliveries": ("dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query"),
            "outbox": ("dynamodb:DeleteItem", "dynamodb:Query", "dynamodb:Scan"),
            "policies": ("dynamodb:GetItem",),
            "queues": ("dynamodb:DeleteItem", "dynamodb:UpdateItem"),
            "queues/index": ("dynamodb:Query",),
            "webhooks": ("dynamodb:GetItem", "dynamodb:Query"),
        },
        puts_events=True,
    ),
}
