"""The upload gateway on its own: the upload path of the local process, on a session table and a bucket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chalicelib.aws import keys
from chalicelib.aws.blob_store import S3BlobStore
from chalicelib.aws.calls import counted
from chalicelib.aws.clients import (
    dynamodb_connection,
    is_throttled,
    row_reads,
    s3_client,
    session,
    signer,
)
from chalicelib.aws.link_store import DynamoLinkStore
from chalicelib.aws.readiness import Readiness
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
from chalicelib.observation.seen import Seen
from chalicelib.registry.blobs import Blobs
from chalicelib.registry.eviction import Eviction
from chalicelib.registry.quota import Quota
from chalicelib.registry.trash import Trash
from chalicelib.registry.uploads import Uploads


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
        sessions = DynamoUploadStore(tables, reads)
        objects = S3BlobStore(client, client, self.settings.bucket, signer(own, "s3"))
        # It verifies, and never publishes: it looks whether there is room, and the registry function makes it
        # and charges.
        links, transactions = DynamoLinkStore(tables, reads), DynamoTransactions(connection, tables)
        eviction = Eviction(Trash(DynamoTrashStore(tables, reads), transactions), links)
        quota = Quota(DynamoUsageStore(tables, reads), lambda _: 0, eviction=eviction)
        blobs = Blobs(links, objects, transactions, quota)
        self._services = GatewayServices(
            uploads=Uploads(sessions, objects, objects, blobs, keys.blob_key),
            capabilities=Capabilities(settings.capability_keys),
            registry=Registry(settings.registry_url, settings.origin_secret),
            is_ready=Readiness(sessions.get),
            is_throttled=is_throttled,
        )

    def handler(self, event: Mapping[str, Any], seen: Seen | None = None) -> dict[str, Any]:
        return self._answer(event, None, seen)

    manage = handler

    def streamed(
        self, event: Mapping[str, Any], blocks: Iterable[bytes], seen: Seen | None = None
    ) -> dict[str, Any]:
        return self._answer(event, blocks, seen)

    def _answer(
        self, event: Mapping[str, Any], blocks: Iterable[bytes] | None, seen: Seen | None
    ) -> dict[str, Any]:
        request = Request.from_event(event, blocks, seen)
        with counted() as request.seen.calls:
            return answer(self._services, request).to_event()

    @staticmethod
    def carries_upload(method: str, path: str) -> bool:
        return routes.carries_upload(method, path)
