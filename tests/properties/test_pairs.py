"""No pair of operations breaks anything wherever one overtakes the other; `make soak` tries them all."""

from __future__ import annotations

from tests.properties.documents import BIG, BIG_OTHER, SMALL
from tests.properties.effort import LONG
from tests.properties.pairs import STATES, every_pair


def test_operations_that_overtake_each_other_leave_everything_as_it_must_be() -> None:
    states = STATES if LONG else ("pushed", "loose")
    documents = (SMALL, BIG, BIG_OTHER) if LONG else (SMALL,)
    assert len(list(every_pair(documents, states))) > 300
