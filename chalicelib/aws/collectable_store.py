"""What may go: `registry.collection.Collectable` on the indexes, and `Graveyard`.

The indexes follow their tables in a moment: what they list is looked at again, or removed conditionally.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from chalicelib.aws.bucket import S3Bucket
from chalicelib.aws.keys import repository_of, shard_of
from chalicelib.aws.tables import Tables
from chalicelib.registry.collection import IdleBlob, IdleLink, IdleRow
from chalicelib.spec.digest import Digest

# Two changes for a link, two for a blob and one for its account: a page is a transaction.
PAGE: Final = 49
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
OBJECTS: Final = 1000


class DynamoCollectableStore:
    def __init__(self, tables: Tables, bucket: S3Bucket) -> None:
        self._tables, self._bucket = tables, bucket

    def trash(self, shard: str, before: int) -> Iterator[list[IdleRow]]:
        index = self._tables.trash.by_due
        found = index.query(shard, self._tables.trash.due <= before, page_size=PAGE)
        return _pages(found, PAGE, lambda model: _idle_row(model, model.due))

    def manifests(self, shard: str, before: int) -> Iterator[list[IdleRow]]:
        index = self._tables.manifests.by_idle
        found = index.query(shard, self._tables.manifests.idle <= before, page_size=PAGE)
        return _pages(found, PAGE, lambda model: _idle_row(model, model.idle))

    def links(self, shard: str, before: int) -> Iterator[list[IdleLink]]:
        index = self._tables.links.by_idle
        found = index.query(shard, self._tables.links.idle <= before, page_size=PAGE)
        return _pages(found, PAGE, _idle_link)

    def blobs(self, shard: str, before: int) -> Iterator[list[IdleBlob]]:
        index = self._tables.blobs.by_idle
        found = index.query(shard, self._tables.blobs.idle <= before, page_size=PAGE)
        return _pages(found, PAGE, _idle_blob)

    def sessions(self, shard: str, before: int) -> Iterator[list[str]]:
        index = self._tables.uploads.by_expiry
        found = index.query(shard, self._tables.uploads.expires <= before, page_size=PAGE)
        return _pages(found, PAGE, lambda model: str(model.session))

    def open_sessions(self, shard: str, now: int) -> int:
        """Those of a shard that have not expired."""
        return int(self._tables.uploads.by_expiry.count(shard, self._tables.uploads.expires > now))

    def buried(self, shard: str) -> Iterator[list[str]]:
        found = self._tables.buried.query(shard, consistent_read=True, page_size=OBJECTS)
        return _pages(found, OBJECTS, lambda model: str(model.storage_key))

    def delete_all(self, keys: Sequence[str]) -> list[str]:
        return self._bucket.delete_all(keys)

    def forget(self, keys: Sequence[str]) -> None:
        table = self._tables.buried
        with table.batch_write() as batch:
            for key in keys:
                batch.delete(table(shard_of(key), key))


def _pages(found: Iterator[Any], size: int, row_of: Callable[[Any], Any]) -> Iterator[list[Any]]:
    """One for each query: the next is made when it is asked for."""
    while page := [row_of(model) for model in islice(found, size)]:
        yield page


def _idle_row(model: Any, at: float) -> IdleRow:
    return IdleRow(repository_of(model.repository), Digest(model.digest), int(at))


def _idle_link(model: Any) -> IdleLink:
    repository, references = repository_of(model.repository), int(model.references or 0)
    return IdleLink(repository, Digest(model.digest), int(model.idle), references)


def _idle_blob(model: Any) -> IdleBlob:
    return IdleBlob(
        account=model.account,
        digest=Digest(model.digest),
        idle=int(model.idle),
        size=int(model.size),
        storage_key=model.storage_key,
        is_used=bool(model.links or model.kept),
    )
