"""The soak in short: `python -m tests.engines.collection_soak` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.collection_soak import soaking


@pytest.mark.slow
def test_collectors_pushers_and_deleters_killed_at_random_lose_nothing(tmp_path: Path) -> None:
    with soaking("real", tmp_path, seed=20) as soak:
        findings = soak.run(12)
    assert findings.violations == []
    assert findings.kills > 5
    assert findings.freed.blobs
    assert findings.tags
