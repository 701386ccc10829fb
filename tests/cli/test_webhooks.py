"""`ccr webhooks`, from one that is made to one that is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.cli.terminal import Terminal

# Never connected to: an address inside.
INSIDE = "https://10.0.0.1/ccr"


@pytest.fixture
def name(terminal: Terminal) -> Iterator[str]:
    name = f"hook-{os.urandom(4).hex()}"
    yield name
    terminal.try_ccr("webhooks", "delete", name)


def test_a_webhook_is_made_changed_tried_and_rotated(terminal: Terminal, name: str) -> None:
    made = terminal.ask("webhooks", "create", name, INSIDE, "--event", "ccr.tag.*", "--repository", "prod/*")
    assert made["secret"].startswith("whsec_")
    assert (made["events"], made["repositories"]) == (["ccr.tag.*"], ["prod/*"])
    assert name in [one["name"] for one in terminal.ask("webhooks", "list")]
    assert "secret" not in terminal.ask("webhooks", "describe", name)
    changed = terminal.ask("webhooks", "change", name, "--format", "harbor", "--disable")
    assert (changed["format"], changed["disabled"]) == ("harbor", True)
    rotated = terminal.ask("webhooks", "rotate", name, "--overlap", "1h")
    assert rotated["secret"] != made["secret"]
    assert len(rotated["secrets"]) == 2
    tried = terminal.try_ccr("webhooks", "test", name)
    assert tried.exit_code == 1
    assert "not a public address" in tried.err
    assert terminal.ask("webhooks", "deliveries", name) == []
    assert terminal.ask("webhooks", "dead", name) == []
    assert terminal.ask("webhooks", "replay", name) == {"ids": []}


def test_a_secret_is_shown_to_a_person_with_what_to_do(terminal: Terminal, name: str) -> None:
    said = terminal.ccr("webhooks", "create", name, INSIDE)
    assert said.exit_code == 0
    assert "whsec_" in said.out
    assert "shown this once" in said.out


def test_what_is_no_webhook_is_refused_in_words(terminal: Terminal, name: str) -> None:
    said = terminal.try_ccr("webhooks", "create", name, "http://receiver.example/")
    assert said.exit_code == 7
    assert "https://" in said.err
    assert terminal.try_ccr("webhooks", "change", name).exit_code == 2
