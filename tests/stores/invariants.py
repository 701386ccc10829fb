"""What must be true of an account's rows and objects whenever nobody is writing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from chalicelib.registry.stores import KEPT, LIVE, STAGING
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores.rows import buried, everything

Rows = dict[str, dict[str, Any]]


@dataclass
class _Account:
    """What an account's blobs must be, as its repositories say."""

    links: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    keys: dict[str, set[str]] = field(default_factory=dict)
    spilled: set[str] = field(default_factory=set)

    def add(self, rows: Rows) -> None:
        for link in rows["links"].values():
            self.links[link["digest"]] += 1
            self.keys.setdefault(link["digest"], set()).add(link["storage_key"])
        for trash in rows["trash"].values():
            self.kept.update(_kept(trash))
        for row in (*rows["manifests"].values(), *rows["trash"].values()):
            if row.get("storage_key") and row["state"] != STAGING:
                self.spilled.add(row["storage_key"])


def broken(deployment: Deployment, repositories: Iterable[Repository], limit: int | None = None) -> list[str]:
    """One line for each thing that is not as it must be; `repositories` are all of one account.

    `limit`: what its usage row was opened with, where that is not the account's own.
    """
    every = sorted(repositories, key=lambda one: one.name)
    wrong: list[str] = []
    found = _Account()
    for repository in every:
        rows = rows_of(deployment, repository)
        wrong += [*wrong_counts(rows), *wrong_marks(rows), *wrong_trash(rows), *wrong_history(rows)]
        found.add(rows)
    account = every[0].account
    rows = rows_of(deployment, every[0])
    wrong += _wrong_blobs(found, rows["blobs"])
    wrong += _wrong_usage(rows, deployment.quota.limit_of(account) if limit is None else limit)
    return wrong + _wrong_objects(
        deployment, account, {blob["storage_key"] for blob in rows["blobs"].values()}, found.spilled
    )


def wrong_counts(rows: Rows) -> list[str]:
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


def wrong_marks(rows: Rows) -> list[str]:
    """What may be unused is in the collector's work lists: it has a time and a shard, or it is in neither."""
    unused = {
        "links": lambda row: not row["references"],
        "blobs": lambda row: not (row["links"] or row.get("kept")),
        "manifests": lambda row: row["state"] != LIVE,
    }
    wrong = []
    for table, is_unused in unused.items():
        for digest, row in rows[table].items():
            if is_unused(row) and "idle" not in row:
                wrong.append(f"{digest} of {table} may be unused and is not marked")
            if ("idle" in row) != ("shard" in row):
                wrong.append(f"{digest} of {table} has one of idle and shard")
    return wrong


def wrong_trash(rows: Rows) -> list[str]:
    """What is kept can be restored whole; its blobs are counted in `_wrong_blobs`."""
    wrong = []
    for digest, row in rows["trash"].items():
        blobs = _named_blobs(row)
        if row["state"] == KEPT and int(row["held"]) != len(blobs):
            wrong.append(f"deleted {digest} keeps {row['held']} of {len(blobs)} blobs")
        wrong += [f"deleted {digest} keeps {one}, gone" for one in _kept(row) if one not in rows["blobs"]]
    return wrong


def wrong_history(rows: Rows) -> list[str]:
    """The newest move of a tag is to what it names; of two in one millisecond it may be either."""
    newest: dict[str, tuple[str, set[str | None]]] = {}
    for move in rows["history"].values():
        tag, _, rest = move["move"].partition("#")
        at = rest.partition("-")[0]
        if at > newest.get(tag, ("", set()))[0]:
            newest[tag] = at, set()
        if at == newest[tag][0]:
            newest[tag][1].add(move.get("digest"))
    named = {tag: row["digest"] for tag, row in rows["tags"].items()}
    return [
        f"the tag {tag} names {named.get(tag)}, its history ends at {told}"
        for tag, (_, told) in newest.items()
        if named.get(tag) not in told
    ]


def _wrong_blobs(found: _Account, blobs: Rows) -> list[str]:
    wrong = [f"{digest} has links and no blob" for digest in found.links.keys() - blobs.keys()]
    for digest, blob in blobs.items():
        if blob["links"] != found.links[digest]:
            wrong.append(f"blob {digest} counts {blob['links']} links, there are {found.links[digest]}")
        if blob.get("kept", 0) != found.kept[digest]:
            wrong.append(f"blob {digest} is kept {blob.get('kept')} times, not {found.kept[digest]}")
        if found.keys.get(digest, set()) - {blob["storage_key"]}:
            wrong.append(f"links of {digest} are to {found.keys[digest]}, its blob is {blob['storage_key']}")
    return wrong


def _wrong_usage(rows: dict[str, Rows], limit: int) -> list[str]:
    """Of an account whose usage is counted; in tests that write rows alone nobody counts it."""
    stored = sum(blob["size"] for blob in rows["blobs"].values())
    return [
        f"the account uses {usage['bytes']} and has {usage['free']} free: {stored} are stored of {limit}"
        for usage in rows["usage"].values()
        if (usage["bytes"], usage["bytes"] + usage["free"]) != (stored, limit)
    ]


def _wrong_objects(deployment: Deployment, account: str, named: set[str], spilled: set[str]) -> list[str]:
    bucket, prefix = deployment.settings.bucket, f"blobs/{account}/"
    pages = deployment._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    stored = {item["Key"] for page in pages for item in page.get("Contents", [])}
    opened = deployment._s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", [])
    gone = buried(deployment)
    objects = deployment.services.blobs.objects
    return [
        *(f"{key} is named by a row and not stored" for key in named - stored if objects.get(key) is None),
        *(f"{key} is named by a manifest and not stored" for key in spilled if objects.get(key) is None),
        *(f"{key} is stored and named by no row" for key in stored - named - gone),
        *(f"{key} is named by a row and to be deleted" for key in (named | spilled) & gone),
        *(f"{upload['Key']} is still open" for upload in opened),
    ]


def _named_blobs(trash: dict[str, Any]) -> list[str]:
    return [line[1:] for line in trash.get("holds", "").splitlines() if line[0] == "b"]


def _kept(trash: dict[str, Any]) -> list[str]:
    return _named_blobs(trash)[: int(trash["held"])]


def rows_of(deployment: Deployment, repository: Repository) -> dict[str, Rows]:
    """By table, then by digest, tag, or move; numbers as numbers."""
    found: dict[str, Rows] = {}
    for name, items in everything(deployment, repository).items():
        plain = [{key: _value(value) for key, value in item.items()} for item in items]
        key = {"tags": "tag", "history": "move"}.get(name, "digest")
        found[name] = {
            row.get(key, ""): row for row in plain if not str(row.get("digest", "")).startswith("referrers#")
        }
    return found


def _value(attribute: dict[str, Any]) -> Any:
    (kind, value), *_ = attribute.items()
    return int(value) if kind == "N" else value
