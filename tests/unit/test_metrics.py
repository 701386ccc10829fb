"""Metrics as CloudWatch reads them from a log."""

from __future__ import annotations

import json

from chalicelib.aws.metrics import metrics


def test_each_value_is_a_metric_with_its_unit() -> None:
    document = json.loads(metrics(1.5, {"bytes": 7, "blobs": 2}))
    told = document["_aws"]
    assert told["Timestamp"] == 1500
    assert told["CloudWatchMetrics"] == [
        {
            "Namespace": "CCR/Collection",
            "Dimensions": [[]],
            "Metrics": [{"Name": "bytes", "Unit": "Bytes"}, {"Name": "blobs", "Unit": "Count"}],
        }
    ]
    assert (document["bytes"], document["blobs"]) == (7, 2)
