"""Every metric that there is: its names in CloudWatch and Prometheus, its unit, and what it says.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html
https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from typing import Final, NamedTuple

NAMESPACE: Final = "CCR"
COUNT: Final = "Count"
BYTES: Final = "Bytes"
MILLISECONDS: Final = "Milliseconds"
PERCENT: Final = "Percent"

COUNTER: Final = "counter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"


class Metric(NamedTuple):
    """`name` is CloudWatch's, `exposed` Prometheus's, which has no milliseconds and no percent:
    `scale` makes its value of ours.
    """

    name: str
    unit: str
    exposed: str
    kind: str
    meaning: str
    scale: float = 1.0


REQUESTS: Final = Metric("Requests", COUNT, "ccr_requests_total", COUNTER, "requests that were answered")
LATENCY: Final = Metric(
    "Latency",
    MILLISECONDS,
    "ccr_request_duration_seconds",
    HISTOGRAM,
    "how long an answer took, with its body where that streams through the process",
    0.001,
)
CLIENT_ERRORS: Final = Metric(
    "ClientErrors",
    COUNT,
    "ccr_client_errors_total",
    COUNTER,
    "answers of 400 to 499, the challenge among them",
)
SERVER_ERRORS: Final = Metric(
    "ServerErrors", COUNT, "ccr_server_errors_total", COUNTER, "answers of 500 and above"
)
BYTES_REDIRECTED: Final = Metric(
    "BytesRedirected",
    BYTES,
    "ccr_redirected_bytes_total",
    COUNTER,
    "sizes of the blobs that GET was sent to S3 for; a client may ask S3 for a part only",
)
BYTES_SENT: Final = Metric(
    "BytesSent", BYTES, "ccr_sent_bytes_total", COUNTER, "bytes of bodies that a process sent itself"
)
UPLOADS_OPENED: Final = Metric(
    "UploadsOpened", COUNT, "ccr_uploads_opened_total", COUNTER, "upload sessions begun"
)
UPLOADS_CLOSED: Final = Metric(
    "UploadsClosed", COUNT, "ccr_uploads_closed_total", COUNTER, "upload sessions that became a blob"
)
UPLOADS_OPEN: Final = Metric(
    "UploadsOpen", COUNT, "ccr_uploads_open", GAUGE, "upload sessions that are open, as the collector saw"
)
BYTES_FREED: Final = Metric(
    "BytesFreed", BYTES, "ccr_freed_bytes_total", COUNTER, "bytes that the collector gave back"
)
BLOBS_FREED: Final = Metric("BlobsFreed", COUNT, "ccr_freed_blobs_total", COUNTER, "blobs collected")
LINKS_FREED: Final = Metric(
    "LinksFreed", COUNT, "ccr_freed_links_total", COUNTER, "blobs that left a repository"
)
MANIFESTS_FREED: Final = Metric(
    "ManifestsFreed", COUNT, "ccr_freed_manifests_total", COUNTER, "rows of unfinished manifests collected"
)
TRASH_FREED: Final = Metric(
    "TrashFreed", COUNT, "ccr_freed_trash_total", COUNTER, "deleted manifests that can be restored no more"
)
UPLOADS_EXPIRED: Final = Metric(
    "UploadsExpired", COUNT, "ccr_expired_uploads_total", COUNTER, "upload sessions ended after their time"
)
OBJECTS_FREED: Final = Metric(
    "ObjectsFreed", COUNT, "ccr_freed_objects_total", COUNTER, "objects deleted from S3"
)
COLLECTION_FAILURES: Final = Metric(
    "CollectionFailures", COUNT, "ccr_collection_failures_total", COUNTER, "what a collection failed at"
)
OBJECTS_BURIED: Final = Metric(
    "ObjectsBuried", COUNT, "ccr_buried_objects_total", COUNTER, "objects that the sweep found no row for"
)
MULTIPARTS_ABORTED: Final = Metric(
    "MultipartsAborted", COUNT, "ccr_aborted_multiparts_total", COUNTER, "multipart uploads the sweep aborted"
)
OBJECTS_MISSING: Final = Metric(
    "ObjectsMissing", COUNT, "ccr_missing_objects", GAUGE, "objects that a row names and S3 has not"
)
MANIFESTS_EXPIRED: Final = Metric(
    "ManifestsExpired",
    COUNT,
    "ccr_expired_manifests_total",
    COUNTER,
    "manifests and tags that policies let go",
)
QUOTA_USED: Final = Metric(
    "QuotaUsed", BYTES, "ccr_quota_used_bytes", GAUGE, "bytes charged to all accounts that were reconciled"
)
QUOTA_LIMIT: Final = Metric(
    "QuotaLimit", BYTES, "ccr_quota_limit_bytes", GAUGE, "what those accounts may store"
)
QUOTA_HIGHEST: Final = Metric(
    "QuotaHighest",
    PERCENT,
    "ccr_quota_highest_ratio",
    GAUGE,
    "how full the fullest of them is",
    0.01,
)
QUOTA_DRIFT: Final = Metric(
    "QuotaDrift", BYTES, "ccr_quota_drift_bytes", GAUGE, "bytes by which counts were wrong, before the repair"
)
ACCOUNTS: Final = Metric(
    "AccountsReconciled", COUNT, "ccr_reconciled_accounts", GAUGE, "accounts that the last round came to"
)
DELIVERED: Final = Metric(
    "EventsDelivered", COUNT, "ccr_events_delivered_total", COUNTER, "events that a webhook or the bus took"
)
DELIVERIES_FAILED: Final = Metric(
    "DeliveriesFailed",
    COUNT,
    "ccr_failed_deliveries_total",
    COUNTER,
    "attempts to deliver an event that failed",
)
EVENTS_GIVEN_UP: Final = Metric(
    "EventsGivenUp",
    COUNT,
    "ccr_given_up_events_total",
    COUNTER,
    "events that a webhook or the bus never took, after all attempts",
)

# Of a request, then of scheduled work.
OF_REQUESTS: Final = (
    *(REQUESTS, LATENCY, CLIENT_ERRORS, SERVER_ERRORS, BYTES_REDIRECTED, BYTES_SENT),
    *(UPLOADS_OPENED, UPLOADS_CLOSED),
)
OF_RUNS: Final = (
    *(UPLOADS_OPEN, BYTES_FREED, BLOBS_FREED, LINKS_FREED, MANIFESTS_FREED, TRASH_FREED, UPLOADS_EXPIRED),
    *(OBJECTS_FREED, COLLECTION_FAILURES, OBJECTS_BURIED, MULTIPARTS_ABORTED, OBJECTS_MISSING),
    *(MANIFESTS_EXPIRED, QUOTA_USED, QUOTA_LIMIT, QUOTA_HIGHEST, QUOTA_DRIFT, ACCOUNTS),
    *(DELIVERED, DELIVERIES_FAILED, EVENTS_GIVEN_UP),
)
METRICS: Final = (*OF_REQUESTS, *OF_RUNS)
