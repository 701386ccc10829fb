"""The tables as PynamoDB models, bound to one deployment by `bind`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

from pynamodb.attributes import (
    BinaryAttribute,
    BooleanAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.connection import Connection
from pynamodb.indexes import (
    AllProjection,
    GlobalSecondaryIndex,
    IncludeProjection,
    KeysOnlyProjection,
    LocalSecondaryIndex,
)
from pynamodb.models import Model


class AccountNameIndex(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """Every repository of an account, sorted by name."""

    class Meta:
        index_name = "account-name"
        projection = KeysOnlyProjection()

    account = UnicodeAttribute(hash_key=True)
    repository = UnicodeAttribute(range_key=True)


class DigestIndex(LocalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """The tags that name a digest, consistent."""

    class Meta:
        index_name = "digest"
        projection = KeysOnlyProjection()

    repository = UnicodeAttribute(hash_key=True)
    digest = UnicodeAttribute(range_key=True)


class IdleManifestIndex(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """Those that cannot be pulled and are on their way in or out; sparse, as all of these are."""

    class Meta:
        index_name = "idle"
        projection = KeysOnlyProjection()

    shard = UnicodeAttribute(hash_key=True)
    idle = NumberAttribute(range_key=True)


class IdleLinkIndex(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """Links that no manifest may name any more."""

    class Meta:
        index_name = "idle"
        projection = IncludeProjection(["references"])

    shard = UnicodeAttribute(hash_key=True)
    idle = NumberAttribute(range_key=True)


class IdleBlobIndex(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """Blobs that nothing may need any more."""

    class Meta:
        index_name = "idle"
        projection = IncludeProjection(["size", "storage_key", "links", "kept"])

    shard = UnicodeAttribute(hash_key=True)
    idle = NumberAttribute(range_key=True)


class StoredBlobIndex(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """Every blob of an account in the order in which S3 lists the objects."""

    class Meta:
        index_name = "account-storage_key"
        projection = IncludeProjection(["size"])

    account = UnicodeAttribute(hash_key=True)
    storage_key = UnicodeAttribute(range_key=True)


class DueTrashIndex(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """Deleted manifests by when they cannot be restored any more."""

    class Meta:
        index_name = "due"
        projection = KeysOnlyProjection()

    shard = UnicodeAttribute(hash_key=True)
    due = NumberAttribute(range_key=True)


class GivingTrashIndex(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """Deleted manifests that give way to pushes, of an account, by when they were deleted."""

    class Meta:
        index_name = "giving"
        projection = IncludeProjection(["state", "held", "holds"])

    giving = UnicodeAttribute(hash_key=True)
    deleted = NumberAttribute(range_key=True)


class ExpiryIndex(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """Upload sessions of both kinds by when they end."""

    class Meta:
        index_name = "expiry"
        projection = KeysOnlyProjection()

    shard = UnicodeAttribute(hash_key=True)
    expires = NumberAttribute(range_key=True)


class AccountModel(Model):
    """One that was deleted keeps its row: its id is never anybody else's."""

    id = UnicodeAttribute(hash_key=True)
    title = UnicodeAttribute(default="")
    limit_bytes = NumberAttribute()
    created = NumberAttribute()
    version = NumberAttribute()
    deleted = BooleanAttribute(null=True)


class ProjectModel(Model):
    account = UnicodeAttribute(hash_key=True)
    name = UnicodeAttribute(range_key=True)
    title = UnicodeAttribute(default="")
    created = NumberAttribute()
    version = NumberAttribute()


class AccountRegistryIndex(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """Every registry of an account, sorted by name."""

    class Meta:
        index_name = "account-name"
        projection = AllProjection()

    account = UnicodeAttribute(hash_key=True)
    name = UnicodeAttribute(range_key=True)


class RegistryModel(Model):
    name = UnicodeAttribute(hash_key=True)
    account = UnicodeAttribute()
    project = UnicodeAttribute()
    title = UnicodeAttribute(default="")
    state = UnicodeAttribute()
    created = NumberAttribute()
    version = NumberAttribute()
    reserved = NumberAttribute(default=0)
    incarnation = NumberAttribute(default=0)
    account_name = AccountRegistryIndex()


class RepositoryModel(Model):
    registry = UnicodeAttribute(hash_key=True)
    repository = UnicodeAttribute(range_key=True)
    account = UnicodeAttribute()
    created = UTCDateTimeAttribute()
    account_name = AccountNameIndex()


class ManifestModel(Model):
    """`version` grows with every count, here and in links, blobs and usage: fsck tells by it what moved."""

    repository = UnicodeAttribute(hash_key=True)
    digest = UnicodeAttribute(range_key=True)
    media_type = UnicodeAttribute()
    size = NumberAttribute()
    state = UnicodeAttribute()
    raw = BinaryAttribute(null=True, legacy_encoding=False)
    storage_key = UnicodeAttribute(null=True)
    subject = UnicodeAttribute(null=True)
    holds = UnicodeAttribute(default="")
    held = NumberAttribute(default=0)
    tags = NumberAttribute(default=0)
    parents = NumberAttribute(default=0)
    pushed_by = UnicodeAttribute(null=True)
    pushed = UTCDateTimeAttribute(null=True)
    pulled = NumberAttribute(null=True)
    # The second in which a tag or an index last let go of it.
    left = NumberAttribute(null=True)
    shard = UnicodeAttribute(null=True)
    idle = NumberAttribute(null=True)
    version = NumberAttribute(null=True)
    by_idle = IdleManifestIndex()


class ReferrerModel(Model):
    """An edge in the partition of the manifests."""

    repository = UnicodeAttribute(hash_key=True)
    digest = UnicodeAttribute(range_key=True)
    descriptor = UnicodeAttribute()


class TagModel(Model):
    repository = UnicodeAttribute(hash_key=True)
    tag = UnicodeAttribute(range_key=True)
    digest = UnicodeAttribute()
    media_type = UnicodeAttribute()
    size = NumberAttribute()
    version = NumberAttribute()
    moved = UTCDateTimeAttribute(null=True)
    by_digest = DigestIndex()


class LinkModel(Model):
    repository = UnicodeAttribute(hash_key=True)
    digest = UnicodeAttribute(range_key=True)
    size = NumberAttribute()
    storage_key = UnicodeAttribute()
    references = NumberAttribute(default=0)
    touched = UTCDateTimeAttribute(null=True)
    shard = UnicodeAttribute(null=True)
    idle = NumberAttribute(null=True)
    version = NumberAttribute(null=True)
    by_idle = IdleLinkIndex()


class BlobModel(Model):
    account = UnicodeAttribute(hash_key=True)
    digest = UnicodeAttribute(range_key=True)
    size = NumberAttribute()
    storage_key = UnicodeAttribute()
    links = NumberAttribute()
    kept = NumberAttribute(default=0)
    shard = UnicodeAttribute(null=True)
    idle = NumberAttribute(null=True)
    version = NumberAttribute(null=True)
    by_idle = IdleBlobIndex()
    by_storage_key = StoredBlobIndex()


class TrashModel(Model):
    """`giving` is its account where it gives way, and else not there."""

    repository = UnicodeAttribute(hash_key=True)
    digest = UnicodeAttribute(range_key=True)
    media_type = UnicodeAttribute()
    size = NumberAttribute()
    state = UnicodeAttribute()
    raw = BinaryAttribute(null=True, legacy_encoding=False)
    storage_key = UnicodeAttribute(null=True)
    subject = UnicodeAttribute(null=True)
    holds = UnicodeAttribute(default="")
    held = NumberAttribute(default=0)
    tags = UnicodeAttribute(default="[]")
    deleted = NumberAttribute()
    deleted_by = UnicodeAttribute(null=True)
    reason = UnicodeAttribute(null=True)
    shard = UnicodeAttribute()
    due = NumberAttribute()
    giving = UnicodeAttribute(null=True)
    by_due = DueTrashIndex()
    by_giving = GivingTrashIndex()


class HistoryModel(Model):
    """`move` is `<tag>#<time>-<random>`: no tag has a `#`."""

    repository = UnicodeAttribute(hash_key=True)
    move = UnicodeAttribute(range_key=True)
    digest = UnicodeAttribute(null=True)
    previous = UnicodeAttribute(null=True)
    actor = UnicodeAttribute(null=True)
    action = UnicodeAttribute(null=True)
    expires = TTLAttribute()


class UsageModel(Model):
    """`free` is what is left of the limit, so that one condition without a read guards it."""

    account = UnicodeAttribute(hash_key=True)
    bytes = NumberAttribute()
    free = NumberAttribute()
    level = NumberAttribute(default=0)
    turn = NumberAttribute(default=0)


class PolicyModel(Model):
    scope = UnicodeAttribute(hash_key=True)
    kind = UnicodeAttribute(range_key=True)
    document = UnicodeAttribute()
    version = NumberAttribute()


class BuriedModel(Model):
    """Objects to be deleted from S3, a partition for each shard."""

    shard = UnicodeAttribute(hash_key=True)
    storage_key = UnicodeAttribute(range_key=True)


class UploadModel(Model):
    """The collector ends what has expired; `ttl` is long after, for what it has left."""

    session = UnicodeAttribute(hash_key=True)
    account = UnicodeAttribute()
    repository = UnicodeAttribute()
    offset = NumberAttribute()
    algorithm = UnicodeAttribute()
    hash_state = BinaryAttribute(null=True, legacy_encoding=False)
    multipart_key = UnicodeAttribute(null=True)
    multipart_id = UnicodeAttribute(null=True)
    parts = UnicodeAttribute()
    tail_key = UnicodeAttribute(null=True)
    tail_size = NumberAttribute()
    expires = NumberAttribute()
    ttl = TTLAttribute()
    shard = UnicodeAttribute()
    by_expiry = ExpiryIndex()
    verified_digest = UnicodeAttribute(null=True)
    verified_key = UnicodeAttribute(null=True)
    writer = UnicodeAttribute(null=True)
    lease = NumberAttribute(null=True)


class DirectModel(Model):
    """Direct uploads, in the table of the others; their sessions have another form."""

    session = UnicodeAttribute(hash_key=True)
    account = UnicodeAttribute()
    repository = UnicodeAttribute()
    digest = UnicodeAttribute()
    size = NumberAttribute()
    key = UnicodeAttribute()
    is_final = BooleanAttribute()
    multipart_id = UnicodeAttribute(null=True)
    part_size = NumberAttribute()
    state = UnicodeAttribute()
    verified = NumberAttribute()
    hash_state = BinaryAttribute(null=True, legacy_encoding=False)
    detail = UnicodeAttribute(null=True)
    expires = NumberAttribute()
    ttl = TTLAttribute()
    shard = UnicodeAttribute()
    writer = UnicodeAttribute(null=True)
    lease = NumberAttribute(null=True)


class AccountCredentialIndex(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """Every credential of an account, sorted by id."""

    class Meta:
        index_name = "account-id"
        projection = AllProjection()

    account = UnicodeAttribute(hash_key=True)
    id = UnicodeAttribute(range_key=True)


class CredentialModel(Model):
    """`document` holds what is never part of a condition."""

    id = UnicodeAttribute(hash_key=True)
    account = UnicodeAttribute()
    version = NumberAttribute()
    generation = NumberAttribute()
    document = UnicodeAttribute()
    used = NumberAttribute(default=0)
    used_from = UnicodeAttribute(default="")
    account_id = AccountCredentialIndex()


class RevocationModel(Model):
    """One partition, and small: an entry outlives the tokens it is about and no more."""

    all = UnicodeAttribute(hash_key=True, default="all")
    id = UnicodeAttribute(range_key=True)
    generation = NumberAttribute()
    expires = TTLAttribute()


class AttemptModel(Model):
    key = UnicodeAttribute(hash_key=True)
    failures = NumberAttribute()
    until = NumberAttribute()
    expires = TTLAttribute()


class AuditModel(Model):
    """A partition for each account and day (UTC)."""

    day = UnicodeAttribute(hash_key=True)
    id = UnicodeAttribute(range_key=True)
    document = UnicodeAttribute()
    expires = TTLAttribute()


class OutboxModel(Model):
    """What is still to be told: a row goes, in one transaction, as the queues get theirs."""

    lane = UnicodeAttribute(hash_key=True)
    order = UnicodeAttribute(range_key=True)
    document = UnicodeAttribute()


class DueQueueIndex(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """Queues by when they are to be looked at."""

    class Meta:
        index_name = "due"
        projection = KeysOnlyProjection()

    shard = UnicodeAttribute(hash_key=True)
    due = NumberAttribute(range_key=True)


class QueueModel(Model):
    """One of a target and a lane, while something waits in it: how many do is `pending`."""

    target = UnicodeAttribute(hash_key=True)
    lane = UnicodeAttribute(range_key=True)
    pending = NumberAttribute(default=0)
    failures = NumberAttribute(default=0)
    shard = UnicodeAttribute()
    due = NumberAttribute()
    writer = UnicodeAttribute(null=True)
    lease = NumberAttribute(null=True)
    by_due = DueQueueIndex()


class DeliveryModel(Model):
    """`queue` is `wait#<target>#<lane>`, `done#<target>` or `dead#<target>`; those of the last two expire."""

    queue = UnicodeAttribute(hash_key=True)
    order = UnicodeAttribute(range_key=True)
    document = UnicodeAttribute()
    attempts = NumberAttribute(default=0)
    at = NumberAttribute(default=0)
    status = NumberAttribute(default=0)
    error = UnicodeAttribute(null=True)
    expires = TTLAttribute(null=True)


class WebhookModel(Model):
    account = UnicodeAttribute(hash_key=True)
    name = UnicodeAttribute(range_key=True)
    document = UnicodeAttribute()
    version = NumberAttribute()


class IdempotencyModel(Model):
    key = UnicodeAttribute(hash_key=True)
    fingerprint = UnicodeAttribute()
    answer = UnicodeAttribute(null=True)
    expires = TTLAttribute()


# Rows of another kind in the table of a first one.
_SHARED: Final = frozenset({"direct", "referrers"})


@dataclass(frozen=True, slots=True)
class Tables:
    """The models of one deployment."""

    accounts: type[AccountModel]
    projects: type[ProjectModel]
    registries: type[RegistryModel]
    repositories: type[RepositoryModel]
    manifests: type[ManifestModel]
    referrers: type[ReferrerModel]
    tags: type[TagModel]
    links: type[LinkModel]
    blobs: type[BlobModel]
    trash: type[TrashModel]
    history: type[HistoryModel]
    usage: type[UsageModel]
    buried: type[BuriedModel]
    policies: type[PolicyModel]
    uploads: type[UploadModel]
    direct: type[DirectModel]
    credentials: type[CredentialModel]
    revocations: type[RevocationModel]
    attempts: type[AttemptModel]
    audit: type[AuditModel]
    outbox: type[OutboxModel]
    queues: type[QueueModel]
    deliveries: type[DeliveryModel]
    webhooks: type[WebhookModel]
    idempotency: type[IdempotencyModel]

    def stored(self) -> Iterator[type[Model]]:
        """One model for each table."""
        return (getattr(self, one.name) for one in fields(self) if one.name not in _SHARED)


def bind(connection: Connection, prefix: str) -> Tables:
    """Models of their own for this deployment, on its one connection."""

    def bound(model: type[Model], table: str) -> Any:
        meta = type("Meta", (), {"table_name": prefix + table, "billing_mode": "PAY_PER_REQUEST"})
        own = type(model.__name__, (model,), {"Meta": meta, "__module__": __name__})
        _share(own, connection)
        return own

    return Tables(
        accounts=bound(AccountModel, "accounts"),
        projects=bound(ProjectModel, "projects"),
        registries=bound(RegistryModel, "registries"),
        repositories=bound(RepositoryModel, "repositories"),
        manifests=bound(ManifestModel, "manifests"),
        referrers=bound(ReferrerModel, "manifests"),
        tags=bound(TagModel, "tags"),
        links=bound(LinkModel, "links"),
        blobs=bound(BlobModel, "blobs"),
        trash=bound(TrashModel, "trash"),
        history=bound(HistoryModel, "history"),
        usage=bound(UsageModel, "usage"),
        buried=bound(BuriedModel, "buried"),
        policies=bound(PolicyModel, "policies"),
        uploads=bound(UploadModel, "uploads"),
        direct=bound(DirectModel, "uploads"),
        credentials=bound(CredentialModel, "credentials"),
        revocations=bound(RevocationModel, "revocations"),
        attempts=bound(AttemptModel, "attempts"),
        audit=bound(AuditModel, "audit"),
        outbox=bound(OutboxModel, "outbox"),
        queues=bound(QueueModel, "queues"),
        deliveries=bound(DeliveryModel, "deliveries"),
        webhooks=bound(WebhookModel, "webhooks"),
        idempotency=bound(IdempotencyModel, "idempotency"),
    )


def _share(model: Any, connection: Connection) -> None:
    """PynamoDB makes a client for each model, 100 ms of CPU each: give them all the one we have."""
    table = model._get_connection()  # noqa: SLF001 - there is no public way
    try:
        connection.get_meta_table(table.table_name)
    except Exception:  # noqa: BLE001 - TableError has no public name
        connection.add_meta_table(table.get_meta_table())
    table.connection = connection
