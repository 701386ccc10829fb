"""Metrics as lines of the log, which CloudWatch reads.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

NAMESPACE: Final = "CCR/Collection"


def metrics(at: float, values: Mapping[str, int]) -> str:
    """`at` is in epoch seconds; each value is a metric under its name, `bytes` in bytes."""
    named = [{"Name": name, "Unit": "Bytes" if name == "bytes" else "Count"} for name in values]
    directive = {"Namespace": NAMESPACE, "Dimensions": [[]], "Metrics": named}
    told = {"Timestamp": int(at * 1000), "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": told, **values})
