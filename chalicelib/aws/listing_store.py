"""What a repository has, for whoever chooses what goes: `registry.deletion.ListingStore` on DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from chalicelib.aws.content_store import manifest_models, tag_models
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
        attributes = ["digest", "state", "tags", "parents", "subject", "pushed"]
        for model in manifest_models(self._tables, repository, attributes):
            if model.state == LIVE:
                subject = Digest(model.subject) if model.subject else None
                tags, parents = int(model.tags or 0), int(model.parents or 0)
                yield ListedManifest(Digest(model.digest), tags, parents, subject, _second(model.pushed))

    def tags(self, repository: Repository) -> Iterator[ListedTag]:
        for model in tag_models(self._tables, repository):
            yield ListedTag(model.tag, Digest(model.digest), _second(model.moved))


def _second(when: datetime | None) -> int:
    """Rows of an earlier version say no time: they are old."""
    return int(when.timestamp()) if when else 0
