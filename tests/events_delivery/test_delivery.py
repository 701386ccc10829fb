"""Every change is told in the end; `python -m tests.events_delivery.delivery` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.events_delivery.delivery import delivering


@pytest.mark.slow
def test_a_stream_function_and_a_receiver_killed_at_random_lose_and_forge_nothing(tmp_path: Path) -> None:
    with delivering(tmp_path, seed=6) as run:
        findings = run.run(150, 4)
    assert findings.violations == []
    assert findings.changes == 150
    assert findings.kills > 1
    assert findings.forged
