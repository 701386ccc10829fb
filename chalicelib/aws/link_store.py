"""Links and blobs: `registry.stores.LinkStore` on DynamoDB."""

from __future__ import annotations

from collections.abc import Collection

from chalicelib.aws.keys import repository_key
from chalicelib.aws.reads import BATCH_LIMIT, Reads
from chalicelib.aws.rows import account_link, link_row
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
        return None if model is None else account_link(model)

    def blobs(self, account: str, digests: Collection[Digest]) -> dict[Digest, Link]:
        wanted, found = sorted(digests), dict[Digest, Link]()
        for first in range(0, len(wanted), BATCH_LIMIT):
            keys = [(self._tables.blobs, account, digest) for digest in wanted[first : first + BATCH_LIMIT]]
            links = map(account_link, self._reads.get_many(keys))
            found |= {link.digest: link for link in links}
        return found
