"""What a request, and what a run of scheduled work, comes to in metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chalicelib.observation import catalogue as of
from chalicelib.observation.catalogue import Metric
from chalicelib.observation.seen import Seen

Values = dict[Metric, float]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of scheduled work; `told` is for its line in the log alone."""

    work: str
    values: Values
    told: Mapping[str, Any] = field(default_factory=dict)


_FREED: Final = {
    "bytes": of.BYTES_FREED,
    "blobs": of.BLOBS_FREED,
    "links": of.LINKS_FREED,
    "manifests": of.MANIFESTS_FREED,
    "trash": of.TRASH_FREED,
    "uploads": of.UPLOADS_EXPIRED,
    "objects": of.OBJECTS_FREED,
}


def of_request(seen: Seen) -> Values:
    """What is 0 is left out: a metric that is not told costs nothing."""
    values: Values = {of.REQUESTS: 1, of.LATENCY: round(seen.seconds * 1000, 3)}
    optional = {
        of.CLIENT_ERRORS: 400 <= seen.status < 500,
        of.SERVER_ERRORS: seen.status >= 500,
        of.BYTES_REDIRECTED: seen.bytes_redirected,
        of.BYTES_SENT: seen.bytes_sent,
        of.UPLOADS_OPENED: seen.uploads_opened,
        of.UPLOADS_CLOSED: seen.uploads_closed,
    }
    return values | {metric: int(value) for metric, value in optional.items() if value}


def of_collection(freed: Mapping[str, int], failures: int, uploads_open: int) -> Values:
    """`freed` has the fields of `registry.collection.Freed`."""
    values: Values = {metric: freed[name] for name, metric in _FREED.items()}
    return values | {of.COLLECTION_FAILURES: failures, of.UPLOADS_OPEN: uploads_open}


def of_sweep(buried: int, aborted: int, missing: int) -> Values:
    return {of.OBJECTS_BURIED: buried, of.MULTIPARTS_ABORTED: aborted, of.OBJECTS_MISSING: missing}


def of_lifecycle(gone: int) -> Values:
    return {of.MANIFESTS_EXPIRED: gone}


def of_deliveries(delivered: int, failed: int, given_up: int) -> Values:
    """What is 0 is left out: this is told every minute."""
    counts = {of.DELIVERED: delivered, of.DELIVERIES_FAILED: failed, of.EVENTS_GIVEN_UP: given_up}
    return {metric: count for metric, count in counts.items() if count}


def of_reconciliation(accounts: Iterable[tuple[int, int, int]]) -> Values:
    """Each account's bytes used, limit and drift."""
    found = list(accounts)
    shares = [100 * used / limit for used, limit, _ in found if limit > 0]
    return {
        of.QUOTA_USED: sum(used for used, _, _ in found),
        of.QUOTA_LIMIT: sum(limit for _, limit, _ in found),
        of.QUOTA_HIGHEST: round(max(shares, default=0), 2),
        of.QUOTA_DRIFT: sum(abs(drift) for _, _, drift in found),
        of.ACCOUNTS: len(found),
    }
