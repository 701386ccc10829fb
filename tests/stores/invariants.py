"""What must be true of an account's rows and objects whenever nobody is writing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from chalicelib.aws.keys import SHARDS
from chalicelib.registry.stores import LIVE
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.rows import everything


def broken(deployment: Deployment, repositories: Iterable[Repository]) -> list[str]:
    """One line for each thing that is not as it must be; `repositories` are all of one account."""
    every = sorted(repositories, key=lambda one: one.name)
    wrong: list[str] = []
    links: Counter[str] = Counter()
    keys: dict[str, set[str]] = {}
    for repository in every:
        rows = rows_of(deployment, repository)
        wrong += wrong_counts(rows)
        for link in rows["links"].values():
            links[link["digest"]] += 1
            keys.setdefault(link["digest"], set()).add(link["storage_key"])
    blobs = rows_of(deployment, every[0])["blobs"]
    wrong += [f"{digest} has links and no blob" for digest in links.keys() - blobs.keys()]
    for digest, blob in blobs.items():
        if blob["links"] != links[digest]:
            wrong.append(f"blob {digest} counts {blob['links']} links, there are {links[digest]}")
        if keys.get(digest, set()) - {blob["storage_key"]}:
            wrong.append(f"links of {digest} are to {keys[digest]}, its blob is {blob['storage_key']}")
    return wrong + _wrong_objects(deployment, every[0].account, {b["storage_key"] for b in blobs.values()})


def wrong_counts(rows: dict[str, dict[str, Any]]) -> list[str]:
    wrong: list[str] = []
    references: Counter[str] = Counter()
    parents: Counter[str] = Counter()
    for manifest in rows["manifests"].values():
        for line in manifest.get("holds", "").splitlines()[: int(manifest["held"])]:
            (parents if line[0] == "m" else references)[line[1:]] += 1
    tags = Counter(tag["digest"] for tag in rows["tags"].values())
    live = {digest for digest, row in rows["manifests"].items() if row["state"] == LIVE}
    wrong += [f"a manifest holds {one}, not linked" for one in references.keys() - rows["links"].keys()]
    wrong += [f"an index holds {one}, which is not live" for one in parents.keys() - live]
    wrong += [f"a tag names {one}, which is not live" for one in tags.keys() - live]
    for digest, link in rows["links"].items():
        if link["references"] != references[digest]:
            wrong.append(f"link {digest} counts {link['references']}, there are {references[digest]}")
    for digest, manifest in rows["manifests"].items():
        counted, found = (manifest["tags"], manifest["parents"]), (tags[digest], parents[digest])
        if counted != found:
            wrong.append(f"manifest {digest} counts {counted} tags and parents, there are {found}")
    return wrong


def _wrong_objects(deployment: Deployment, account: str, named: set[str]) -> list[str]:
    bucket, prefix = deployment.settings.bucket, f"blobs/{account}/"
    pages = deployment._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    stored = {item["Key"] for page in pages for item in page.get("Contents", [])}
    opened = deployment._s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", [])
    tables = deployment._tables
    buried = {row.storage_key for shard in SHARDS for row in tables.buried.query(shard, consistent_read=True)}
    return [
        *(f"{key} is named by a row and not stored" for key in named - stored),
        *(f"{key} is buried and named by a row" for key in named & buried),
        *(f"{key} is stored and named by no row" for key in stored - named - buried),
        *(f"{upload['Key']} is still open" for upload in opened),
    ]


def rows_of(deployment: Deployment, repository: Repository) -> dict[str, dict[str, Any]]:
    """By table, then by digest or tag; numbers as numbers."""
    found: dict[str, dict[str, Any]] = {}
    for table, items in everything(deployment, repository).items():
        name = table.removeprefix(deployment.settings.table_prefix)
        plain = [{key: _value(value) for key, value in item.items()} for item in items]
        found[name] = {
            row["tag"] if name == "tags" else row.get("digest", ""): row
            for row in plain
            if not str(row.get("digest", "")).startswith("referrers#")
        }
    return found


def _value(attribute: dict[str, Any]) -> Any:
    (kind, value), *_ = attribute.items()
    return int(value) if kind == "N" else value
