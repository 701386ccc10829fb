"""The one place where the registry meets AWS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

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
from chalicelib.aws.credential_store import DynamoCredentialStore
from chalicelib.aws.link_store import DynamoLinkStore
from chalicelib.aws.manifest_store import DynamoManifestStore
from chalicelib.aws.provision import create_bucket, create_tables
from chalicelib.aws.repository_store import DynamoRepositoryStore
from chalicelib.aws.tables import bind
from chalicelib.aws.tag_store import DynamoTagStore
from chalicelib.aws.transactions import DynamoTransactions
from chalicelib.aws.upload_store import DynamoUploadStore
from chalicelib.config import Settings
from chalicelib.endpoints import routes
from chalicelib.endpoints.dispatch import answer
from chalicelib.endpoints.event import Request
from chalicelib.endpoints.services import Services
from chalicelib.identity.capability import Capabilities, derive_key
from chalicelib.identity.credentials import Verifier, administrator
from chalicelib.identity.tokens import Tokens
from chalicelib.registry.blobs import Blobs
from chalicelib.registry.discovery import Discovery
from chalicelib.registry.manifests import Manifests
from chalicelib.registry.staging import Staging
from chalicelib.registry.uploads import Uploads

ADMINISTRATOR: Final = "admin"


class Deployment:
    """A registry on its tables and bucket, as function URL handlers."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        own = session(settings)
        self._s3 = s3_client(own, settings.s3_endpoint)
        public = self._s3
        if settings.s3_public_endpoint != settings.s3_endpoint:
            public = s3_client(own, settings.s3_public_endpoint)
        connection = dynamodb_connection(settings)
        self.dynamodb = connection.client
        self._tables = bind(connection, settings.table_prefix)
        reads = row_reads(settings, own, connection)
        transactions = DynamoTransactions(connection, self._tables)
        objects = S3BlobStore(self._s3, public, settings.bucket, signer(own, "s3"))
        manifests = DynamoManifestStore(connection, self._tables, reads)
        tags = DynamoTagStore(self._tables, reads)
        blobs = Blobs(DynamoLinkStore(self._tables, reads), objects, transactions)
        self._credentials = DynamoCredentialStore(self._tables, reads)
        self.services = Services(
            settings=settings,
            blobs=blobs,
            uploads=Uploads(DynamoUploadStore(self._tables, reads), objects, objects, blobs, keys.blob_key),
            manifests=Manifests(
                rows=manifests,
                tags=tags,
                objects=objects,
                transactions=transactions,
                staging=Staging(manifests, objects, transactions),
                key_for=keys.manifest_key,
            ),
            discovery=Discovery(manifests, tags, DynamoRepositoryStore(self._tables, reads)),
            verifier=Verifier(self._credentials),
            tokens=Tokens(derive_key(settings.token_key, "token"), settings.service),
            capabilities=Capabilities(derive_key(settings.token_key, "capability")),
            is_throttled=is_throttled,
        )

    def prepare(self) -> None:
        """Make the tables and the bucket where they are not there."""
        create_tables(self._tables)
        create_bucket(self._s3, self.settings)

    def has_admin(self) -> bool:
        return self._credentials.get(ADMINISTRATOR) is not None

    def set_admin(self, password: str) -> None:
        self._credentials.put(administrator(ADMINISTRATOR, self.settings.account, password))

    def handler(self, event: Mapping[str, Any], _context: object = None) -> dict[str, Any]:
        """Answer a function URL event."""
        return self._handle(event, None)

    def streamed(self, event: Mapping[str, Any], blocks: Iterable[bytes]) -> dict[str, Any]:
        """Answer an event whose body comes beside it, however long."""
        return self._handle(event, blocks)

    @staticmethod
    def carries_upload(method: str, path: str) -> bool:
        """Whether such a request is one for `streamed`."""
        return routes.carries_upload(method, path)

    def _handle(self, event: Mapping[str, Any], blocks: Iterable[bytes] | None) -> dict[str, Any]:
        with counted() as calls:
            response = answer(self.services, Request.from_event(event, blocks))
        if self.settings.show_backend_calls:
            text = f"dynamodb={calls['dynamodb']};s3={calls['s3']}"
            response.headers["X-CCR-Backend-Calls"] = text
        return response.to_event()
