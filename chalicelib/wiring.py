"""The one place where the registry meets AWS."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from chalicelib.aws import keys
from chalicelib.aws.audit_store import DynamoTrail
from chalicelib.aws.blob_store import S3BlobStore
from chalicelib.aws.bucket import S3Bucket
from chalicelib.aws.calls import counted
from chalicelib.aws.clients import (
    dynamodb_connection,
    events_client,
    is_throttled,
    lambda_client,
    row_reads,
    s3_client,
    session,
    signer,
)
from chalicelib.aws.content_store import DynamoContentStore
from chalicelib.aws.credential_store import DynamoCredentialStore
from chalicelib.aws.event_rows import new_order, newest_of
from chalicelib.aws.event_store import DynamoOutbox, DynamoQueues
from chalicelib.aws.idempotency_store import DynamoAnswerStore
from chalicelib.aws.lifecycle_store import DynamoLifecycleStore
from chalicelib.aws.link_store import DynamoLinkStore
from chalicelib.aws.manifest_store import DynamoManifestStore
from chalicelib.aws.policy_store import DynamoPolicyStore
from chalicelib.aws.provision import create_bucket, create_tables
from chalicelib.aws.readiness import Readiness
from chalicelib.aws.repository_store import DynamoRepositoryStore
from chalicelib.aws.staged_store import S3StagedStore
from chalicelib.aws.stored_content import AwsStoredContent
from chalicelib.aws.tables import bind
from chalicelib.aws.tag_store import DynamoTagStore
from chalicelib.aws.tenancy_store import DynamoTenancyStore
from chalicelib.aws.transactions import DynamoTransactions
from chalicelib.aws.trash_store import DynamoHistoryStore, DynamoTrashStore
from chalicelib.aws.upload_store import DynamoUploadStore
from chalicelib.aws.usage_store import DynamoUsageStore
from chalicelib.aws.webhook_store import DynamoWebhooks
from chalicelib.config import EDGE, Settings
from chalicelib.endpoints import edge, routes
from chalicelib.endpoints.authenticate import by_token
from chalicelib.endpoints.dispatch import answer
from chalicelib.endpoints.event import Request
from chalicelib.endpoints.services import Services
from chalicelib.events.pulls import PullEvents
from chalicelib.identity.administrators import ADMINISTRATOR, Administrators
from chalicelib.identity.audit import Record
from chalicelib.identity.capability import Capabilities, capability_keys, derive_key
from chalicelib.identity.credential_desk import CredentialDesk
from chalicelib.identity.oidc import IdTokenVerifier
from chalicelib.identity.opening import Opening
from chalicelib.identity.refusals import RefusedError
from chalicelib.identity.revocations import Revocations
from chalicelib.identity.sign_in import SignIn
from chalicelib.identity.tenancy import FREE_BYTES, Registry, Tenancy
from chalicelib.identity.tokens import Tokens
from chalicelib.observation.seen import Seen
from chalicelib.openid.issuer_keys import IssuerKeys
from chalicelib.registry.adoption import Adoption
from chalicelib.registry.blobs import Blobs
from chalicelib.registry.changes import NOBODY, Actor
from chalicelib.registry.discovery import Discovery
from chalicelib.registry.emptying import Emptying
from chalicelib.registry.eviction import Eviction
from chalicelib.registry.lifecycle_rounds import LifecycleRounds, Round
from chalicelib.registry.lifecycle_run import Lifecycle
from chalicelib.registry.manifests import Manifests
from chalicelib.registry.migrations import SchemaGuard, SchemaStore
from chalicelib.registry.promotion import Promotion
from chalicelib.registry.quota import Quota
from chalicelib.registry.reconcile import Drift, Reconciliation, in_turn
from chalicelib.registry.removed_policies import RemovedPolicies
from chalicelib.registry.retention import Retention
from chalicelib.registry.soft_limits import SoftLimits
from chalicelib.registry.staging import Staging
from chalicelib.registry.trash import Trash
from chalicelib.registry.undo import Undo
from chalicelib.registry.uploads import Uploads
from chalicelib.spec.errors import RegistryError

if TYPE_CHECKING:
    from chalicelib.aws.collectable_store import DynamoCollectableStore
    from chalicelib.events.dead import DeadDeliveries
    from chalicelib.events.rounds import Rounds
    from chalicelib.events.signature import WebhookKeys
    from chalicelib.events.tally import Told
    from chalicelib.events.targets import WebhookTarget
    from chalicelib.events.webhook_desk import WebhookDesk
    from chalicelib.management.api import ManagementApi
    from chalicelib.registry.collection import Collector, Report
    from chalicelib.registry.direct import DirectUploads
    from chalicelib.registry.fsck import Fsck
    from chalicelib.registry.migrations import Migrations, Progress
    from chalicelib.registry.sweep import Sweep, SweepReport
    from chalicelib.registry.verification import Verifier

UPLOADS_AT_ONCE: Final = 6
# To save what was verified, and for a slow call before that.
VERIFIER_RESERVE_SECONDS: Final = 60
# For a page that was begun: a thousand objects, or a hundred rows one by one.
COLLECTOR_RESERVE_SECONDS: Final = 60
COLLECTOR: Final = Actor("collector")
# For the account that is being reconciled when it is late.
RECONCILE_RESERVE_SECONDS: Final = 300
ACCOUNTS_LIMIT: Final = 1_000_000
# For the attempt that is under way.
STREAM_RESERVE_SECONDS: Final = 20
# The next batch of the stream waits for this one, with other accounts' events in it.
STREAM_SECONDS: Final = 10
# Others wait for the turn of a request of the management API.
TEST_SECONDS: Final = 3.0
# What this code knows: how many migrations `migrations` has.
SCHEMA: Final = 1
# A page of a migration that was begun: 500 rows one by one.
MIGRATION_RESERVE_SECONDS: Final = 30
# To end the deletion that is under way.
LIFECYCLE_RESERVE_SECONDS: Final = 30


class Deployment:
    """A registry on its tables and bucket, as function URL handlers."""

    uploads_at_once = UPLOADS_AT_ONCE

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.clock = clock
        own = session(settings)
        self._s3 = s3_client(own, settings.s3_endpoint)
        public = self._s3
        if settings.s3_public_endpoint != settings.s3_endpoint:
            public = s3_client(own, settings.s3_public_endpoint)
        connection = dynamodb_connection(settings)
        self.dynamodb = connection.client
        self._tables = bind(connection, settings.table_prefix)
        reads = row_reads(settings, own, connection)
        self._reads = reads
        transactions = DynamoTransactions(connection, self._tables, clock=clock)
        self._own = own
        self._bucket = S3Bucket(self._s3, settings.bucket)
        objects = self._objects = S3BlobStore(self._s3, public, settings.bucket, signer(own, "s3"))
        manifests = DynamoManifestStore(connection, self._tables, reads)
        tags = DynamoTagStore(self._tables, reads)
        links = DynamoLinkStore(self._tables, reads)
        self.policies = DynamoPolicyStore(self._tables, reads)
        self.schema = SchemaStore(self.policies)
        self.guard = SchemaGuard(self.schema, SCHEMA)
        retention = Retention(self.policies, settings.retention_days, settings.retention_counted)
        trash_rows = DynamoTrashStore(self._tables, reads)
        self.trash = Trash(trash_rows, transactions, retention.terms, clock)
        eviction = Eviction(self.trash, links, clock=clock)
        usages = DynamoUsageStore(self._tables, reads)
        self.quota = Quota(usages, self._limit_of, clock, eviction)
        blobs = Blobs(links, objects, transactions, self.quota, settings.grace_seconds, clock)
        self.history = DynamoHistoryStore(self._tables)
        self._stored = AwsStoredContent(self._tables, self._bucket)
        self.soft_limits = SoftLimits(self.policies, self._stored, transactions, clock)
        sessions = DynamoUploadStore(self._tables, reads)
        uploads = Uploads(sessions, objects, objects, blobs, keys.blob_key, clock)
        staged = S3StagedStore(self._s3, settings.bucket) if EDGE in settings.uploads else None
        adoption = Adoption(blobs, uploads, staged, clock)
        credentials = DynamoCredentialStore(connection, self._tables, reads)
        self.credentials = credentials
        self.administrators = Administrators(credentials, settings.account)
        self.trail = DynamoTrail(self._tables)
        self.outbox = DynamoOutbox(self._tables, transactions)
        self.queues = DynamoQueues(self._tables, transactions)
        self.webhooks = DynamoWebhooks(self._tables, reads)
        self.tenancy = Tenancy(DynamoTenancyStore(self._tables, reads, transactions), clear=self._clear)
        id_tokens = IdTokenVerifier(IssuerKeys(loopback=settings.loopback_issuers))
        self.sign_in = SignIn(credentials, id_tokens, self.trail)
        self.desk = CredentialDesk(credentials, self.tenancy, loopback_issuers=settings.loopback_issuers)
        self.services = Services(
            settings=settings,
            blobs=blobs,
            uploads=uploads,
            adoption=adoption,
            manifests=Manifests(
                rows=manifests,
                tags=tags,
                objects=objects,
                transactions=transactions,
                staging=Staging(manifests, objects, transactions),
                key_for=keys.manifest_key,
                adopt=adoption.adopt if staged else None,
                trash=self.trash,
                clock=clock,
            ),
            discovery=Discovery(manifests, tags, DynamoRepositoryStore(self._tables, reads)),
            credentials=credentials,
            sign_in=self.sign_in,
            opening=Opening(self.tenancy, settings.create_on_push),
            revocations=Revocations(credentials),
            tenancy=self.tenancy,
            trail=self.trail,
            tokens=Tokens([derive_key(key, "token") for key in settings.token_keys], settings.service),
            capabilities=Capabilities(capability_keys(settings.token_keys)),
            soft_limits=self.soft_limits,
            pulls=PullEvents(self.outbox.put, lambda: new_order(clock()), settings.pull_events),
            is_throttled=is_throttled,
            is_ready=Readiness(sessions.get),
        )

    @functools.cached_property
    def _management(self) -> ManagementApi:
        """Imports what only the management function needs, 0.3 s of CPU, when it is first asked for."""
        from chalicelib.aws.holder_store import DynamoHolderStore  # noqa: PLC0415
        from chalicelib.aws.listing_store import DynamoListingStore  # noqa: PLC0415
        from chalicelib.management.api import ManagementApi  # noqa: PLC0415
        from chalicelib.management.seals import Seals  # noqa: PLC0415
        from chalicelib.management.services import ManagementServices  # noqa: PLC0415
        from chalicelib.registry.deletion import BulkDeletion  # noqa: PLC0415
        from chalicelib.registry.holders import Holders  # noqa: PLC0415

        services, tables = self.services, self._tables
        return ManagementApi(
            ManagementServices(
                sign_in=services.sign_in,
                desk=self.desk,
                tenancy=services.tenancy,
                trail=services.trail,
                manifests=services.manifests,
                discovery=services.discovery,
                promotion=Promotion(services.manifests, services.blobs, services.manifests.rows),
                emptying=self._emptying,
                repositories=DynamoRepositoryStore(tables, self._reads),
                answers=DynamoAnswerStore(tables, self._reads),
                direct=self.direct,
                opening=services.opening,
                quota=self.quota,
                soft_limits=self.soft_limits,
                reconcile=self.reconcile,
                lifecycle=self.lifecycle,
                undo=self.undo,
                deletion=BulkDeletion(services.manifests, DynamoListingStore(tables), self.policies),
                policies=self.policies,
                holders=Holders(
                    DynamoHolderStore(tables, self._reads),
                    services.blobs.links,
                    services.manifests.tags,
                    self.collector,
                ),
                collect=self._collect_some,
                token_of=functools.partial(by_token, services),
                webhooks=self.webhook_desk,
                dead=self.dead_deliveries,
                event_bus=self.settings.event_bus,
                fsck=self.fsck,
                migrations=self.migrations,
                seals=Seals([derive_key(key, "fsck") for key in self.settings.token_keys]),
            )
        )

    @property
    def undo(self) -> Undo:
        services = self.services
        return Undo(services.manifests, services.blobs, self.trash, self.history, self.clock)

    @property
    def lifecycle(self) -> Lifecycle:
        states, manifests = DynamoLifecycleStore(self._tables), self.services.manifests
        return Lifecycle(states, self.trash.rows, self.policies, manifests, clock=self.clock)

    def apply_lifecycle(self, seconds: float = math.inf) -> Round:
        """Carry out every lifecycle policy, as far as `seconds` go; the next call goes on from there."""
        self.guard.check()
        scopes, content = DynamoLifecycleStore(self._tables), DynamoContentStore(self._tables)
        rounds = LifecycleRounds(self.lifecycle, scopes, content, self.policies, self.clock)
        return rounds.go(seconds - LIFECYCLE_RESERVE_SECONDS)

    @property
    def _emptying(self) -> Emptying:
        services, content = self.services, DynamoContentStore(self._tables)
        return Emptying(content, services.manifests, services.blobs, self.removed_policies)

    @property
    def removed_policies(self) -> RemovedPolicies:
        return RemovedPolicies(self.policies, self.trash.terms, self.clock)

    def reconcile(self, account: str) -> Drift:
        """Put right what is counted of an account, and measure its soft limits."""
        quota, transactions = self.quota, self.services.blobs.transactions
        drift = Reconciliation(quota, self._stored, transactions, self._limit_of).run(account)
        projects: dict[str, list[str]] = {}
        for registry in self.tenancy.registries(account):
            projects.setdefault(registry.project, []).append(registry.name)
        self.soft_limits.measure(account, projects)
        return drift

    def reconcile_all(self, seconds: float = math.inf) -> list[Drift]:
        """One account after the other, for less than `seconds`."""
        self.guard.check()
        accounts = [one.id for one in self.tenancy.store.accounts("", ACCOUNTS_LIMIT)]
        return list(in_turn(accounts, self.reconcile, seconds - RECONCILE_RESERVE_SECONDS))

    def _limit_of(self, account: str) -> int:
        found = self.tenancy.store.account(account)
        return found.limit_bytes if found else FREE_BYTES

    def _clear(self, registry: Registry) -> None:
        self._emptying.empty_registry(registry.account, registry.name, NOBODY)

    @functools.cached_property
    def direct(self) -> DirectUploads:
        """Of the management function, and of the verifier."""
        from chalicelib.aws.checked_store import S3CheckedStore  # noqa: PLC0415
        from chalicelib.aws.direct_store import DynamoDirectStore  # noqa: PLC0415
        from chalicelib.registry.direct import DirectUploads  # noqa: PLC0415
        from chalicelib.registry.verification import Verifier  # noqa: PLC0415

        settings = self.settings
        sessions = DynamoDirectStore(self._tables, self._reads)
        checked = S3CheckedStore(self._s3, settings.bucket, self._objects, is_amazon=not settings.s3_endpoint)
        verifier = Verifier(sessions, checked, checked, self.services.blobs, keys.blob_key, self.clock)
        return DirectUploads(
            sessions=sessions,
            objects=checked,
            parts=checked,
            blobs=self.services.blobs,
            verifier=verifier,
            incoming_key=keys.incoming_key,
            start=self._start_verifier(verifier),
            clock=self.clock,
        )

    @functools.cached_property
    def fsck(self) -> Fsck:
        """Of the management function."""
        from chalicelib.aws.row_store import DynamoRowStore  # noqa: PLC0415
        from chalicelib.registry.fsck import Fsck  # noqa: PLC0415

        rows = DynamoRowStore(self.dynamodb, self._tables, self._bucket)
        return Fsck(rows, keys.shard_of, self.quota.limit_of, self.services.manifests, self.clock)

    @functools.cached_property
    def migrations(self) -> Migrations:
        """Of the scheduled function, and of the management function."""
        from chalicelib.aws.unmarked_store import DynamoUnmarkedStore  # noqa: PLC0415
        from chalicelib.registry.migrations import Migrations  # noqa: PLC0415
        from chalicelib.registry.unmarked import MarkUnused  # noqa: PLC0415

        known = (MarkUnused(DynamoUnmarkedStore(self.dynamodb, self._tables, self.clock)),)
        assert len(known) == SCHEMA  # noqa: S101 - what the guard of every function says of this code
        return Migrations(self.schema, known, self.clock)

    def migrate(self, seconds: float) -> Progress:
        """Go on with the migrations of the tables, for less than `seconds`."""
        self.guard.check()
        return self.migrations.run(self.clock() + seconds - MIGRATION_RESERVE_SECONDS)

    @functools.cached_property
    def _collectable(self) -> DynamoCollectableStore:
        from chalicelib.aws.collectable_store import DynamoCollectableStore  # noqa: PLC0415

        return DynamoCollectableStore(self._tables, self._bucket)

    @functools.cached_property
    def collector(self) -> Collector:
        """Of the scheduled function, and of the management function."""
        from chalicelib.registry.collection import Collector  # noqa: PLC0415
        from chalicelib.registry.expiry import Expiry  # noqa: PLC0415
        from chalicelib.registry.steps import Steps  # noqa: PLC0415

        services, bucket, found = self.services, self._bucket, self._collectable
        transactions = services.blobs.transactions
        return Collector(
            found=found,
            graves=found,
            manifests=services.manifests.rows,
            staging=services.manifests.staging,
            trash=self.trash,
            expiry=Expiry(
                uploads=services.uploads.sessions,
                direct=self.direct.sessions,
                links=services.blobs.links,
                bucket=bucket,
                transactions=transactions,
                prefix_of=keys.session_prefix,
                clock=self.clock,
            ),
            steps=Steps(transactions, self.quota.usage),
            shards=keys.SHARDS,
            account_of=keys.account_of,
            settle=lambda account: self.quota.settle(account, transactions),
            grace=self.settings.grace_seconds,
            clock=self.clock,
        )

    @functools.cached_property
    def _webhook_keys(self) -> WebhookKeys:
        from chalicelib.events.signature import WebhookKeys  # noqa: PLC0415

        return WebhookKeys(derive_key(key, "webhook") for key in self.settings.token_keys)

    @functools.cached_property
    def webhook_target(self) -> WebhookTarget:
        """Of the stream function, and of the management function for tests."""
        from chalicelib.events.payloads import Payloads  # noqa: PLC0415
        from chalicelib.events.targets import WebhookTarget  # noqa: PLC0415
        from chalicelib.outside.post import Outside  # noqa: PLC0415

        settings = self.settings
        outside = Outside(allows_http=settings.webhook_http, inside=settings.webhook_inside)
        payloads = Payloads(settings.service, settings.public_url)
        return WebhookTarget(self.webhooks, payloads, self._webhook_keys, outside.post, self.clock)

    @functools.cached_property
    def webhook_desk(self) -> WebhookDesk:
        """Of the management function."""
        from chalicelib.events.webhook_desk import WebhookDesk  # noqa: PLC0415
        from chalicelib.outside.post import Outside  # noqa: PLC0415

        settings = self.settings
        outside = Outside(
            allows_http=settings.webhook_http, inside=settings.webhook_inside, seconds=TEST_SECONDS
        )
        return WebhookDesk(
            store=self.webhooks,
            queues=self.queues,
            keys=self._webhook_keys,
            target=replace(self.webhook_target, post=outside.post),
            check_url=outside.check,
            order=lambda: new_order(self.clock()),
            clock=self.clock,
        )

    @functools.cached_property
    def dead_deliveries(self) -> DeadDeliveries:
        """Of the management function."""
        from chalicelib.events.dead import DeadDeliveries  # noqa: PLC0415

        return DeadDeliveries(self.queues, self.clock)

    @functools.cached_property
    def rounds(self) -> Rounds:
        """Of the stream function."""
        from chalicelib.aws.event_bus import EventBus  # noqa: PLC0415
        from chalicelib.events.courier import Courier  # noqa: PLC0415
        from chalicelib.events.drain import Drainer  # noqa: PLC0415
        from chalicelib.events.rounds import Rounds  # noqa: PLC0415
        from chalicelib.events.targets import Targets  # noqa: PLC0415

        settings, put = self.settings, None
        if settings.event_bus:
            client = events_client(self._own, settings.events_endpoint)
            put = EventBus(client, settings.event_bus, settings.service).put
        targets = Targets(self.webhook_target, put)
        courier = Courier(self.queues, targets, self.clock, settings.webhook_retries)
        drainer = Drainer(self.outbox, self.webhooks.of, self.clock, has_bus=bool(settings.event_bus))
        return Rounds(drainer, courier, self.queues, self.clock)

    def tell(self, event: Mapping[str, Any], seconds: float) -> Told:
        """Answer one event of the outbox's stream: its lanes are drained, and what is new is delivered.

        What takes longer than `STREAM_SECONDS` goes on in `tell_all`, within a minute.
        """
        self.guard.check()
        if newest := newest_of(event):
            self.rounds.run(min(seconds - STREAM_RESERVE_SECONDS, STREAM_SECONDS), newest)
        return self.rounds.courier.tally.take()

    def tell_all(self, seconds: float) -> Told:
        """All that is in the outbox, and all that is due."""
        self.guard.check()
        self.rounds.run(seconds - STREAM_RESERVE_SECONDS)
        return self.rounds.courier.tally.take()

    def begin_to_tell(self, seconds: float) -> Told:
        """The same without waiting for it; what became of that begun before."""
        self.rounds.begin(seconds)
        return self.rounds.courier.tally.take()

    @functools.cached_property
    def sweeper(self) -> Sweep:
        """Of the scheduled function."""
        from chalicelib.aws.sweep_store import DynamoSweepStore  # noqa: PLC0415
        from chalicelib.registry.sweep import Sweep  # noqa: PLC0415

        services = self.services
        return Sweep(
            rows=DynamoSweepStore(self._tables, self._reads),
            bucket=self._bucket,
            uploads=services.uploads.sessions,
            direct=self.direct.sessions,
            links=services.blobs.links,
            manifests=services.manifests.rows,
            trash=self.trash.rows,
            transactions=services.blobs.transactions,
            account_of=keys.account_of,
            session_of=keys.session_of,
            manifest_of=keys.manifest_of,
            clock=self.clock,
        )

    def sweep(self, seconds: float) -> SweepReport:
        """Go on looking through the bucket for what no row names, for less than `seconds`."""
        self.guard.check()
        return self.sweeper.run(self.clock() + seconds - COLLECTOR_RESERVE_SECONDS)

    def collect(self, seconds: float) -> Report:
        """Free what is due, for less than `seconds`; the audit trail of each account tells what went."""
        self.guard.check()
        return self._collect_some(None, seconds - COLLECTOR_RESERVE_SECONDS, COLLECTOR)

    def uploads_open(self) -> int:
        """How many upload sessions, of both kinds, are open: one count of each shard of the index."""
        return sum(self._collectable.open_sessions(shard, int(self.clock())) for shard in keys.SHARDS)

    def _collect_some(self, account: str | None, seconds: float, actor: Actor) -> Report:
        at = self.clock()
        report = self.collector.run(at + seconds, account)
        for owner, freed in report.accounts.items():
            if owner and freed:
                record = Record(owner, int(at * 1000), actor.id, "collect", "", actor.address)
                self.trail.write(replace(record, detail=asdict(freed)))
        return report

    def _start_verifier(self, verifier: Verifier) -> Callable[[str], None]:
        if self.settings.verifier_function:
            from chalicelib.aws.verifier_call import VerifierCall  # noqa: PLC0415

            return VerifierCall(lambda_client(self._own), self.settings.verifier_function)
        from chalicelib.management.background import Background  # noqa: PLC0415

        return Background(verifier.verify)

    def verify(self, session: str, seconds: float = math.inf) -> None:
        """Verify a direct upload, and have it gone on with where `seconds` are too few."""
        self.guard.check()
        if not self.direct.verifier.verify(session, time.time() + seconds - VERIFIER_RESERVE_SECONDS):
            self.direct.start(session)

    def manage(self, event: Mapping[str, Any], seen: Seen | None = None) -> dict[str, Any]:
        """Answer a function URL event of the management function."""
        seen = seen or Seen()
        with counted() as seen.calls:
            return self._from_edge(event, lambda own: self._management.handle(own, seen), seen)

    def prepare(self) -> None:
        """Make the tables and the bucket where they are not there."""
        create_tables(self.dynamodb, self._tables)
        create_bucket(self._s3, self.settings)
        self._open_account()

    def _open_account(self) -> None:
        with contextlib.suppress(RefusedError):
            self.tenancy.create_account(self.settings.account)
        self.quota.usage(self.settings.account)

    def open(self) -> dict[str, str]:
        """The first account and its administrator, with the password if it is made now; tables are there."""
        self.guard.check()
        self._open_account()
        password = self.administrators.make()
        return {"username": ADMINISTRATOR, **({"password": password} if password else {})}

    def known_to_the_edge(self, *, has_gateway: bool) -> dict[str, Any]:
        """The key `edge` of its key value store."""
        return edge.known_to_the_edge(self.settings, has_gateway=has_gateway)

    def handler(self, event: Mapping[str, Any], seen: Seen | None = None) -> dict[str, Any]:
        """Answer a function URL event, and note of it in `seen` what is for the log."""
        seen = seen or Seen()
        return self._from_edge(event, lambda own: self._handle(own, None, seen), seen)

    def streamed(
        self, event: Mapping[str, Any], blocks: Iterable[bytes], seen: Seen | None = None
    ) -> dict[str, Any]:
        """Answer an event whose body comes beside it, however long."""
        seen = seen or Seen()
        return self._from_edge(event, lambda own: self._handle(own, blocks, seen), seen)

    def adopt(self, event: Mapping[str, Any], _context: object = None) -> None:
        """Take notice of an S3 event: objects were created under `staged/`."""
        self.guard.check()
        for record in event["Records"]:
            self.services.adoption.receive(unquote_plus(record["s3"]["object"]["key"]))

    @staticmethod
    def carries_upload(method: str, path: str) -> bool:
        """Whether such a request is one for `streamed`."""
        return routes.carries_upload(method, path)

    def _from_edge(
        self,
        event: Mapping[str, Any],
        handle: Callable[[Mapping[str, Any]], dict[str, Any]],
        seen: Seen,
    ) -> dict[str, Any]:
        """Where the deployment has an edge, nobody gets past it."""
        known = self.settings.origin_secrets
        try:
            own = edge.behind_edge(event, known)
            self.guard.check()
        except RegistryError as error:
            seen.error = error.code.name
            return edge.denied(error)
        seen.source_ip = str(own["requestContext"]["http"].get("sourceIp", ""))
        return edge.for_edge(handle(own)) if known else handle(own)

    def _handle(self, event: Mapping[str, Any], blocks: Iterable[bytes] | None, seen: Seen) -> dict[str, Any]:
        with counted() as seen.calls:
            response = answer(self.services, Request.from_event(event, blocks, seen))
        if self.settings.show_backend_calls:
            text = f"dynamodb={seen.calls['dynamodb']};s3={seen.calls['s3']}"
            response.headers["X-CCR-Backend-Calls"] = text
        return response.to_event()
