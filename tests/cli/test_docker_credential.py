"""`docker-credential-ccr` as docker calls it: a process, its action, and standard input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.cli.terminal import Ended, Terminal, mode

NOT_FOUND = "credentials not found in native keychain"


def helper(terminal: Terminal, *arguments: str, text: str = "") -> Ended:
    return terminal.python("ccr.cli.docker_credential", *arguments, text=text)


def stored(host: str, username: str = "robot", secret: str = "a secret") -> str:
    return json.dumps({"ServerURL": host, "Username": username, "Secret": secret})


def test_docker_is_given_the_login_of_ccr(terminal: Terminal) -> None:
    host = terminal.registry.host
    ended = helper(terminal, "get", text=f"{host}\n")
    assert ended.exit_code == 0
    assert ended.document == {
        "ServerURL": host,
        "Username": "admin",
        "Secret": terminal.registry.password,
    }
    assert helper(terminal, "list").document == {host: "admin"}


@pytest.mark.parametrize("form", ["{}", "http://{}", "https://{}/v2/"])
def test_a_registry_is_found_however_docker_names_it(terminal: Terminal, form: str) -> None:
    server = form.format(terminal.registry.host)
    assert helper(terminal, "get", text=server).document["ServerURL"] == server


def test_what_docker_stores_is_given_back_and_leaves_ccr_alone(terminal: Terminal) -> None:
    host = terminal.registry.host
    assert helper(terminal, "store", text=stored(host)) == Ended(0, "", "")
    assert helper(terminal, "get", text=host).document["Username"] == "robot"
    assert helper(terminal, "list").document == {host: "robot"}
    assert terminal.ask("whoami")["id"] == "admin"
    assert mode(terminal.config) == 0o600


def test_after_docker_logout_docker_is_given_nothing(terminal: Terminal) -> None:
    host = terminal.registry.host
    helper(terminal, "store", text=stored(host, secret="to be erased"))
    assert helper(terminal, "erase", text=host) == Ended(0, "", "")
    assert helper(terminal, "get", text=host) == Ended(1, f"{NOT_FOUND}\n", "")
    assert helper(terminal, "list").document == {}
    assert "to be erased" not in terminal.config.read_text()
    assert terminal.ask("whoami")["id"] == "admin"
    terminal.log_in()
    assert helper(terminal, "get", text=host).document["Username"] == "admin"


def test_without_a_profile_it_is_a_store_like_any_other(stranger: Terminal) -> None:
    assert helper(stranger, "list").document == {}
    assert helper(stranger, "get", text="registry.example.id").out.strip() == NOT_FOUND
    helper(stranger, "store", text=stored("registry.example.id", "é", "pässword"))
    assert helper(stranger, "get", text="registry.example.id").document["Secret"] == "pässword"
    helper(stranger, "erase", text="registry.example.id")
    helper(stranger, "erase", text="registry.example.id")
    assert helper(stranger, "list").document == {}
    assert stranger.stored()["docker"] == {}


@pytest.mark.parametrize(
    ("arguments", "text", "said"),
    [
        (("get",), "", "no credentials server URL"),
        (("erase",), "\n", "no credentials server URL"),
        (("get",), "nobody.example.id", NOT_FOUND),
        (("store",), stored(""), "no credentials server URL"),
        (("store",), stored("registry.example.id", ""), "no credentials username"),
        (("store",), "{", "credentials are JSON with ServerURL, Username and Secret"),
        (("destroy",), "", "docker-credential-ccr: unknown action: destroy"),
        ((), "", "Usage: docker-credential-ccr <store|get|erase|list|version>"),
    ],
)
def test_errors_are_where_docker_reads_them(
    stranger: Terminal, arguments: tuple[str, ...], text: str, said: str
) -> None:
    assert helper(stranger, *arguments, text=text) == Ended(1, f"{said}\n", "")


def test_it_says_its_version(stranger: Terminal) -> None:
    assert helper(stranger, "version").out.startswith("docker-credential-ccr (")


def refreshed(terminal: Terminal, credentials: dict[str, str]) -> int:
    """Docker stores the refresh token that it was given, under a user name that says so."""
    assert credentials["Username"] == "<token>"
    form = {"grant_type": "refresh_token", "service": "ccr", "refresh_token": credentials["Secret"]}
    return requests.post(f"{terminal.registry.url}/token", data=form, timeout=30).status_code


@pytest.mark.clients
@pytest.mark.skipif(shutil.which("docker") is None, reason="docker is not installed")
def test_docker_itself_logs_in_and_out_with_it(
    terminal: Terminal, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    host, ann = terminal.registry.host, fresh("ann")
    made = terminal.ask("credential", "create-user", ann, "--role", "*=viewer")
    terminal.install_module("docker-credential-ccr", "ccr.cli.docker_credential")
    config = tmp_path / "docker" / "config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"credHelpers": {host: "ccr"}}))

    def docker(*arguments: str, text: str = "") -> Ended:
        environ = {"DOCKER_HOST": f"unix://{tmp_path}/no-daemon", "DOCKER_CONFIG": str(config.parent)}
        return terminal.run("docker", *arguments, text=text, **environ)

    # It takes a daemon to try a credential that is stored; that it was asked for shows before.
    assert "Username: admin" in docker("login", host).err
    logged_in = docker("login", host, "-u", ann, "--password-stdin", text=made["secret"])
    assert "Login Succeeded" in logged_in.out, logged_in
    assert refreshed(terminal, helper(terminal, "get", text=host).document) == 200
    assert made["secret"] not in config.read_text()
    assert docker("logout", host).exit_code == 0
    assert helper(terminal, "get", text=host).out.strip() == NOT_FOUND
