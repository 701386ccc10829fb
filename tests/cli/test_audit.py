"""The audit trail: filters, and everything in a range as JSON lines."""

from __future__ import annotations

import json

import requests

from tests.cli.terminal import Terminal
from tests.support.client import Client
from tests.support.content import image


def test_a_push_is_found_by_its_repository_and_its_actor(
    terminal: Terminal, dev: str, client: Client
) -> None:
    client.about(f"{dev}/app").push(image(b"layer"), "1.0")
    found = terminal.ask("audit", "--since", "1h", "--repository", f"{dev}/app")
    assert found
    assert {one["target"].partition("/")[0] for one in found} == {dev}
    assert terminal.ask("audit", "--repository", f"{dev}/app", "--actor", "nobody") == []
    host = terminal.registry.host
    assert terminal.ask("audit", "--since", "1h", "--repository", f"{host}/{dev}/app") == found


def test_a_range_that_is_over_holds_nothing_new(terminal: Terminal, project: str) -> None:
    assert terminal.ask("audit", "--since", "2026-01-01", "--until", "2026-01-02T00:00:00Z") == []
    assert terminal.try_ccr("audit", "--since", "1h", "--until", "2h").exit_code == 7


def test_an_export_is_everything_in_the_range_one_entry_a_line(terminal: Terminal) -> None:
    url, login = f"{terminal.registry.url}/api/v1/whoami", ("admin", terminal.registry.password)
    with requests.Session() as session:
        assert {session.get(url, auth=login, timeout=30).status_code for _ in range(101)} == {200}
    exported = terminal.ccr("audit", "--since", "1h", "--action", "api GET", "--output", "jsonl").out
    entries = [json.loads(line) for line in exported.splitlines()]
    assert len(entries) > 100
    ids = [one["id"] for one in entries]
    assert ids == sorted(set(ids), reverse=True)
    table = terminal.ccr("audit", "--since", "1h", "--action", "api GET")
    assert len(table.out.splitlines()) == 101
    assert "jsonl" in table.err


def test_a_refusal_is_in_the_trail(terminal: Terminal) -> None:
    terminal.try_ccr("project", "describe", "nothing-there")
    entry = terminal.ask("audit", "--limit", "1", "--action", "api GET")[0]
    assert (entry["target"], entry["result"], entry["actor"]) == (
        "/api/v1/projects/nothing-there",
        "404",
        "admin",
    )
