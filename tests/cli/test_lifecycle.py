"""`ccr lifecycle`: a policy is tried, set, shown, run and taken away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import Terminal
from tests.support.client import Client
from tests.support.content import image

NEWEST = {"name": "newest", "action": "keep-newest", "priority": 1, "tags": ["v*"], "count": 1}


@pytest.fixture
def policy(tmp_path: Path) -> str:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({"rules": [NEWEST]}))
    return str(file)


@pytest.fixture
def app(client: Client, dev: str) -> str:
    """A repository with two tags, v1 and v2."""
    own = client.about(f"{dev}/app")
    for tag in ("v1", "v2"):
        own.push(image(tag.encode()), tag)
    return f"{dev}/app"


def tags(terminal: Terminal, app: str) -> list[str]:
    return [one["tag"] for one in terminal.ask("tag", "list", app)]


def test_a_policy_is_tried_set_shown_run_and_removed(terminal: Terminal, app: str, policy: str) -> None:
    tried = terminal.ask("lifecycle", "preview", app, policy)
    assert [(one["tag"], one["goes"], one["rule"]) for one in tried] == [
        ("v1", True, "newest"),
        (None, True, "newest"),
    ]
    run = terminal.ccr("lifecycle", "run", app)
    assert (run.out, run.err) == (
        "0 tags and 0 manifests went\n",
        f"ccr: {app} has no lifecycle policy: nothing of it expires\n",
    )
    nothing = terminal.try_ccr("lifecycle", "show", app)
    assert (nothing.exit_code, nothing.err) == (
        5,
        f"ccr: {app} has no lifecycle policy: nothing of it expires\n",
    )
    made = terminal.ask("lifecycle", "set", app, policy)
    assert (made["scope"], made["version"]) == (app, "1")
    assert terminal.ask("lifecycle", "show", app)["rules"] == made["rules"]
    assert terminal.ask("lifecycle", "preview", app) == tried
    assert tags(terminal, app) == ["v1", "v2"]
    ran: dict[str, Any] = terminal.ask("lifecycle", "run", app)
    assert (ran["gone"], ran["left"], ran["complete"]) == (tried, [], True)
    assert tags(terminal, app) == ["v2"]
    assert terminal.ccr("lifecycle", "preview", app).out == "nothing goes\n"
    assert terminal.ask("lifecycle", "remove", app, "--if-match", "1") == {"removed": app}
    nothing = terminal.try_ccr("lifecycle", "remove", app)
    assert (nothing.exit_code, nothing.err) == (5, f"ccr: {app} has no lifecycle policy of its own\n")


def test_people_are_told_what_and_why(terminal: Terminal, app: str, dev: str, policy: str) -> None:
    said = terminal.ccr("lifecycle", "set", dev, policy).out
    assert f"{dev} is kept by these rules from now on (version 1)" in said
    assert "its registry's" in terminal.ccr("lifecycle", "show", app).out
    shown = terminal.ccr("lifecycle", "preview", dev, "--kept").out
    assert f"{app}:v1" in shown
    assert "newer ones: 1; to be kept: 1" in shown
    assert "it is among the 1 newest" in shown
    assert "1 tag and 1 manifest went" in terminal.ccr("lifecycle", "run", dev).out


def test_a_moment_to_come_can_be_asked_about(terminal: Terminal, app: str, tmp_path: Path) -> None:
    rule = {"name": "unused", "action": "expire-unpulled", "priority": 1, "after": "30d"}
    text = json.dumps({"rules": [rule]})
    assert terminal.ask("lifecycle", "preview", app, "-", text=text) == []
    found = terminal.ask("lifecycle", "preview", app, "-", "--at", "31d", text=text)
    assert [one["tag"] for one in found] == ["v1", "v2", None, None]


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("{", 2, "cannot be read as JSON"),
        ("[]", 2, "is no policy"),
        (json.dumps({"rules": [{**NEWEST, "count": 0}]}), 7, "rule 'newest', count: "),
        (json.dumps({"rules": [{**NEWEST, "tags": ["v/"]}]}), 7, "takes a pattern of tags"),
    ],
)
def test_a_bad_policy_is_refused_with_what_is_wrong(
    terminal: Terminal, app: str, text: str, code: int, told: str
) -> None:
    ended = terminal.try_ccr("lifecycle", "set", app, "-", text=text)
    assert ended.exit_code == code
    assert told in ended.err
    assert terminal.try_ccr("lifecycle", "set", app, "/nowhere/policy.json").exit_code == 2
