"""Manifests and referrer edges: `registry.stores.ManifestStore` on DynamoDB."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from pynamodb.connection import Connection
from pynamodb.exceptions import UpdateError

from chalicelib.aws.conditions import check_lost
from chalicelib.aws.keys import referrer_key, registry_key, repository_key
from chalicelib.aws.reads import BATCH_LIMIT, Reads, key_of
from chalicelib.aws.rows import link_row, manifest_row, policy_of, tag_row
from chalicelib.aws.tables import Tables
from chalicelib.registry.policies import IMMUTABLE_TAGS, Policy, nearest, scopes
from chalicelib.registry.stores import LIVE, ManifestRow, Survey
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository

Row = tuple[Any, str, str]
# A page of referrers stays well below what a function may answer, 6 MiB.
PAGE_BYTES: Final = 1024 * 1024
# Everything of a manifest row but its bytes, of which a batch of a hundred could not be read at once.
_BARE: Final = (
    "digest",
    "media_type",
    "size",
    "state",
    "storage_key",
    "subject",
    "holds",
    "held",
    "tags",
    "parents",
)


class DynamoManifestStore:
    """Reads are consistent."""

    def __init__(self, connection: Connection, tables: Tables, reads: Reads) -> None:
        self._connection = connection
        self._tables, self._reads = tables, reads

    def get(self, repository: Repository, digest: Digest) -> ManifestRow | None:
        model = self._reads.get(self._tables.manifests, repository_key(repository), digest)
        return None if model is None else manifest_row(model)

    def survey(
        self,
        repository: Repository,
        digest: Digest | None,
        tags: Collection[str],
        blobs: Iterable[Digest],
        manifests: Iterable[Digest],
    ) -> Survey:
        key, tables = repository_key(repository), self._tables
        keys: list[Row] = []
        if digest:
            of_account = registry_key(repository.account, repository.registry)
            keys += [(tables.repositories, of_account, repository.name)]
        keys += [(tables.manifests, key, one) for one in sorted({*manifests, *([digest] if digest else [])})]
        keys += [(tables.tags, key, tag) for tag in sorted(set(tags))]
        if tags:
            keys += [(tables.policies, scope, IMMUTABLE_TAGS) for scope in scopes(repository)]
        keys += [(tables.links, key, blob) for blob in sorted(set(blobs))]
        found, policies = Survey(), list[Policy]()
        for first in range(0, len(keys), BATCH_LIMIT):
            for model in self._read(keys[first : first + BATCH_LIMIT]):
                if isinstance(model, tables.manifests):
                    row = manifest_row(model)
                    found.manifests[row.digest] = row
                elif isinstance(model, tables.tags):
                    found.tags[model.tag] = tag_row(model)
                elif isinstance(model, tables.repositories):
                    found.is_named = True
                elif isinstance(model, tables.policies):
                    policies.append(policy_of(model))
                else:
                    found.links[Digest(model.digest)] = link_row(model)
        found.manifest = found.manifests.pop(digest, None) if digest else None
        found.immutable = nearest(policies)
        return found

    def _read(self, keys: list[Row]) -> Iterator[Any]:
        """BatchGetItem over several tables, until nothing is left over."""
        models = {model.Meta.table_name: model for model, _, _ in keys}
        asked: dict[str, dict[str, Any]] = {}
        for model, hash_key, range_key in keys:
            request = asked.setdefault(model.Meta.table_name, self._request(model))
            request["Keys"].append(key_of(model, hash_key, range_key))
        while asked:
            answer = self._connection.dispatch("BatchGetItem", {"RequestItems": asked})
            for table_name, items in answer["Responses"].items():
                yield from (models[table_name].from_raw_data(item) for item in items)
            asked = answer.get("UnprocessedKeys") or {}

    def _request(self, model: Any) -> dict[str, Any]:
        request: dict[str, Any] = {"Keys": [], "ConsistentRead": True}
        if model is self._tables.manifests:
            names = {f"#{index}": name for index, name in enumerate(_BARE)}
            request |= {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
        return request

    def note_pull(self, repository: Repository, digest: Digest, before: int, now: int) -> None:
        table: Any = self._tables.manifests
        same = table.pulled == before if before else table.pulled.does_not_exist()
        try:
            model = table(repository_key(repository), digest)
            model.update([table.pulled.set(now)], condition=(table.state == LIVE) & same)
        except UpdateError as error:
            check_lost(error)

    def referrers(
        self, repository: Repository, subject: Digest, after: str
    ) -> tuple[list[dict[str, Any]], str]:
        table = self._tables.referrers
        prefix = referrer_key(subject)
        start = None
        if after:
            start = {"repository": {"S": repository_key(repository)}, "digest": {"S": prefix + after}}
        results = table.query(
            repository_key(repository),
            table.digest.startswith(prefix),
            consistent_read=True,
            last_evaluated_key=start,
        )
        entries: list[dict[str, Any]] = []
        room = PAGE_BYTES
        for model in results:
            room -= len(model.descriptor)
            if room < 0 and entries:
                return entries, str(entries[-1]["digest"])
            entries.append(json.loads(model.descriptor))
        return entries, ""
