"""The upload gateway on its own: the upload path of the local process, on a session table and a bucket."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from chalicelib.aws import keys
from chalicelib.aws.blob_store import S3BlobStore
from chalicelib.aws.clients import (
    dynamodb_connection,
    is_throttled,
    row_reads,
    s3_client,
    session,
    signer,
)
from chalicelib.aws.link_store import DynamoLinkStore
from chalicelib.aws.tables import bind
from chalicelib.aws.transactions import DynamoTransactions
from chalicelib.aws.trash_store import DynamoTrashStore
from chalicelib.aws.upload_store import DynamoUploadStore
from chalicelib.aws.usage_store import DynamoUsageStore
from chalicelib.config import GatewaySettings
from chalicelib.endpoints import routes
from chalicelib.endpoints.event import Request
from chalicelib.endpoints.forwarding import Registry
from chalicelib.endpoints.gateway import GatewayServices, answer
from chalicelib.identity.capability import Capabilities
from chalicelib.registry.blobs import Blobs
from chalicelib.registry.eviction import Eviction
from chalicelib.registry.quota import Quota
from chalicelib.registry.trash import Trash
from chalicelib.registry.uploads import Uploads

READY_SECONDS: Final = 5
_NOBODYS: Final = "0" * 32


class UploadGateway:
    """Serves what `gateway.application.Application` hands it; keeps nothing of its own between requests."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings.storage
        self.uploads_at_once = settings.uploads_at_once
        own = session(self.settings)
        client = s3_client(own, self.settings.s3_endpoint)
        connection = dynamodb_connection(self.settings)
        tables = bind(connection, self.settings.table_prefix)
        reads = row_reads(self.settings, own, connection)
        self._sessions = DynamoUploadStore(tables, reads)
        objects = S3BlobStore(client, client, self.settings.bucket, signer(own, "s3"))
        # It verifies, and never publishes: it looks whether there is room, and the registry function makes it
        # and charges.
        links, transactions = DynamoLinkStore(tables, reads), DynamoTransactions(connection, tables)
        eviction = Eviction(Trash(DynamoTrashStore(tables, reads), transactions), links)
        quota = Quota(DynamoUsageStore(tables, reads), lambda _: 0, eviction=eviction)
        blobs = Blobs(links, objects, transactions, quota)
        self._services = GatewayServices(
            uploads=Uploads(self._sessions, objects, objects, blobs, keys.blob_key),
            capabilities=Capabilities(settings.capability_keys),
            registry=Registry(settings.registry_url, settings.origin_secret),
            is_ready=self._is_ready,
            is_throttled=is_throttled,
        )
        self._looked, self._was_ready = -float(READY_SECONDS), False

    def handler(self, event: Mapping[str, Any], _context: object = None) -> dict[str, Any]:
        return answer(self._services, Request.from_event(event)).to_event()

    manage = handler

    def streamed(self, event: Mapping[str, Any], blocks: Iterable[bytes]) -> dict[str, Any]:
        return answer(self._services, Request.from_event(event, blocks)).to_event()

    @staticmethod
    def carries_upload(method: str, path: str) -> bool:
        return routes.carries_upload(method, path)

    def _is_ready(self) -> bool:
        """Whether the session table answers: one read in `READY_SECONDS`, however often it is asked."""
        now = time.monotonic()
        if now - self._looked >= READY_SECONDS:
            self._looked = now
            try:
                self._sessions.get(_NOBODYS)
            except Exception:  # noqa: BLE001 - whatever is wrong, it is not ready
                self._was_ready = False
            else:
                self._was_ready = True
        return self._was_ready
