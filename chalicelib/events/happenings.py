"""Which entries of the audit trail are events, and what of them is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chalicelib.registry.changes import AuditAccount, WriteAudit
from chalicelib.registry.eviction import ACTION as PURGED
from chalicelib.registry.lifecycle import is_lifecycle_reason
from chalicelib.spec.cloud_events import Event, EventType

_DELETED: Final = {
    "delete": (EventType.MANIFEST_DELETED, EventType.MANIFEST_EXPIRED),
    "untag": (EventType.TAG_DELETED, EventType.TAG_EXPIRED),
    PURGED: (EventType.MANIFEST_PURGED, EventType.MANIFEST_PURGED),
}
_PUSHED: Final = frozenset({"push", "tag", "restore", "rollback"})
_OF_ACCOUNTS: Final = {
    "quota-threshold": EventType.QUOTA_REACHED,
    "soft-limit": EventType.SOFT_LIMIT_EXCEEDED,
}


def event_of(change: WriteAudit | AuditAccount, order: str) -> Event | None:
    """None for what is nobody else's business."""
    if isinstance(change, AuditAccount):
        return _of_account(change, order)
    found = _of_repository(change)
    if found is None:
        return None
    type_, said = found
    name = change.repository.name
    data = {
        "account": change.repository.account,
        "registry": change.repository.registry,
        "repository": name,
        "actor": change.actor.id,
        **said,
    }
    separator = "@" if ":" in change.reference else ":"
    subject = f"{name}{separator}{change.reference}"
    return Event(type_, change.repository.account, order, subject, name, data)


def _of_repository(change: WriteAudit) -> tuple[EventType, dict[str, Any]] | None:
    detail = change.detail
    if change.action == "delete-blob":
        return EventType.BLOB_DELETED, {"digest": change.reference}
    if change.action in _DELETED:
        reason = str(detail.get("reason", ""))
        digest = detail.get("digest", change.reference)
        said = {"digest": digest, "tags": list(detail.get("tags", ())), "reason": reason}
        return _DELETED[change.action][is_lifecycle_reason(reason)], said
    if change.action not in _PUSHED:
        return None
    facts = {name: value for name, value in change.facts.items() if name != "is_new"}
    moved = detail.get("tags", {}).items()
    return _pushed(change.facts), {
        "digest": change.reference,
        "action": change.action,
        "tags": [{"tag": tag, "previous": previous} for tag, previous in moved],
        **facts,
    }


def _pushed(facts: Mapping[str, Any]) -> EventType:
    if facts.get("source"):
        return EventType.MANIFEST_PROMOTED
    return EventType.MANIFEST_PUSHED if facts.get("is_new", True) else EventType.TAG_MOVED


def _of_account(change: AuditAccount, order: str) -> Event | None:
    type_ = _OF_ACCOUNTS.get(change.action)
    if type_ is None:
        return None
    data = {"account": change.account, "target": change.target, **change.detail}
    return Event(type_, change.account, order, change.target, data=data)
