"""Rows to write, and everything that an account has, read past the stores."""

from __future__ import annotations

import os
from typing import Any

from chalicelib.aws.keys import SHARDS, registry_key, repository_key
from chalicelib.registry.changes import TRANSACTION_LIMIT, Change, PutBlob, PutLink, PutManifest, PutTag
from chalicelib.registry.stores import LIVE, Held, Link, ManifestRow, TagRow, UploadRow
from chalicelib.spec.digest import Digest
from chalicelib.spec.manifest import OCI_IMAGE
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment

FAR = 4_000_000_000


def a_repository() -> Repository:
    """In an account and a registry that no other test has."""
    name = os.urandom(6).hex()
    return Repository(f"account-{name}", f"registry-{name}/some/app")


def a_digest(text: str = "") -> Digest:
    return Digest.of(text.encode() or os.urandom(16))


def a_manifest(digest: Digest | None = None, **fields: Any) -> ManifestRow:
    values = {"media_type": OCI_IMAGE, "size": 7, "state": LIVE, "raw": b"{\x00\xff}", **fields}
    return ManifestRow(digest or a_digest(), **values)


def a_tag(tag: str, digest: Digest, version: int = 1) -> TagRow:
    return TagRow(tag, digest, OCI_IMAGE, 7, version)


def a_link(digest: Digest | None = None, key: str = "blobs/some/key") -> Link:
    return Link(digest or a_digest(), 5, key)


def an_upload(repository: Repository, **fields: Any) -> UploadRow:
    return UploadRow(**{"session": os.urandom(8).hex(), "repository": repository, "expires": FAR, **fields})


def write(deployment: Deployment, *changes: Change) -> None:
    """Write what a test starts from."""
    for first in range(0, len(changes), TRANSACTION_LIMIT):
        some = changes[first : first + TRANSACTION_LIMIT]
        assert deployment.services.blobs.transactions.write(some) == []


def put_image(repository: Repository, *links: Link, tag: str = "", **fields: Any) -> tuple[Change, ...]:
    """A manifest row that holds `links`, with a tag where one is given; the counts of the links are yours."""
    holds = tuple(Held(link.digest, is_manifest=False) for link in links)
    row = a_manifest(holds=holds, held=len(holds), tags=1 if tag else 0, **fields)
    tags: tuple[Change, ...] = (PutTag(repository, a_tag(tag, row.digest), None),) if tag else ()
    return (PutManifest(repository, row), *tags)


def put_blob(repository: Repository, link: Link) -> tuple[Change, ...]:
    return PutLink(repository, link), PutBlob(repository.account, link)


def everything(deployment: Deployment, repository: Repository) -> dict[str, list[Any]]:
    """Rows of the repository, and of its account's blobs and usage, by the table's name without prefix."""
    tables = deployment._tables
    keys = {
        tables.manifests: ("repository", repository_key(repository)),
        tables.tags: ("repository", repository_key(repository)),
        tables.links: ("repository", repository_key(repository)),
        tables.repositories: ("registry", registry_key(repository.account, repository.registry)),
        tables.registries: ("name", repository.registry),
        tables.blobs: ("account", repository.account),
        tables.trash: ("repository", repository_key(repository)),
        tables.history: ("repository", repository_key(repository)),
        tables.usage: ("account", repository.account),
    }
    prefix = deployment.settings.table_prefix
    return {model.Meta.table_name.removeprefix(prefix): _query(model, *key) for model, key in keys.items()}


def buried(deployment: Deployment) -> set[str]:
    """The keys of all objects that are to be deleted."""
    table = deployment._tables.buried
    return {item["storage_key"]["S"] for shard in SHARDS for item in _query(table, "shard", shard)}


def _query(model: Any, attribute: str, value: str) -> list[Any]:
    pages = (
        model._get_connection()
        .connection.client.get_paginator("query")
        .paginate(
            TableName=model.Meta.table_name,
            ConsistentRead=True,
            KeyConditionExpression="#key = :value",
            ExpressionAttributeNames={"#key": attribute},
            ExpressionAttributeValues={":value": {"S": value}},
        )
    )
    return [item for page in pages for item in page["Items"]]
