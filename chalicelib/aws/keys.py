"""Every S3 key and table key.

S3:
    blobs/<account>/<registry>/<session>/<writer>      bytes of an upload that one request carried
    blobs/<account>/<registry>/<session>/<writer>-multipart    or that came in parts from it on
    staged/<account>/<repository>/<hex>/<session>      a blob that a client put there through the edge
    blobs/<account>/<registry>/<session>/parts         of a direct upload that is too large to be copied
    incoming/<account>/<registry>/<session>            of another, until it is verified; a day at the most
    manifests/<account>/<repository>/<digest>/<random>    a manifest too large for a row

DynamoDB (`<prefix><table>`: hash key / range key):
    accounts      id
    projects      account / name
    registries    name                                 index account-name: account / name
    repositories  account/registry / repository        index account-name: account / repository
    manifests     account/repository / digest          also referrers#<subject>#<digest>: one edge each
                                                       index idle: those on their way in or out
    tags          account/repository / tag             local index on digest
    history       account/repository / tag#<time>-<random>    every move of a tag
    links         account/repository / digest          index idle: those that no manifest may name
    blobs         account / digest                     index idle: those that nothing may need
                                                       index account-storage_key: as S3 lists them
    trash         account/repository / digest          deleted manifests; index due
                                                       index giving: account / when it was deleted
    buried        shard / storage key                  objects that no row names any more
    usage         account
    policies      account/registry or account/registry/repository or account#project / kind
                  # / schema: how far the migrations are
    uploads       session                              index expiry
    credentials   id                                   index account-id: account / id
    revocations   "all" / credential id                what was taken away while tokens live
    attempts      credential#<id> or address#<ip>      failed logins
    audit         <account>#<day> / <time>-<random>
    outbox        account or account/repository / <time>-<random>    events that are in no queue yet
    queues        webhook or bus / account or account/repository     index due
    deliveries    wait#<target>#<lane>, done#<target> or dead#<target> / <time>-<random>
    webhooks      account / name
    idempotency   a hash of account, credential and key

The indexes idle, due and expiry are the work of the collector: shard / time, a shard for each of 16 digits.
S3 keys are unique to one writer, so deleting an old copy can never hit a new one.
The account is part of the key of all content: who gets the name of a deleted registry finds nothing there.
"""

from __future__ import annotations

import re
import secrets
import zlib
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote

from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository

_STAGED: Final = re.compile(r"staged/([^/]+)/(.+)/([0-9a-f]{64})/([0-9a-f]{32})")

_MANIFEST: Final = re.compile(r"manifests/([^/]+)/(.+)/([a-z0-9]+:[0-9a-f]+)/[0-9a-f]{16}")


def blob_key(repository: Repository, session: str, writer: str) -> str:
    return f"blobs/{repository.account}/{repository.registry}/{session}/{writer}"


def session_prefix(repository: Repository, session: str) -> str:
    """Of every `blob_key` of the session."""
    return blob_key(repository, session, "")


def account_of(key: str) -> str:
    """Of an S3 key of any kind."""
    return unquote(key.split("/", 2)[1]) if key.count("/") > 1 else ""


def session_of(key: str) -> str:
    """The upload session in an S3 key; '' for what has none."""
    kind, _, rest = key.partition("/")
    parts = rest.split("/")
    if kind == "blobs" and len(parts) == 4:
        return parts[2]
    return parts[-1] if kind in {"incoming", "staged"} and len(parts) > 2 else ""


def manifest_of(key: str) -> tuple[Repository, Digest] | None:
    """Of a `manifest_key`; None for keys of another kind."""
    match = _MANIFEST.fullmatch(key)
    return (Repository(match[1], match[2]), Digest(match[3])) if match else None


def staged_prefix(repository: Repository, digest: Digest) -> str:
    """As infra/edge/viewer-request.js has it."""
    return f"staged/{quote(repository.account, safe='')}/{repository.name}/{digest.partition(':')[2]}/"


def staged_parts(key: str) -> tuple[Repository, Digest, str] | None:
    """The repository, digest and session of such a key."""
    match = _STAGED.fullmatch(key)
    if match is None:
        return None
    account, name, encoded, session = match.groups()
    return Repository(unquote(account), name), Digest(f"sha256:{encoded}"), session


INCOMING: Final = "incoming/"


def incoming_key(repository: Repository, session: str) -> str:
    return f"{INCOMING}{repository.account}/{repository.registry}/{session}"


def manifest_key(repository: Repository, digest: Digest) -> str:
    return f"manifests/{repository_key(repository)}/{digest}/{secrets.token_hex(8)}"


def repository_key(repository: Repository) -> str:
    return f"{repository.account}/{repository.name}"


def repository_of(key: str) -> Repository:
    """Of a `repository_key`."""
    account, _, name = key.partition("/")
    return Repository(account, name)


def registry_key(account: str, registry: str) -> str:
    return f"{account}/{registry}"


def referrer_key(subject: Digest, digest: Digest | str = "") -> str:
    return f"referrers#{subject}#{digest}"


SHARDS: Final = "0123456789abcdef"


def shard_of(key: str) -> str:
    """One of `SHARDS`, for a digest, a session or a storage key: of random digits, the last one."""
    return key[-1] if key[-1] in SHARDS else SHARDS[zlib.crc32(key.encode()) % len(SHARDS)]


def move_key(tag: str, at: int) -> str:
    """`at` in epoch milliseconds."""
    return f"{tag}#{at:015d}-{secrets.token_hex(4)}"


def audit_day(account: str, at: int) -> str:
    """`at` in epoch milliseconds."""
    return f"{account}#{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}"
