"""The kill script in short: `make kill-test` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.kill import MAY_LOSE, KillTest
from tests.support.process import StartError

# DynamoDB Local takes half a minute a try.
TRIES = {"embedded": 1, "real": 1}
LONGEST = 1.0


@pytest.mark.slow
@pytest.mark.parametrize("engines", sorted(MAY_LOSE))
def test_kill_of_everything_during_pushes_leaves_every_tag_whole(tmp_path: Path, engines: str) -> None:
    test = KillTest(tmp_path, engines, seed=20, longest=LONGEST, may_lose=MAY_LOSE[engines])
    try:
        done = list(test.run(TRIES[engines]))
    except StartError as error:
        if engines == "real" and not test.history.writes:
            pytest.skip(f"the real engines do not start here: {error}")
        raise
    assert [one.violations for one in done] == [[]] * TRIES[engines]
