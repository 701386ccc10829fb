"""What an account has stored: `registry.reconcile.StoredContent` and `registry.soft_limits.LinkedContent`."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from chalicelib.aws.bucket import S3Bucket
from chalicelib.aws.content_store import DynamoContentStore
from chalicelib.aws.keys import repository_key
from chalicelib.aws.tables import Tables
from chalicelib.spec.reference import Repository


class AwsStoredContent:
    """Rows in DynamoDB, objects in S3."""

    def __init__(self, tables: Tables, bucket: S3Bucket) -> None:
        self._tables, self._bucket = tables, bucket
        self._content = DynamoContentStore(tables)

    def counted(self, account: str) -> tuple[int, int]:
        table = self._tables.blobs
        sizes = [
            int(model.size)
            for model in table.query(account, consistent_read=True, attributes_to_get=["size"])
        ]
        return len(sizes), sum(sizes)

    def rows(self, account: str) -> Iterator[tuple[str, int]]:
        results = self._tables.blobs.by_storage_key.query(account)
        yield from ((model.storage_key, int(model.size)) for model in results)

    def objects(self, account: str) -> Iterator[tuple[str, int]]:
        """Those that came through the edge stay where they were staged: that prefix is the later one."""
        for prefix in (f"blobs/{account}/", f"staged/{quote(account, safe='')}/"):
            yield from ((one.key, one.size) for one in self._bucket.objects(prefix))

    def holds(self, key: str) -> bool:
        return self._bucket.has(key)

    def names(self, account: str, key: str) -> bool:
        table = self._tables.blobs
        return any(True for _ in table.by_storage_key.query(account, table.storage_key == key, limit=1))

    def repositories(self, account: str, registry: str) -> Iterator[Repository]:
        return self._content.repositories(account, registry)

    def linked(self, repository: Repository) -> Iterator[tuple[str, int]]:
        table = self._tables.links
        results = table.query(
            repository_key(repository), consistent_read=True, attributes_to_get=["digest", "size"]
        )
        yield from ((model.digest, int(model.size)) for model in results)
