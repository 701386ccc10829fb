"""`ccr migrate`: what it says of the tables, and that only an operator may."""

from __future__ import annotations

from tests.cli.terminal import Terminal


def test_status_lists_every_migration_with_what_it_does(terminal: Terminal) -> None:
    told = terminal.ask("migrate", "status")
    assert [one["number"] for one in told["migrations"]] == list(range(1, told["known"] + 1))
    assert told["migrations"][0]["name"] == "mark-unused"
    shown = terminal.ccr("migrate", "status")
    assert "mark-unused" in shown.out
    assert ("goes on from" in shown.err) is not told["complete"]


def test_a_run_begins_no_sooner_than_older_code_has_ended(terminal: Terminal) -> None:
    first, second = (terminal.ask("migrate", "run") for _ in range(2))
    assert first["next_at"] == second["next_at"]
    assert (second["changed"], second["complete"]) == (0, False)
    assert second["migrations"][0]["state"] == "waiting"
    again = terminal.ask("migrate", "run", "--again")
    assert (again["applied"], again["complete"], again["next_at"] >= second["next_at"]) == (0, False, True)


def test_others_are_told_that_it_takes_an_operator(terminal: Terminal, project: str, dev: str) -> None:
    terminal.log_in(dev, terminal.ask("credential", "rotate", dev)["secret"], "robot")
    for command in ("status", "run"):
        refused = terminal.try_ccr("migrate", command)
        assert refused.exit_code == 4
        assert "operator" in refused.err
