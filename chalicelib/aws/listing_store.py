"""What a repository has, for whoever chooses what goes: `registry.deletion.ListingStore` on DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from chalicelib.aws.keys import repository_key
from chalicelib.aws.tables import Tables
from chalicelib.registry.deletion import ListedManifest, ListedTag
from chalicelib.registry.stores import LIVE
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository


class DynamoListingStore:
    """Queries are consistent and read no bytes."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def manifests(self, repository: Repository) -> Iterator[ListedManifest]:
        table = self._tables.manifests
        for prefix in ("sha256:", "sha512:"):
            results = table.query(
                repository_key(repository),
                table.digest.startswith(prefix),
                consistent_read=True,
                attributes_to_get=["digest", "state", "tags", "parents", "subject", "pushed"],
            )
            for model in results:
                if model.state == LIVE:
                    subject = Digest(model.subject) if model.subject else None
                    tags, parents = int(model.tags or 0), int(model.parents or 0)
                    yield ListedManifest(Digest(model.digest), tags, parents, subject, _second(model.pushed))

    def tags(self, repository: Repository) -> Iterator[ListedTag]:
        results = self._tables.tags.query(
            repository_key(repository), consistent_read=True, attributes_to_get=["tag", "digest", "moved"]
        )
        for model in results:
            yield ListedTag(model.tag, Digest(model.digest), _second(model.moved))


def _second(when: datetime | None) -> int:
    """Rows of an earlier version say no time: they are old."""
    return int(when.timestamp()) if when else 0
