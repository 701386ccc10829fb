"""All stores of one kind, to make the same calls on each kind."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.registry.changes import Transactions
from chalicelib.registry.stores import (
    HistoryStore,
    LinkStore,
    ManifestStore,
    MultipartStore,
    ObjectStore,
    RepositoryStore,
    TagStore,
    TrashStore,
    UploadStore,
    UsageStore,
)


@dataclass(frozen=True)
class Stores:
    transactions: Transactions
    manifests: ManifestStore
    tags: TagStore
    links: LinkStore
    repositories: RepositoryStore
    trash: TrashStore
    history: HistoryStore
    usages: UsageStore
    uploads: UploadStore
    objects: ObjectStore
    multipart: MultipartStore
