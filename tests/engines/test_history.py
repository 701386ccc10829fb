"""The kill script's own reckoning: what may be found after a kill, and what counts as lost."""

from __future__ import annotations

import pytest

from tests.engines.history import ALWAYS, History, Subject, Write, allowed, lost

TAG = Subject("kill/app", "tag", "v1")


def test_everything_acknowledged_in_time_must_be_there() -> None:
    writes = [Write("a", 1.0), Write("b", 2.0)]
    assert allowed(writes, before=3.0) == {"b"}


def test_later_writes_may_be_there_or_not() -> None:
    writes = [Write("a", 1.0), Write("b", 2.0), Write(None, 3.0)]
    assert allowed(writes, before=1.5) == {"a", "b", None}


def test_write_without_an_acknowledgement_may_be_there_or_not() -> None:
    assert allowed([Write("a", 1.0), Write("b")], before=9.0) == {"a", "b"}
    assert allowed([Write("a")], before=9.0) == {None, "a"}


def test_deletion_acknowledged_in_time_must_be_there() -> None:
    assert allowed([Write("a", 1.0), Write(None, 2.0)], before=9.0) == {None}


def test_lost_are_the_acknowledged_writes_after_what_was_found() -> None:
    writes = [Write("a", 1.0), Write("b", 2.0), Write("c", 3.0), Write("d")]
    assert lost(writes, "b") == writes[2:3]
    assert lost(writes, "c") == lost(writes, "d") == []
    assert lost(writes, None) == writes[:3]


def test_what_was_found_is_what_must_stay() -> None:
    history = History()
    with history.writing({TAG: "a"}):
        pass
    history.settle({TAG: None})
    assert history.acknowledged() == 0
    assert allowed(history.writes[TAG], before=ALWAYS + 1) == {None}


def test_write_that_raises_is_not_acknowledged() -> None:
    history = History()
    with pytest.raises(ConnectionError), history.writing({TAG: "a"}):
        raise ConnectionError
    assert history.writes[TAG] == [Write("a")]
