"""What a newcomer reads, and what a shell completes."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from ccr.cli import environment
from ccr.cli.application import app
from ccr.cli.commands import audit
from ccr.cli.exits import Exit
from chalicelib.registry import eviction
from tests.cli.terminal import Terminal
from tests.support.process import ROOT


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command and group by its whole name."""
    command = command or typer.main.get_command(app)
    yield " ".join(path) or "ccr", command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


COMMANDS = dict(commands())
# What serves takes its settings from the environment; the help says so.
SERVING = {"run", "gateway", "capability-key"}
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_parameter_says_what_it_is(name: str) -> None:
    command = COMMANDS[name]
    assert len(command.help or "") > 10
    unsaid = [one.name for one in command.params if not one.help]
    assert unsaid == []


@pytest.mark.parametrize("name", [name for name, one in COMMANDS.items() if not hasattr(one, "commands")])
def test_every_command_of_a_registry_takes_output_and_profile(name: str) -> None:
    """Those that serve one, or make a key for it, speak to none."""
    named = {option for one in COMMANDS[name].params for option in one.opts}
    assert (name in SERVING) is not ({"--output", "--profile"} <= named)


def test_no_option_takes_a_secret_where_others_can_read_it() -> None:
    for command in COMMANDS.values():
        for one in command.params:
            if any(word in str(one.name) for word in ("secret", "password", "token")):
                assert one.is_flag


def test_the_help_says_what_to_begin_with_and_groups_the_commands(stranger: Terminal) -> None:
    said = stranger.ccr("--help").out
    assert "ccr login" in said
    panels = ["Who you are", "Who may do what", "Images", "Use and watch it"]
    assert [said.index(panel) for panel in panels] == sorted(said.index(panel) for panel in panels)


def test_the_help_lists_every_exit_code_and_every_variable(stranger: Terminal) -> None:
    said = " ".join(stranger.ccr("--help").out.split())
    for one in Exit:
        assert f"{one.value} {one.meaning}" in said
    for variable in environment.VARIABLES:
        assert f"{variable.name}: {variable.meaning}" in said


def test_every_entry_point_leads_to_a_function() -> None:
    assert set(SCRIPTS) == {"ccr", "ccr-credential-provider", "docker-credential-ccr"}
    for target in SCRIPTS.values():
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_the_module_and_the_script_are_the_same_command(stranger: Terminal) -> None:
    said = stranger.python("ccr", "--help")
    assert said.exit_code == 0
    assert "Usage: ccr [OPTIONS] COMMAND" in said.out


def test_the_help_imports_nothing_of_the_server_and_no_http(stranger: Terminal) -> None:
    slow = {"chalicelib", "boto3", "uvicorn", "requests"}
    code = (
        "import sys; from ccr.cli import application, docker_credential, kubelet_provider\n"
        f"print([n for n in sys.modules if n in {slow}])"
    )
    said = stranger.run(sys.executable, "-c", code)
    assert (said.out.strip(), said.err) == ("[]", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_its_completion(stranger: Terminal, shell: str) -> None:
    said = stranger.python("ccr", _CCR_COMPLETE=f"source_{shell}")
    assert "_CCR_COMPLETE" in said.out


def test_a_shell_completes_commands(stranger: Terminal) -> None:
    said = stranger.python(
        "ccr", _CCR_COMPLETE="complete_bash", COMP_WORDS="ccr credential create-", COMP_CWORD="2"
    )
    assert said.out.split() == ["create-user", "create-robot", "create-trust"]


def test_the_help_says_which_commands_take_output_and_profile_and_where(stranger: Terminal) -> None:
    said = " ".join(stranger.ccr("--help").out.split())
    assert "Options stand after the command" in said
    assert "All but run, gateway and capability-key" in said


def test_the_version_is_that_of_the_package(stranger: Terminal) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert stranger.ccr("--version").out == f"ccr {version}\n"


def test_the_help_of_audit_lists_the_actions_and_says_what_is_not_recorded(stranger: Terminal) -> None:
    said = " ".join(stranger.ccr("audit", "--help").out.replace("│", " ").split())
    assert ", ".join(audit.ACTIONS) in said
    assert "Pulls are not recorded yet" in said
    assert "without it, all" not in said


def test_every_action_that_is_recorded_is_in_the_help() -> None:
    text = "".join(place.read_text() for place in (ROOT / "chalicelib").rglob("*.py"))
    told = (
        r"(?:WriteAudit\(\w+, \w+, |AuditAccount\(\w+, |_told\(push, push.action or |action=|action: str = )"
        r'"([a-z-]+)"'
    )
    written = set(re.findall(told, text)) | {eviction.ACTION}
    assert {"push", "tag", "untag", "delete", "promote", "restore", "rollback", "quota-threshold"} <= written
    assert written < set(audit.ACTIONS)
