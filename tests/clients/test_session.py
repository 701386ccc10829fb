"""The whole session from nothing, as `make session` prints it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.clients.commands import Unavailable
from tests.clients.session import new_session

pytestmark = [pytest.mark.clients, pytest.mark.slow]


def test_a_session_from_nothing_to_a_rotation_during_a_push_goes_as_it_says() -> None:
    said: list[str] = []
    # A short name: docker's socket is in it.
    with tempfile.TemporaryDirectory(prefix="ccr-", ignore_cleanup_errors=True) as folder:
        try:
            with new_session(Path(folder), said.append) as session:
                session.run()
        except Unavailable as reason:
            pytest.skip(str(reason))
    assert [line for line in said if "the push still runs" in line] == [
        "  both secrets work, and the push still runs"
    ] * 2
    assert said[-1].startswith("ccr audit: ")
