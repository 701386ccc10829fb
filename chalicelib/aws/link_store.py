"""Links and blobs: `registry.stores.LinkStore` on DynamoDB."""

from __future__ import annotations

from chalicelib.aws.rows import link_row
from chalicelib.aws.tables import Tables
from chalicelib.registry.stores import Link
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository


class DynamoLinkStore:
    """Reads are consistent."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def get(self, repository: Repository, digest: Digest) -> Link | None:
        table = self._tables.links
        try:
            return link_row(table.get(repository.name, digest, consistent_read=True))
        except table.DoesNotExist:
            return None

    def blob(self, account: str, digest: Digest) -> Link | None:
        table = self._tables.blobs
        try:
            model = table.get(account, digest, consistent_read=True)
        except table.DoesNotExist:
            return None
        return Link(Digest(model.digest), int(model.size), model.storage_key)
