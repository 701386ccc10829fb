"""Links and blobs: `registry.stores.LinkStore` on DynamoDB."""

from __future__ import annotations

from chalicelib.aws.keys import repository_key
from chalicelib.aws.reads import Reads
from chalicelib.aws.rows import link_row
from chalicelib.aws.tables import Tables
from chalicelib.registry.stores import Link
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository


class DynamoLinkStore:
    """Reads are consistent."""

    def __init__(self, tables: Tables, reads: Reads) -> None:
        self._tables, self._reads = tables, reads

    def get(self, repository: Repository, digest: Digest) -> Link | None:
        model = self._reads.get(self._tables.links, repository_key(repository), digest)
        return None if model is None else link_row(model)

    def blob(self, account: str, digest: Digest) -> Link | None:
        model = self._reads.get(self._tables.blobs, account, digest)
        if model is None:
            return None
        digest, size, links = Digest(model.digest), int(model.size), int(model.links)
        return Link(digest, size, model.storage_key, links, int(model.idle or 0))
