"""`ccr event-bus`: what it says where there is none, and that only an operator may."""

from __future__ import annotations

from tests.cli.terminal import Terminal


def test_a_deployment_without_a_bus_has_nothing_waiting_and_nothing_dead(terminal: Terminal) -> None:
    assert terminal.ask("event-bus", "status") == {"name": None, "waiting": 0, "failing": 0}
    assert terminal.ask("event-bus", "dead") == []
    assert terminal.ask("event-bus", "replay") == {"ids": []}
    assert "0 deliveries wait again" in terminal.ccr("event-bus", "replay").out
    unknown = terminal.try_ccr("event-bus", "replay", "1" * 17 + "-" + "a" * 16)
    assert unknown.exit_code == 5
    assert "dead delivery" in unknown.err


def test_others_are_told_that_it_takes_an_operator(terminal: Terminal, project: str, dev: str) -> None:
    terminal.log_in(dev, terminal.ask("credential", "rotate", dev)["secret"], "robot")
    for command in ("status", "dead", "replay"):
        refused = terminal.try_ccr("event-bus", command)
        assert refused.exit_code == 4
        assert "operator" in refused.err
