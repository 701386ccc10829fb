"""Every condition of every conditional write in `chalicelib/aws`, and the test that fails without it.

What the conditions of the registry's transactions and sessions are for is in `tests/properties/mutations.py`;
the rest of these are in no state machine: policies, usage, tenancy, credentials, idempotency keys, repairs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from chalicelib.aws import (
    credential_store,
    direct_store,
    event_store,
    idempotency_store,
    manifest_store,
    policy_store,
    row_store,
    session_rows,
    tenancy_store,
    transactions,
    upload_store,
    usage_store,
    webhook_store,
)
from chalicelib.registry.policies import IMMUTABLE_TAGS, Policy, registry_scope
from chalicelib.registry.stores import UploadRow
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.stores import (
    test_credential_store,
    test_direct_uploads,
    test_events,
    test_fsck,
    test_idempotency_store,
    test_lifecycle_store,
    test_policy_store,
    test_tenancy_store,
    test_transactions,
    test_upload_store,
    test_usage_store,
)
from tests.stores.rows import an_upload


@dataclass
class Ground:
    """What the tests take, as their fixtures make it."""

    deployment: Deployment
    repository: Repository
    patch: pytest.MonkeyPatch

    @property
    def name(self) -> str:
        return f"robot-{os.urandom(4).hex()}"

    def upload(self) -> UploadRow:
        row = an_upload(self.repository)
        self.deployment.services.uploads.sessions.create(row)
        return row

    def policy(self) -> Policy:
        scope = registry_scope(self.repository.account, self.repository.registry)
        return Policy(scope, IMMUTABLE_TAGS, ["v*"])


Check = Callable[[Ground], None]


@dataclass(frozen=True)
class StoreMutation:
    """In `function` of `owner`, a class or a module, `old` becomes `new`; then `seen` must fail.

    `because`: why nothing can, where nothing does.
    """

    name: str
    module: Any
    where: str
    old: str
    new: str
    seen: Check | None = None
    because: str = ""


def _case(name: str) -> Check:
    """One of those that `test_transactions.py` wants to be refused."""
    (case,) = (one for one in test_transactions.REFUSED if one.name == name)

    def check(on: Ground) -> None:
        items = on.deployment.services.blobs.transactions._items  # type: ignore[attr-defined]
        on.patch.setattr(items, "_clock", lambda: float(test_transactions.NOW))
        test_transactions.test_change_whose_condition_fails_is_named_and_nothing_is_written(
            on.deployment, on.repository, case
        )

    return check


def _seen(test: Callable[[Deployment, Repository], None]) -> Check:
    return lambda on: test(on.deployment, on.repository)


def _with_upload(test: Callable[[Deployment, UploadRow], None]) -> Check:
    return lambda on: test(on.deployment, on.upload())


def _with_name(test: Callable[[Deployment, str], None]) -> Check:
    return lambda on: test(on.deployment, on.name)


def _with_policy(test: Callable[[Deployment, Policy], None]) -> Check:
    return lambda on: test(on.deployment, on.policy())


def _with_registry(test: Callable[[Any], None]) -> Check:
    def check(on: Ground) -> None:
        registry = test_fsck.of_deployment(on.deployment)
        registry.fill()
        test(registry)

    return check


def _used(on: Ground) -> None:
    row = test_lifecycle_store.a_row()
    test_lifecycle_store.push(on.deployment, on.repository, row)
    test_lifecycle_store.test_a_manifest_goes_only_while_it_was_not_used(on.deployment, on.repository, row)


def _moved(on: Ground) -> None:
    row = test_lifecycle_store.a_row()
    test_lifecycle_store.push(on.deployment, on.repository, row)
    test_lifecycle_store.test_a_tag_goes_only_while_it_has_not_moved(on.deployment, on.repository, row)


def _noted(on: Ground) -> None:
    row = test_lifecycle_store.a_row()
    test_lifecycle_store.push(on.deployment, on.repository, row)
    test_lifecycle_store.test_a_pull_is_noted_after_the_one_that_was_seen_alone(
        on.deployment, on.repository, row
    )


def _change(name: str, where: str, old: str, new: str, seen: Check | str) -> StoreMutation:
    check = _case(seen) if isinstance(seen, str) else seen
    return StoreMutation(name, transactions, f"_Items.{where}", old, new, check)


def _session(name: str, where: str, old: str, new: str, seen: Check) -> StoreMutation:
    return StoreMutation(name, session_rows, f"SessionRows.{where}", old, new, seen)


_UPLOADS: Final = "DynamoUploadStore"
_DIRECT: Final = "DynamoDirectStore"
_USAGE: Final = "DynamoUsageStore"
_TENANCY: Final = "DynamoTenancyStore"
_CREDENTIALS: Final = "DynamoCredentialStore"
_NONE: Final = "table.digest.does_not_exist()"
_STANDS: Final = "(table.state == state) & (table.held == held)"
_TAGS: Final = "(table.tags == change.tags) & (table.parents == 0)"
_VERSION: Final = "table.version.does_not_exist() if is_new else table.version == version - 1"
_CREDENTIAL: Final = "table.version == before if before else table.version.does_not_exist()"

TRANSACTIONS: Final = (
    _change("PutManifest: none is there", "put_manifest", f", {_NONE}", "", "put manifest over a live one"),
    _change(
        "MoveManifest: the state", "_stands", _STANDS, "table.held == held", "move manifest of another state"
    ),
    _change(
        "MoveManifest: what is held",
        "_stands",
        _STANDS,
        "table.state == state",
        "move manifest of another mark",
    ),
    _change(
        "RemoveManifest: the state", "_stands", _STANDS, "table.held == held", "remove manifest elsewhere"
    ),
    _change(
        "RemoveManifest: what is held", "_stands", _STANDS, "table.state == state", "remove manifest marked"
    ),
    _change(
        "MoveManifest: its tags",
        "move_manifest",
        _TAGS,
        "table.parents == 0",
        "move manifest with one tag more",
    ),
    _change(
        "MoveManifest: no parents",
        "move_manifest",
        _TAGS,
        "table.tags == change.tags",
        "move manifest with a parent",
    ),
    _change(
        "RemoveManifest: its tags",
        "remove_manifest",
        " & (table.tags == change.tags)",
        "",
        "remove manifest with a tag more",
    ),
    _change(
        "RemoveManifest: no parents",
        "remove_manifest",
        " & (table.parents == 0)",
        "",
        "remove manifest with a parent",
    ),
    _change(
        "MoveManifest: last used then",
        "move_manifest",
        "self._used(change.used) & condition",
        "condition",
        _used,
    ),
    _change(
        "RemoveManifest: last used then",
        "remove_manifest",
        "self._used(change.used) & condition",
        "condition",
        _used,
    ),
    _change("CountManifest: last used then", "count_manifest", "self._used(change.used) & ", "", _used),
    _change(
        "last pulled then: as it was seen",
        "_used",
        "table.pulled == used.pulled if used.pulled else",
        "None if used.pulled else",
        _used,
    ),
    _change("last pulled then: never", "_used", "else table.pulled.does_not_exist()", "else None", _used),
    _change(
        "last pushed then",
        "_used",
        "pulled & (table.pushed == of_microseconds(used.pushed))",
        "pulled",
        _used,
    ),
    _change(
        "CountManifest: it is live",
        "count_manifest",
        "(table.state == LIVE)",
        "table.digest.exists()",
        "count manifest leaving",
    ),
    _change(
        "CountManifest: it is there",
        "count_manifest",
        "(table.state == LIVE)",
        "(table.state != RELEASING)",
        "count manifest not there",
    ),
    _change("CountLink: it is there", "count_link", ", table.digest.exists()", "", "count link not there"),
    _change(
        "PutTag: none is there",
        "put_tag",
        "Put(model, table.tag.does_not_exist())",
        "Put(model)",
        "put new tag that is there",
    ),
    _change(
        "PutTag: it names what it did",
        "put_tag",
        "table.digest == change.previous",
        "table.tag.exists()",
        "put tag from another",
    ),
    _change(
        "PutTag: since then", "put_tag", "if change.since is not None", "if False", "put tag that moved since"
    ),
    _change(
        "RemoveTag: it names that",
        "remove_tag",
        "table.digest == change.digest",
        "table.tag.exists()",
        "remove tag of another",
    ),
    _change(
        "RemoveTag: it is there",
        "remove_tag",
        "table.digest == change.digest",
        "table.digest != 'none'",
        "remove tag not there",
    ),
    _change("RemoveTag: since then", "remove_tag", "if change.moved is not None", "if False", _moved),
    _change("PutLink: none is there", "put_link", f", {_NONE}", "", "put link again"),
    _change(
        "RemoveLink: no manifest names it",
        "remove_link",
        "table.references == 0",
        "table.digest.exists()",
        "remove link in use",
    ),
    _change(
        "RemoveLink: it is there",
        "remove_link",
        "table.references == 0",
        "table.references != 1",
        "remove link not there",
    ),
    _change(
        "RemoveLink: nor did since",
        "remove_link",
        "if change.idle is not None",
        "if False",
        "remove link idle since then",
    ),
    _change(
        "TouchLink: it is there",
        "touch_link",
        "condition: Condition = table.digest.exists()",
        "condition = None",
        "touch link not there",
    ),
    _change(
        "TouchLink: no manifest names it", "touch_link", "(table.references == 0) & ", "", "touch link in use"
    ),
    _change(
        "TouchLink: nobody touched it",
        "touch_link",
        " & (table.idle == change.idle)",
        "",
        "touch link idle since then",
    ),
    _change(
        "SettleLink: a manifest names it",
        "settle_link",
        "(table.references > 0) & ",
        "",
        "settle link that nothing names",
    ),
    _change(
        "SettleLink: it has that mark",
        "settle_link",
        " & (table.idle == change.idle)",
        "",
        "settle link idle since then",
    ),
    _change("PutBlob: none is there", "put_blob", f", {_NONE}", "", "put blob again"),
    _change(
        "CountBlob: it is there",
        "count_blob",
        "condition: Condition = table.digest.exists()",
        "condition = None",
        "count blob not there",
    ),
    _change(
        "CountBlob: under that key",
        "count_blob",
        "if change.storage_key is not None",
        "if False",
        "count blob under another",
    ),
    _change(
        "SettleBlob: something needs it",
        "settle_blob",
        "((table.links > 0) | (table.kept > 0)) & ",
        "",
        "settle blob that nothing needs",
    ),
    _change(
        "SettleBlob: it has that mark",
        "settle_blob",
        " & (table.idle == change.idle)",
        "",
        "settle blob idle since then",
    ),
    _change(
        "RemoveBlob: nothing links it",
        "remove_blob",
        "(table.links == 0) & ",
        "",
        "remove blob that is linked",
    ),
    _change(
        "RemoveBlob: nothing deleted keeps it",
        "remove_blob",
        "else table.kept.does_not_exist() | kept)",
        "else table.digest.exists())",
        "remove blob that is kept",
    ),
    _change(
        "RemoveBlob: nothing deleted keeps it but what goes with it",
        "remove_blob",
        "(kept if change.kept",
        "(table.digest.exists() if change.kept",
        "remove blob that more keep",
    ),
    _change(
        "RemoveBlob: under that key",
        "remove_blob",
        "(table.storage_key == change.storage_key) & ",
        "",
        "remove blob of another key",
    ),
    _change(
        "RemoveBlob: nor did since",
        "remove_blob",
        "table.idle == change.idle if",
        "table.digest.exists() if",
        "remove blob idle since then",
    ),
    _change(
        "RemoveBlob: it has no mark",
        "remove_blob",
        "else table.idle.does_not_exist()",
        "else table.digest.exists()",
        "remove blob that has a mark",
    ),
    _change(
        "CountBlob: something else needs it too, where its mark stays",
        "count_blob",
        "condition &= (table.links > -change.links) | (table.kept > -change.kept)",
        "pass",
        "count the last of a blob",
    ),
    _change(
        "Charge: that much is free",
        "charge",
        "table.free >= change.bytes if",
        "table.account.exists() if",
        "charge more than is free",
    ),
    _change(
        "Charge: it is counted",
        "charge",
        "table.free >= change.bytes if change.bytes > 0 else table.account.exists()",
        "None",
        "charge what nobody counts",
    ),
    _change(
        "Charge: it is counted, to give back",
        "charge",
        "else table.account.exists()",
        "else None",
        "give back what nobody counts",
    ),
    _change(
        "MoveLevel: it is at the first",
        "move_level",
        ", table.level == change.before",
        "",
        "move level from another",
    ),
    _change("PutTrash: none is there", "put_trash", f", {_NONE}", "", "put trash again"),
    _change("MoveTrash: the state", "_lies", _STANDS, "table.held == held", "move trash of another state"),
    _change(
        "MoveTrash: what is held", "_lies", _STANDS, "table.state == state", "move trash of another mark"
    ),
    _change(
        "RemoveTrash: the state", "_lies", _STANDS, "table.held == held", "remove trash of another state"
    ),
    _change(
        "RemoveTrash: what is held", "_lies", _STANDS, "table.state == state", "remove trash of another mark"
    ),
    _change("MoveTrash: due then", "_lies", "if change.due is not None", "if False", "move trash due later"),
    _change(
        "MoveTrash: it gives way",
        "_lies",
        "condition & table.giving.exists() if change.gives_way else condition",
        "condition",
        "move trash that is counted",
    ),
    _change(
        "RemoveTrash: due then", "_lies", "if change.due is not None", "if False", "remove trash due later"
    ),
    _change(
        "RemoveTrash: it gives way",
        "_lies",
        "condition & table.giving.exists() if change.gives_way else condition",
        "condition",
        "remove trash that is counted",
    ),
    _change(
        "EndUpload: the writer",
        "end_upload",
        "table.writer == change.writer",
        "table.session.exists()",
        _seen(test_transactions.test_end_upload_holds_for_the_writer_alone),
    ),
    _change(
        "EndUpload: the session",
        "end_upload",
        ", table.writer == change.writer",
        "",
        _seen(test_transactions.test_end_upload_holds_for_the_writer_alone),
    ),
    _change(
        "ExpireSession: it expires then",
        "expire_session",
        "(table.expires == change.expires) & is_left",
        "is_left",
        _seen(test_transactions.test_session_expires_as_it_was_seen_and_while_nobody_writes),
    ),
    _change(
        "ExpireSession: nobody writes to it",
        "expire_session",
        " & is_left",
        "",
        _seen(test_transactions.test_session_expires_as_it_was_seen_and_while_nobody_writes),
    ),
    _change(
        "EndDirect: the writer",
        "end_direct",
        ", table.writer == change.writer",
        "",
        _seen(test_transactions.test_direct_upload_ends_only_for_the_verifier_that_has_it),
    ),
)
SESSIONS: Final = (
    _session(
        "session create: none is there",
        "create",
        "condition=self._table.session.does_not_exist()",
        "",
        _with_upload(test_upload_store.test_session_is_not_created_twice),
    ),
    _session(
        "session acquire: nobody has it",
        "acquire",
        "where & free",
        "where",
        _with_upload(test_upload_store.test_writer_gets_the_row_and_keeps_others_out),
    ),
    _session(
        "session acquire: it is there, or verified",
        "acquire",
        "where & free",
        "free",
        _seen(test_direct_uploads.test_only_what_is_being_verified_can_be_acquired),
    ),
    _session(
        "session save: the writer",
        "save",
        "condition=self._table.writer == writer",
        "",
        _with_upload(test_upload_store.test_session_is_free_once_the_lease_has_run_out),
    ),
    _session(
        "session remove: where",
        "remove",
        "condition=where, ",
        "",
        _seen(test_direct_uploads.test_published_session_stays_and_cannot_be_removed),
    ),
    StoreMutation(
        "upload acquire: it is there",
        upload_store,
        f"{_UPLOADS}.acquire",
        "self._table.session.exists()",
        "None",
        _seen(test_upload_store.test_unknown_session_is_none_for_every_verb),
    ),
    StoreMutation(
        "upload renew: the writer",
        upload_store,
        f"{_UPLOADS}.renew",
        "table.writer == writer",
        "table.session.exists()",
        _with_upload(test_upload_store.test_renewed_lease_keeps_others_out_for_longer),
    ),
    StoreMutation(
        "upload remove: it is there",
        upload_store,
        f"{_UPLOADS}.remove",
        "self._table.session.exists()",
        "None",
        _seen(test_upload_store.test_unknown_session_is_none_for_every_verb),
    ),
    StoreMutation(
        "direct verifying: it is open",
        direct_store,
        f"{_DIRECT}.verifying",
        "table.state == OPEN",
        "table.session.exists()",
        _seen(test_direct_uploads.test_only_what_is_being_verified_can_be_acquired),
    ),
    StoreMutation(
        "direct acquire: it is verified",
        direct_store,
        f"{_DIRECT}.acquire",
        "self._table.state == VERIFYING",
        "self._table.session.exists()",
        _seen(test_direct_uploads.test_only_what_is_being_verified_can_be_acquired),
    ),
    StoreMutation(
        "direct remove: it is there",
        direct_store,
        f"{_DIRECT}.remove",
        "self._table.session.exists() & ",
        "",
        _seen(test_direct_uploads.test_only_what_is_being_verified_can_be_acquired),
    ),
    StoreMutation(
        "direct remove: it is not published",
        direct_store,
        f"{_DIRECT}.remove",
        " & (self._table.state != PUBLISHED)",
        "",
        _seen(test_direct_uploads.test_published_session_stays_and_cannot_be_removed),
    ),
)
OTHERS: Final = (
    StoreMutation(
        "note_pull: it is live",
        manifest_store,
        "DynamoManifestStore.note_pull",
        "(table.state == LIVE) & same",
        "same",
        _noted,
    ),
    StoreMutation(
        "note_pull: last pulled then",
        manifest_store,
        "DynamoManifestStore.note_pull",
        "table.pulled == before if before",
        "table.digest.exists() if before",
        _noted,
    ),
    StoreMutation(
        "note_pull: never pulled",
        manifest_store,
        "DynamoManifestStore.note_pull",
        "else table.pulled.does_not_exist()",
        "else table.digest.exists()",
        _noted,
    ),
    StoreMutation(
        "policy put: none is there",
        policy_store,
        "DynamoPolicyStore.put",
        "table.scope.does_not_exist() if",
        "None if",
        _with_policy(test_policy_store.test_a_policy_is_replaced_and_removed_from_the_version_seen_alone),
    ),
    StoreMutation(
        "policy put: the version before",
        policy_store,
        "DynamoPolicyStore.put",
        "else table.version == policy.version - 1",
        "else None",
        _with_policy(test_policy_store.test_a_policy_is_replaced_and_removed_from_the_version_seen_alone),
    ),
    StoreMutation(
        "policy remove: the version",
        policy_store,
        "DynamoPolicyStore.remove",
        "condition=self._table.version == policy.version",
        "",
        _with_policy(test_policy_store.test_a_policy_is_replaced_and_removed_from_the_version_seen_alone),
    ),
    StoreMutation(
        "event move: it is in the outbox",
        event_store,
        "DynamoOutbox.move",
        "Delete(table(event.lane, event.order), table.order.exists())",
        "Delete(table(event.lane, event.order))",
        _seen(test_events.test_an_event_is_moved_only_once),
    ),
    StoreMutation(
        "queue take: it is due",
        event_store,
        "DynamoQueues.take",
        "(table.due <= now) & ",
        "",
        _seen(test_events.test_a_queue_that_fails_waits_and_remembers_how_often),
    ),
    StoreMutation(
        "queue take: nobody has it",
        event_store,
        "DynamoQueues.take",
        " & (table.lease.does_not_exist() | (table.lease < now))",
        "",
        _seen(test_events.test_a_lease_ends_and_who_had_it_changes_nothing_then),
    ),
    StoreMutation(
        "queue retry: it waits",
        event_store,
        "DynamoQueues.retry",
        "Put(row, deliveries.order.exists())",
        "Put(row)",
        _seen(test_events.test_what_was_settled_is_not_settled_again),
    ),
    StoreMutation(
        "queue end: nothing waits",
        event_store,
        "DynamoQueues.end",
        "(table.pending == 0) & ",
        "",
        _seen(test_events.test_a_queue_with_something_in_it_does_not_end),
    ),
    StoreMutation(
        "queue end: the writer",
        event_store,
        "DynamoQueues.end",
        " & (table.writer == writer)",
        "",
        _seen(test_events.test_a_lease_ends_and_who_had_it_changes_nothing_then),
    ),
    StoreMutation(
        "queue settle: it waits",
        event_store,
        "DynamoQueues._settle",
        ", table.order.exists())",
        ")",
        _seen(test_events.test_what_was_settled_is_not_settled_again),
    ),
    StoreMutation(
        "queue change: the writer",
        event_store,
        "DynamoQueues._owned",
        ", table.writer == writer)",
        ")",
        _seen(test_events.test_a_lease_ends_and_who_had_it_changes_nothing_then),
    ),
    StoreMutation(
        "queue revive: it is dead",
        event_store,
        "DynamoQueues.revive",
        ", table.order.exists())",
        ")",
        _seen(test_events.test_the_dead_come_back_only_once),
    ),
    StoreMutation(
        "webhook put: none is there",
        webhook_store,
        "DynamoWebhooks.put",
        "table.name.does_not_exist() if",
        "None if",
        _seen(test_events.test_a_webhook_changes_only_as_it_was_read),
    ),
    StoreMutation(
        "webhook put: the version before",
        webhook_store,
        "DynamoWebhooks.put",
        "else table.version == webhook.version - 1",
        "else None",
        _seen(test_events.test_a_webhook_changes_only_as_it_was_read),
    ),
    StoreMutation(
        "webhook remove: the version",
        webhook_store,
        "DynamoWebhooks.remove",
        "condition=table.version == webhook.version",
        "",
        _seen(test_events.test_a_webhook_changes_only_as_it_was_read),
    ),
    StoreMutation(
        "usage open: it is not counted",
        usage_store,
        f"{_USAGE}.open",
        "condition=table.account.does_not_exist()",
        "",
        _seen(test_usage_store.test_what_is_counted_is_not_counted_anew),
    ),
    StoreMutation(
        "usage repair: the turn",
        usage_store,
        f"{_USAGE}.repair",
        "(table.turn == seen.turn) if seen.turn",
        "table.account.exists() if seen.turn",
        _seen(test_usage_store.test_a_repair_holds_while_nothing_was_charged_and_no_limit_moved),
    ),
    StoreMutation(
        "usage repair: no turn",
        usage_store,
        f"{_USAGE}.repair",
        "else (table.turn.does_not_exist() | (table.turn == 0))",
        "else table.account.exists()",
        _seen(test_usage_store.test_a_repair_holds_while_nothing_was_charged_and_no_limit_moved),
    ),
    StoreMutation(
        "usage repair: what is free",
        usage_store,
        f"{_USAGE}.repair",
        "(table.bytes == seen.bytes) & (table.free == seen.free)",
        "(table.bytes == seen.bytes)",
        _seen(test_usage_store.test_a_repair_holds_while_nothing_was_charged_and_no_limit_moved),
    ),
    StoreMutation(
        "usage repair: the bytes",
        usage_store,
        f"{_USAGE}.repair",
        "(table.bytes == seen.bytes) & (table.free == seen.free)",
        "(table.free == seen.free)",
        because="the bytes move without a turn only by another repair, which moves what is free by as much "
        "unless the limit moved too: both count the same blobs then, and the later limit is the limit",
    ),
    StoreMutation(
        "tenancy put: none is there",
        tenancy_store,
        "_put",
        "table.version.does_not_exist() if",
        "None if",
        _with_name(test_tenancy_store.test_an_account_a_project_and_a_registry_have_one_first_version),
    ),
    StoreMutation(
        "tenancy put: the version before",
        tenancy_store,
        "_put",
        "else table.version == version - 1",
        "else None",
        _with_name(test_tenancy_store.test_an_account_a_project_and_a_registry_have_one_first_version),
    ),
    StoreMutation(
        "tenancy put_limit: the version before",
        tenancy_store,
        f"{_TENANCY}.put_limit",
        ", accounts.version == account.version - 1",
        "",
        _with_name(test_tenancy_store.test_a_limit_moves_from_the_version_that_was_seen_with_what_is_free),
    ),
    StoreMutation(
        "tenancy put_limit: it is counted",
        tenancy_store,
        f"{_TENANCY}.put_limit",
        ", usage.account.exists()",
        "",
        _with_name(test_tenancy_store.test_a_limit_moves_from_the_version_that_was_seen_with_what_is_free),
    ),
    StoreMutation(
        "tenancy remove_account: the version",
        tenancy_store,
        f"{_TENANCY}.remove_account",
        "table.version == account.version",
        "None",
        _with_name(test_tenancy_store.test_what_changed_since_is_not_taken_away),
    ),
    StoreMutation(
        "tenancy withdraw_account: the version",
        tenancy_store,
        f"{_TENANCY}.withdraw_account",
        "self._tables.accounts.version == account.version",
        "None",
        _with_name(test_tenancy_store.test_what_changed_since_is_not_taken_away),
    ),
    StoreMutation(
        "tenancy remove_project: the version",
        tenancy_store,
        f"{_TENANCY}.remove_project",
        "table.version == project.version",
        "None",
        _with_name(test_tenancy_store.test_what_changed_since_is_not_taken_away),
    ),
    StoreMutation(
        "tenancy take_registry: it is deleted",
        tenancy_store,
        f"{_TENANCY}.take_registry",
        "(table.state == DELETED) & free",
        "free",
        _with_name(test_tenancy_store.test_a_name_is_taken_once_it_is_deleted_and_free),
    ),
    StoreMutation(
        "tenancy take_registry: nobody has it reserved",
        tenancy_store,
        f"{_TENANCY}.take_registry",
        " & free",
        "",
        _with_name(test_tenancy_store.test_a_name_is_taken_once_it_is_deleted_and_free),
    ),
    StoreMutation(
        "credential put: none is there",
        credential_store,
        f"{_CREDENTIALS}.put",
        "else table.version.does_not_exist()",
        "else None",
        _with_name(test_credential_store.test_each_version_follows_the_one_before),
    ),
    StoreMutation(
        "credential put: the version before",
        credential_store,
        f"{_CREDENTIALS}.put",
        "table.version == before if before",
        "None if before",
        _with_name(test_credential_store.test_each_version_follows_the_one_before),
    ),
    StoreMutation(
        "credential remove: the version",
        credential_store,
        f"{_CREDENTIALS}.remove",
        ", condition=table.version == credential.version",
        "",
        _with_name(test_credential_store.test_each_version_follows_the_one_before),
    ),
    StoreMutation(
        "credential: its witness",
        credential_store,
        f"{_CREDENTIALS}._require",
        "table.version == witness.version",
        "table.id.exists()",
        _with_name(test_credential_store.test_a_write_that_needs_a_witness_holds_while_that_one_is_unchanged),
    ),
    StoreMutation(
        "credential used: it is there",
        credential_store,
        f"{_CREDENTIALS}.used",
        ", condition=table.id.exists()",
        "",
        lambda on: test_credential_store.test_use_of_a_credential_deleted_meanwhile_does_not_bring_it_back(
            on.deployment, on.name, "203.0.113.9"
        ),
    ),
    StoreMutation(
        "failures: none is counted",
        credential_store,
        f"{_CREDENTIALS}.failed",
        ", condition=is_over",
        "",
        _with_name(test_credential_store.test_two_who_both_saw_no_failure_are_both_counted),
    ),
    StoreMutation(
        "idempotency begin: nobody has the key",
        idempotency_store,
        "DynamoAnswerStore.begin",
        "condition=table.key.does_not_exist() | (table.expires < now)",
        "",
        _seen(test_idempotency_store.test_a_key_is_had_by_one_request_until_it_expires),
    ),
    StoreMutation(
        "repair: none is there",
        row_store,
        "_condition",
        "attribute_not_exists(#h)",
        "attribute_exists(#h) OR attribute_not_exists(#h)",
        _with_registry(test_fsck.test_a_write_holds_while_the_row_is_as_it_was_found),
    ),
    StoreMutation(
        "repair: it is there",
        row_store,
        "_condition",
        '["attribute_exists(#h)"]',
        '["(attribute_exists(#h) OR attribute_not_exists(#h))"]',
        _with_registry(test_fsck.test_a_write_holds_while_the_row_is_as_it_was_found),
    ),
    StoreMutation(
        "repair: what it has",
        row_store,
        "_condition",
        'f"#e{number} = :e{number}"',
        'f"(#e{number} = :e{number} OR attribute_exists(#e{number}))"',
        _with_registry(test_fsck.test_a_write_holds_while_the_row_is_as_it_was_found),
    ),
    StoreMutation(
        "repair: what it has not",
        row_store,
        "_condition",
        "attribute_type(#e{number}, :null))",
        "attribute_exists(#e{number}) OR attribute_type(#e{number}, :null))",
        _with_registry(test_fsck.test_a_write_holds_while_the_row_is_as_it_was_found),
    ),
)
MUTATIONS: Final = (*TRANSACTIONS, *SESSIONS, *OTHERS)
# These hand on what another function made.
HANDED_ON: Final = frozenset(
    {
        "transactions._try",
        "session_rows.change",
        "tenancy_store._save",
        "tenancy_store._remove",
        "transactions.move_trash",
        "transactions.remove_trash",
        "row_store._update",
    }
)
