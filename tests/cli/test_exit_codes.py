"""Every exit code, from the refusal that causes it; one line on standard error, or the problem itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
import requests

from ccr.cli.exits import Exit
from tests.cli.terminal import Terminal
from tests.support.client import Client
from tests.support.content import image


def refused(terminal: Terminal, code: Exit, *arguments: str) -> str:
    """The one line; and as JSON, the problem and nothing else."""
    ended = terminal.try_ccr(*arguments)
    assert (ended.exit_code, ended.out) == (code, ""), ended
    line, *more = ended.err.splitlines()
    assert more == []
    assert line.startswith("ccr: ")
    problem = json.loads(terminal.try_ccr(*arguments, "--output", "json").err)
    assert problem["detail"] in line
    return line


def test_nobody_is_logged_in(stranger: Terminal) -> None:
    assert "ccr login" in refused(stranger, Exit.NOT_LOGGED_IN, "project", "list")


def test_the_credential_is_gone(terminal: Terminal, dev: str) -> None:
    secret = terminal.ask("credential", "rotate", dev, "--overlap", "0s")["secret"]
    terminal.log_in(dev, secret, "robot")
    terminal.ccr("credential", "delete", dev, "--profile", "default")
    assert "ccr login" in refused(terminal, Exit.NOT_LOGGED_IN, "whoami", "--profile", "robot")


def test_the_credential_may_not(terminal: Terminal, dev: str, project: str) -> None:
    secret = terminal.ask("credential", "rotate", dev)["secret"]
    terminal.log_in(dev, secret, "robot")
    line = refused(terminal, Exit.FORBIDDEN, "registry", "create", "another", "-p", project)
    assert "role" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("project", "describe", "nothing-there"),
        ("registry", "describe", "nothing-there"),
        ("credential", "describe", "nothing-there"),
        ("repository", "describe", "nothing/there"),
        ("tag", "list", "nothing/there"),
        ("promote", "nothing/there:1", "nothing/else"),
    ],
)
def test_there_is_no_such_thing(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    refused(terminal, Exit.NOT_FOUND, *arguments)


def test_the_name_is_taken(terminal: Terminal, project: str) -> None:
    line = refused(terminal, Exit.CONFLICT, "project", "create", project)
    assert f"there is a project {project!r} already" in line


def test_the_name_of_a_registry_is_taken(terminal: Terminal, project: str, dev: str) -> None:
    line = refused(terminal, Exit.CONFLICT, "registry", "create", dev, "-p", project)
    assert f"there is a registry {dev!r} already, in the project {project!r}" in line


def test_a_registry_that_one_may_not_see_is_not_said_to_be_there(
    terminal: Terminal, dev: str, fresh: Callable[[str], str]
) -> None:
    other, mia = fresh("other"), fresh("mia")
    terminal.ccr("project", "create", other)
    made = terminal.ask("credential", "create-user", mia, "--role", f"{other}=maintainer")
    terminal.log_in(mia, made["secret"], "mia")
    line = refused(terminal, Exit.CONFLICT, "registry", "create", dev, "-p", other)
    assert "already" not in line


def test_an_image_that_is_not_there_is_named(terminal: Terminal, dev: str, prod: str, client: Client) -> None:
    client.about(f"{dev}/app").push(image(b"layer"), "1.0")
    line = refused(terminal, Exit.NOT_FOUND, "promote", f"{dev}/app:2.0", f"{prod}/app")
    assert f"there is no image '{dev}/app:2.0'" in line


def test_no_tls_is_told_from_a_bad_certificate(stranger: Terminal) -> None:
    host = stranger.registry.host
    stranger.environ |= {"CCR_URL": f"https://{host}", "CCR_USERNAME": "a", "CCR_PASSWORD": "b"}
    line = refused(stranger, Exit.UNREACHABLE, "whoami")
    assert f"it does not speak TLS: try http://{host}" in line


def test_it_has_changed_since(terminal: Terminal, project: str) -> None:
    version = terminal.ask("project", "describe", project)["version"]
    changed = terminal.ask("project", "change", project, "--title", "one", "--if-match", version)
    assert changed["version"] != version
    line = refused(
        terminal, Exit.CONFLICT, "project", "change", project, "--title", "two", "--if-match", version
    )
    assert "--if-match" in line


def test_it_is_not_empty(terminal: Terminal, project: str, dev: str) -> None:
    refused(terminal, Exit.CONFLICT, "project", "delete", project)


def test_the_registry_does_not_take_it(terminal: Terminal) -> None:
    line = refused(terminal, Exit.INVALID, "project", "create", "UPPER")
    assert "name: takes a-z, 0-9 and - (inside)" in line
    assert "^" not in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("project", "create"),
        ("project", "list", "--limit", "0"),
        ("project", "list", "--output", "xml"),
        ("credential", "create-robot", "x", "-p", "y", "--grant", "dev"),
        ("credential", "create-robot", "x", "-p", "y", "--grant", "dev/*:pull", "--expires", "soon"),
        ("credential", "create-user", "x", "--role", "developer"),
        ("credential", "create-user", "x", "--role", "a=viewer", "--role", "a=owner"),
        ("credential", "change", "x"),
        ("credential", "describe", ".."),
        ("project", "delete", ""),
        ("credential", "rotate", "x", "--overlap", "-1h"),
        ("registry", "change", "x"),
        ("audit", "--since", "yesterday"),
        ("pull-secret",),
        ("pull-secret", "--own", "--credential", "x"),
        ("pull-secret", "--secret-stdin"),
        ("tag", "delete", "dev/app"),
        ("pull-secret", "--name", "Not a name"),
    ],
)
def test_the_command_line_is_none(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    ended = terminal.try_ccr(*arguments)
    assert (ended.exit_code, ended.out) == (Exit.USAGE, "")
    assert ended.err


def test_too_many_failures_lock_and_say_for_how_long(terminal: Terminal, fresh: Callable[[str], str]) -> None:
    id_ = fresh("guessed")
    url = f"{terminal.registry.url}/api/v1/whoami"
    statuses = {requests.get(url, auth=(id_, "wrong"), timeout=30).status_code for _ in range(12)}
    assert statuses == {401, 429}
    terminal.environ |= {"CCR_URL": terminal.registry.url, "CCR_USERNAME": id_, "CCR_PASSWORD": "wrong"}
    ended = terminal.try_ccr("whoami")
    assert ended.exit_code == Exit.LOCKED
    assert re.search(r"with this id, which is locked .*: try again in (\d+) seconds$", ended.err.strip())
    assert len(re.findall(r"\d+", ended.err.replace(id_, ""))) == 1


def test_nobody_answers(stranger: Terminal) -> None:
    stranger.environ |= {"CCR_URL": "http://127.0.0.1:1", "CCR_USERNAME": "a", "CCR_PASSWORD": "b"}
    assert "127.0.0.1:1" in refused(stranger, Exit.UNREACHABLE, "whoami")


def test_a_process_ends_with_the_code(terminal: Terminal) -> None:
    ended = terminal.python("ccr", "project", "describe", "nothing-there")
    assert (ended.exit_code, ended.out) == (Exit.NOT_FOUND, "")
