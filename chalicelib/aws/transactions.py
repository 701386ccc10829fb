"""Changes as one TransactWriteItems: each becomes an item with its condition."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from pynamodb.connection import Connection
from pynamodb.exceptions import TransactWriteError
from pynamodb.expressions.condition import Condition
from pynamodb.transactions import TransactWrite

from chalicelib.aws.audit_store import audit_model
from chalicelib.aws.event_rows import new_order, outbox_model
from chalicelib.aws.keys import move_key, referrer_key, registry_key, repository_key, shard_of
from chalicelib.aws.repeats import was_sent_again
from chalicelib.aws.rows import held_text, of_microseconds, trash_model
from chalicelib.aws.session_rows import session_ttl
from chalicelib.aws.tables import Tables
from chalicelib.events.happenings import event_of
from chalicelib.identity.audit import KEEP_SECONDS, Record
from chalicelib.registry.changes import (
    TRANSACTION_LIMIT,
    AuditAccount,
    BuryObject,
    Change,
    Charge,
    CountBlob,
    CountLink,
    CountManifest,
    EndDirect,
    EndUpload,
    ExpireSession,
    MoveLevel,
    MoveManifest,
    MoveTrash,
    NameRepository,
    PutBlob,
    PutLink,
    PutManifest,
    PutReferrer,
    PutTag,
    PutTrash,
    RemoveBlob,
    RemoveLink,
    RemoveManifest,
    RemoveReferrer,
    RemoveTag,
    RemoveTrash,
    SettleBlob,
    SettleLink,
    TellMove,
    TouchLink,
    Used,
    WriteAudit,
)
from chalicelib.registry.stores import LIVE, PUBLISHED, RELEASING
from chalicelib.registry.trash import RELEASE_SECONDS

# Fifty pushes that charge one account at once, each with the row for 10 ms: measured in ADR 17.
CONFLICT_TRIES: Final = 30
_FIRST_WAIT: Final = 0.01
_LONGEST_WAIT: Final = 0.5


class TransactionConflictError(Exception):
    """Other transactions had the same rows `CONFLICT_TRIES` times in a row."""


@dataclass(frozen=True, slots=True)
class Delete:
    model: Any
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Put:
    model: Any
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Update:
    model: Any
    actions: list[Any]
    condition: Condition | None = None


T = TypeVar("T")
Item = Delete | Put | Update
# The order in which PynamoDB lists a transaction's items, and so the order of the reasons it gives.
_ORDER: Final = (Delete, Put, Update)


class DynamoTransactions:
    """`registry.stores.Transactions` on DynamoDB."""

    def __init__(
        self,
        connection: Connection,
        tables: Tables,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._sleep = sleep
        self._items = _Items(tables, clock)

    def write(self, changes: Sequence[Change]) -> list[Change]:
        """Raises TransactionConflictError."""
        assert len(changes) <= TRANSACTION_LIMIT  # noqa: S101 - the domain cuts its work to fit
        return self._write(lambda: [(one, item) for one in changes for item in self._items.all_of(one)])

    def write_items(self, pairs: list[tuple[T, Item]]) -> list[T]:
        """The same of items that are no change of the registry's. Raises TransactionConflictError."""
        return self._write(lambda: pairs)

    def _write(self, items_of: Callable[[], list[tuple[T, Item]]]) -> list[T]:
        """They are made anew for each attempt: one that had to wait is told of after those it waited for."""
        for attempt in range(CONFLICT_TRIES):
            pairs = sorted(items_of(), key=lambda pair: _ORDER.index(type(pair[1])))
            reasons = self._try([item for _, item in pairs])
            if not reasons:
                return []
            refused = [
                change
                for (change, _), reason in zip(pairs, reasons, strict=True)
                if reason == "ConditionalCheckFailed"
            ]
            if refused:
                return refused
            self._sleep(random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt)))  # noqa: S311
        raise TransactionConflictError

    def _try(self, items: list[Item]) -> list[str | None]:
        """Commit; on a cancellation, why each item was refused."""
        transaction = TransactWrite(connection=self._connection)
        for item in items:
            if isinstance(item, Delete):
                transaction.delete(item.model, condition=item.condition)
            elif isinstance(item, Put):
                transaction.save(item.model, condition=item.condition)
            else:
                transaction.update(item.model, actions=item.actions, condition=item.condition)
        try:
            transaction._commit()  # noqa: SLF001 - its context manager, without a block to run
        except TransactWriteError as error:
            # DynamoDB tells a repeated transaction by its token; other engines refuse it for its own effect.
            if was_sent_again(error):
                raise
            reasons = [reason.code if reason else None for reason in error.cancellation_reasons]
            if any(code in {"ConditionalCheckFailed", "TransactionConflict"} for code in reasons):
                return reasons
            raise
        return []


class _Items:
    """One method for each kind of change; its condition is the docstring of the change."""

    def __init__(self, tables: Tables, clock: Callable[[], float]) -> None:
        self._tables, self._clock = tables, clock

    def all_of(self, change: Change) -> list[Item]:
        """What is audited is told as well."""
        item = getattr(self, _METHODS[type(change)])(change)
        told = self._told(change) if isinstance(change, WriteAudit | AuditAccount) else None
        return [item] if told is None else [item, told]

    def _told(self, change: WriteAudit | AuditAccount) -> Put | None:
        event = event_of(change, new_order(self._clock()))
        return None if event is None else Put(outbox_model(self._tables, event))

    def put_manifest(self, change: PutManifest) -> Put:
        table, row = self._tables.manifests, change.row
        model = table(
            repository=repository_key(change.repository),
            digest=row.digest,
            media_type=row.media_type,
            size=row.size,
            state=row.state,
            raw=row.raw,
            storage_key=row.storage_key,
            subject=row.subject,
            holds=held_text(row.holds),
            held=row.held,
            tags=row.tags,
            parents=row.parents,
            pushed_by=row.pushed_by or None,
            pushed=self._now(),
            shard=None if row.state == LIVE else shard_of(row.digest),
            idle=None if row.state == LIVE else self._second(),
        )
        return Put(model, table.digest.does_not_exist())

    def move_manifest(self, change: MoveManifest) -> Update:
        table = self._tables.manifests
        condition = self._stands(change.before)
        if change.tags is not None:
            condition &= (table.tags == change.tags) & (table.parents == 0)
        condition = self._used(change.used) & condition
        state, held = change.after
        actions = [table.state.set(state), table.held.set(held), table.tags.set(change.new_tags)]
        actions += self._mark(table, change.digest, is_idle=state != LIVE)
        if change.leaves_bytes:
            actions.append(table.storage_key.remove())
        return Update(table(repository_key(change.repository), change.digest), actions, condition)

    def remove_manifest(self, change: RemoveManifest) -> Delete:
        table = self._tables.manifests
        condition = self._stands(change.before) & (table.tags == change.tags) & (table.parents == 0)
        condition = self._used(change.used) & condition
        return Delete(table(repository_key(change.repository), change.digest), condition)

    def count_manifest(self, change: CountManifest) -> Update:
        table = self._tables.manifests
        actions: list[Any] = [table.version.add(1)]
        if change.tags:
            actions.append(table.tags.add(change.tags))
        if change.parents:
            actions.append(table.parents.add(change.parents))
        if min(change.tags, change.parents) < 0:
            actions.append(table.left.set(self._second()))
        if change.is_push:
            actions.append(table.pushed.set(self._now()))
        condition: Condition = self._used(change.used) & (table.state == LIVE)
        return Update(table(repository_key(change.repository), change.digest), actions, condition)

    def _stands(self, before: tuple[str, int]) -> Condition:
        table = self._tables.manifests
        state, held = before
        stands: Condition = (table.state == state) & (table.held == held)
        return stands

    def _used(self, used: Used | None) -> Any:
        """None on the left of `&` adds nothing."""
        if used is None:
            return None
        table = self._tables.manifests
        pulled = table.pulled == used.pulled if used.pulled else table.pulled.does_not_exist()
        return pulled & (table.pushed == of_microseconds(used.pushed))

    def count_link(self, change: CountLink) -> Update:
        table = self._tables.links
        actions = [table.references.add(change.references)]
        actions += self._mark(table, change.digest, is_idle=change.references < 0)
        return Update(table(repository_key(change.repository), change.digest), actions, table.digest.exists())

    def put_tag(self, change: PutTag) -> Put:
        table, row = self._tables.tags, change.row
        model = table(
            repository=repository_key(change.repository),
            tag=row.tag,
            digest=row.digest,
            media_type=row.media_type,
            size=row.size,
            version=row.version,
            moved=max(self._now(), of_microseconds(row.moved)),
        )
        if change.previous is None:
            return Put(model, table.tag.does_not_exist())
        condition: Condition = table.digest == change.previous
        if change.since is not None:
            condition &= table.moved == of_microseconds(change.since)
        return Put(model, condition)

    def remove_tag(self, change: RemoveTag) -> Delete:
        table = self._tables.tags
        condition: Condition = table.digest == change.digest
        if change.moved is not None:
            condition &= table.moved == of_microseconds(change.moved)
        return Delete(table(repository_key(change.repository), change.tag), condition)

    def put_referrer(self, change: PutReferrer) -> Put:
        return Put(
            self._tables.referrers(
                repository=repository_key(change.repository),
                digest=referrer_key(change.subject, change.digest),
                descriptor=json.dumps(change.descriptor),
            )
        )

    def remove_referrer(self, change: RemoveReferrer) -> Delete:
        key = referrer_key(change.subject, change.digest)
        return Delete(self._tables.referrers(repository_key(change.repository), key))

    def write_audit(self, change: WriteAudit) -> Put:
        repository, actor = change.repository, change.actor
        separator = "@" if ":" in change.reference else ":"
        record = Record(
            account=repository.account,
            at=int(self._clock() * 1000),
            actor=actor.id,
            action=change.action,
            target=f"{repository.name}{separator}{change.reference}",
            address=actor.address,
            detail=dict(change.detail),
        )
        return Put(audit_model(self._tables, record))

    def name_repository(self, change: NameRepository) -> Update:
        table = self._tables.repositories
        actions = [
            table.account.set(change.repository.account),
            table.created.set(table.created | self._now()),
        ]
        hash_key = registry_key(change.repository.account, change.repository.registry)
        return Update(table(hash_key, change.repository.name), actions)

    def put_link(self, change: PutLink) -> Put:
        table, link = self._tables.links, change.link
        model = table(
            repository=repository_key(change.repository),
            digest=link.digest,
            size=link.size,
            storage_key=link.storage_key,
            references=0,
            touched=self._now(),
            shard=shard_of(link.digest),
            idle=self._second(),
        )
        return Put(model, table.digest.does_not_exist())

    def remove_link(self, change: RemoveLink) -> Delete:
        table = self._tables.links
        condition: Condition = table.references == 0
        if change.idle is not None:
            condition &= table.idle == change.idle
        return Delete(table(repository_key(change.repository), change.digest), condition)

    def touch_link(self, change: TouchLink) -> Update:
        table = self._tables.links
        condition: Condition = table.digest.exists()
        if change.idle is not None:
            condition = (table.references == 0) & (table.idle == change.idle)
        actions = self._mark(table, change.digest, is_idle=True)
        return Update(table(repository_key(change.repository), change.digest), actions, condition)

    def settle_link(self, change: SettleLink) -> Update:
        table = self._tables.links
        condition = (table.references > 0) & (table.idle == change.idle)
        actions = self._mark(table, change.digest, is_idle=False)
        return Update(table(repository_key(change.repository), change.digest), actions, condition)

    def put_blob(self, change: PutBlob) -> Put:
        table, link = self._tables.blobs, change.link
        model = table(
            account=change.account,
            digest=link.digest,
            size=link.size,
            storage_key=link.storage_key,
            links=1,
            kept=0,
        )
        return Put(model, table.digest.does_not_exist())

    def count_blob(self, change: CountBlob) -> Update:
        table = self._tables.blobs
        condition: Condition = table.digest.exists()
        if change.storage_key is not None:
            condition = table.storage_key == change.storage_key
        actions = [table.links.add(change.links)] if change.links or not change.kept else []
        if change.kept:
            actions.append(table.kept.add(change.kept))
        if change.is_shared:
            condition &= (table.links > -change.links) | (table.kept > -change.kept)
            actions.append(table.version.add(1))
        else:
            actions += self._mark(table, change.digest, is_idle=min(change.links, change.kept) < 0)
        return Update(table(change.account, change.digest), actions, condition)

    def settle_blob(self, change: SettleBlob) -> Update:
        table = self._tables.blobs
        condition = ((table.links > 0) | (table.kept > 0)) & (table.idle == change.idle)
        actions = self._mark(table, change.digest, is_idle=False)
        return Update(table(change.account, change.digest), actions, condition)

    def remove_blob(self, change: RemoveBlob) -> Delete:
        table = self._tables.blobs
        kept = table.kept == change.kept
        unused = (table.links == 0) & (kept if change.kept else table.kept.does_not_exist() | kept)
        marked = table.idle == change.idle if change.idle else table.idle.does_not_exist()
        same = (table.storage_key == change.storage_key) & marked
        return Delete(table(change.account, change.digest), unused & same)

    def charge(self, change: Charge) -> Update:
        table = self._tables.usage
        actions = [table.bytes.add(change.bytes), table.free.add(-change.bytes), table.turn.add(1)]
        # What was freed is told whatever the limit is by now.
        condition = table.free >= change.bytes if change.bytes > 0 else table.account.exists()
        return Update(table(change.account), actions, condition)

    def move_level(self, change: MoveLevel) -> Update:
        table = self._tables.usage
        actions = [table.level.set(change.after)]
        return Update(table(change.account), actions, table.level == change.before)

    def audit_account(self, change: AuditAccount) -> Put:
        at, detail = int(self._clock() * 1000), dict(change.detail)
        record = Record(change.account, at, "", change.action, change.target, detail=detail)
        return Put(audit_model(self._tables, record))

    def bury_object(self, change: BuryObject) -> Put:
        key = change.storage_key
        return Put(self._tables.buried(shard=shard_of(key), storage_key=key))

    def put_trash(self, change: PutTrash) -> Put:
        table = self._tables.trash
        return Put(trash_model(table, change.repository, change.row), table.digest.does_not_exist())

    def move_trash(self, change: MoveTrash) -> Update:
        table, row = self._tables.trash, change.row
        state, held = change.after
        actions = [table.state.set(state), table.held.set(held)]
        if row is not None:
            actions += [table.tags.set(json.dumps(row.tags)), table.deleted.set(row.deleted)]
            actions += [table.deleted_by.set(row.deleted_by), table.reason.set(row.reason)]
            # Those of the manifest that goes now.
            key, account = row.storage_key, change.repository.account
            actions.append(table.storage_key.remove() if key is None else table.storage_key.set(key))
            actions.append(table.giving.set(account) if row.gives_way else table.giving.remove())
        # Should whoever releases it die, the collector goes on.
        due = None if row is None else row.due
        if state == RELEASING:
            due = self._second() + RELEASE_SECONDS
        if due is not None:
            actions.append(table.due.set(due))
        condition = self._lies(change)
        return Update(table(repository_key(change.repository), change.digest), actions, condition)

    def remove_trash(self, change: RemoveTrash) -> Delete:
        model = self._tables.trash(repository_key(change.repository), change.digest)
        return Delete(model, self._lies(change))

    def _lies(self, change: MoveTrash | RemoveTrash) -> Condition:
        table = self._tables.trash
        state, held = change.before
        condition: Condition = (table.state == state) & (table.held == held)
        if change.due is not None:
            condition &= table.due == change.due
        return condition & table.giving.exists() if change.gives_way else condition

    def tell_move(self, change: TellMove) -> Put:
        move = change.move
        model = self._tables.history(
            repository=repository_key(change.repository),
            move=move_key(move.tag, move.at),
            digest=move.digest,
            previous=move.previous,
            actor=move.actor or None,
            action=move.action or None,
            expires=datetime.fromtimestamp(move.at // 1000 + KEEP_SECONDS, UTC),
        )
        return Put(model)

    def _mark(self, table: Any, digest: str, *, is_idle: bool) -> list[Any]:
        """Whatever took away may have taken the last: the collector looks, and it alone takes marks away."""
        if is_idle:
            return [table.shard.set(shard_of(digest)), table.idle.set(self._second()), table.version.add(1)]
        return [table.shard.remove(), table.idle.remove(), table.version.add(1)]

    def _second(self) -> int:
        return int(self._clock())

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def end_upload(self, change: EndUpload) -> Delete:
        table = self._tables.uploads
        return Delete(table(change.session), table.writer == change.writer)

    def expire_session(self, change: ExpireSession) -> Delete:
        table = self._tables.uploads
        is_left = table.lease.does_not_exist() | (table.lease < change.now)
        return Delete(table(change.session), (table.expires == change.expires) & is_left)

    def end_direct(self, change: EndDirect) -> Update:
        table = self._tables.direct
        actions = [
            table.state.set(PUBLISHED),
            table.verified.set(table.size),
            table.expires.set(change.expires),
            table.ttl.set(session_ttl(change.expires)),
            table.writer.remove(),
            table.lease.remove(),
            table.hash_state.remove(),
        ]
        return Update(table(change.session), actions, table.writer == change.writer)


_METHODS: Final[dict[type, str]] = {
    PutManifest: "put_manifest",
    MoveManifest: "move_manifest",
    RemoveManifest: "remove_manifest",
    CountManifest: "count_manifest",
    CountLink: "count_link",
    PutTag: "put_tag",
    RemoveTag: "remove_tag",
    PutReferrer: "put_referrer",
    RemoveReferrer: "remove_referrer",
    WriteAudit: "write_audit",
    NameRepository: "name_repository",
    PutLink: "put_link",
    RemoveLink: "remove_link",
    TouchLink: "touch_link",
    SettleLink: "settle_link",
    PutBlob: "put_blob",
    CountBlob: "count_blob",
    SettleBlob: "settle_blob",
    RemoveBlob: "remove_blob",
    Charge: "charge",
    MoveLevel: "move_level",
    AuditAccount: "audit_account",
    BuryObject: "bury_object",
    PutTrash: "put_trash",
    MoveTrash: "move_trash",
    RemoveTrash: "remove_trash",
    TellMove: "tell_move",
    EndUpload: "end_upload",
    ExpireSession: "expire_session",
    EndDirect: "end_direct",
}
