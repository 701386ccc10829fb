"""`ccr fsck` on a running registry: clean after pushes, and plans that are no plans."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.terminal import Terminal
from tests.support.client import Client
from tests.support.content import image


def test_its_help_names_the_options_of_a_check(terminal: Terminal) -> None:
    assert "--plan FILE" in terminal.ccr("fsck", "--help").out


def test_a_registry_that_was_pushed_to_and_deleted_from_is_clean(
    terminal: Terminal, dev: str, client: Client, tmp_path: Path
) -> None:
    client.about(f"{dev}/app").push(image(b"one layer"), "1.0")
    client.about(f"{dev}/app").push(image(b"another layer"), "2.0")
    terminal.ccr("tag", "delete", f"{dev}/app:2.0")
    plan = tmp_path / "plan.json"
    terminal.ccr("fsck", "--plan", str(plan))
    assert json.loads(plan.read_text()) == {"form": "ccr-fsck-plan-1", "findings": []}
    assert terminal.ask("fsck", "check", "--repository", f"{dev}/app") == []
    terminal.ccr("fsck", "apply", str(plan))


def test_what_is_no_plan_is_refused_before_anything_is_sent(terminal: Terminal, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    assert terminal.try_ccr("fsck", "apply", str(plan)).exit_code == 2
    plan.write_text("{}")
    assert terminal.try_ccr("fsck", "apply", str(plan)).exit_code == 2


def test_a_finding_that_was_never_found_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    mend = {"row": ["usage", "default", ""], "expect": {}, "put": {"bytes": 0}, "check": False}
    finding = {"code": "usage", "table": "usage", "scope": "default", "key": "", "message": "", "seal": "0"}
    finding |= {"found": {}, "should": {}, "mends": [mend]}
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"form": "ccr-fsck-plan-1", "findings": [finding]}))
    refused = terminal.try_ccr("fsck", "apply", str(plan))
    assert refused.exit_code == 6
    assert "make a new plan" in refused.err
