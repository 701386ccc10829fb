"""The audit trail: filters, and everything in a range as JSON lines."""

from __future__ import annotations

import json

import jwt
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
    with_reads = terminal.ccr("audit", "--since", "1h", "--all", "--limit", "5").out
    assert with_reads.count("api GET") == 5
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


def test_a_table_shows_tags_and_leaves_out_reads_that_were_answered(
    terminal: Terminal, dev: str, client: Client
) -> None:
    client.about(f"{dev}/app").push(image(b"layer"), "1.0")
    terminal.ccr("registry", "list")
    terminal.try_ccr("registry", "describe", "nothing-there")
    table = terminal.ccr("audit", "--since", "1h").out
    pushed = next(line for line in table.splitlines() if f"{dev}/app@sha256" in line)
    assert pushed.endswith("tags=1.0")
    reads = [line for line in table.splitlines() if "api GET" in line]
    assert reads
    assert not [line for line in reads if "  ok  " in line]
    assert "/api/v1/registries  " in terminal.ccr("audit", "--since", "1h", "--all").out


def test_results_are_ok_refused_or_a_status(terminal: Terminal) -> None:
    terminal.try_ccr("registry", "describe", "nothing-there")
    assert {one["result"] for one in terminal.ask("audit", "--result", "ok")} == {"ok"}
    refused = {one["result"] for one in terminal.ask("audit", "--result", "refused")}
    assert "404" in refused
    assert "ok" not in refused
    assert {one["result"] for one in terminal.ask("audit", "--result", "404")} == {"404"}


def test_a_refused_login_by_id_token_tells_its_owner_why(terminal: Terminal, project: str, dev: str) -> None:
    id_ = f"github-of-{dev}"
    terminal.ccr(
        *("credential", "create-trust", id_, "--project", project, "--grant", f"{dev}/*:pull"),
        *("--issuer", "https://issuer.example.id", "--audience", "ccr", "--subject", "repo:acme/app:*"),
    )
    token = jwt.encode({"iss": "https://other.example.id", "sub": "x"}, "k" * 32)
    answer = requests.get(f"{terminal.registry.url}/token", auth=(id_, token), timeout=30)
    assert answer.status_code == 401
    assert "other.example.id" not in answer.text
    table = terminal.ccr("audit", "--actor", id_, "--result", "refused").out
    assert "reason=the token is of the issuer 'https://other.example.id'" in table


def test_a_range_that_is_to_come_is_said(terminal: Terminal) -> None:
    ended = terminal.try_ccr("audit", "--since", "2099-01-01")
    assert ended.exit_code == 2
    assert "still to come" in ended.err
