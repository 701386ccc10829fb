"""Logging in and out, profiles, and what the environment says instead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ccr.cli import profiles
from ccr.cli.profiles import Profile
from tests.cli.terminal import Terminal, mode
from tests.support.in_thread import in_thread


def test_a_login_is_stored_for_this_user_alone(stranger: Terminal) -> None:
    stranger.log_in()
    assert mode(stranger.config) == 0o600
    assert mode(stranger.config.parent) == 0o700
    assert stranger.stored()["profiles"]["default"]["username"] == "admin"
    assert [one.name for one in stranger.config.parent.iterdir() if "tmp" in one.name] == []


def test_a_file_that_others_could_read_is_closed_by_the_next_login(terminal: Terminal) -> None:
    terminal.config.chmod(0o644)
    terminal.log_in()
    assert mode(terminal.config) == 0o600


def test_a_wrong_secret_is_refused_and_not_stored(stranger: Terminal) -> None:
    ended = stranger.try_ccr(
        "login", stranger.registry.url, "-u", "admin", "--password-stdin", text="not the password"
    )
    assert ended.exit_code == 3
    assert "wrong id or secret" in ended.err
    assert "ccr login" in ended.err
    assert "not the password" not in ended.err + ended.out
    assert not stranger.config.exists()


def test_a_secret_may_come_from_the_environment(stranger: Terminal) -> None:
    stranger.environ["CCR_PASSWORD"] = stranger.registry.password
    assert "as admin" in stranger.ccr("login", stranger.registry.host, "-u", "admin").out


def test_a_person_is_asked_and_what_they_type_is_not_shown(stranger: Terminal) -> None:
    typed = stranger.registry.password
    said = stranger.on_screen("login", stranger.registry.url, "-u", "admin", typed=typed)
    assert "Secret: " in said
    assert "as admin" in said
    assert typed not in said


def test_without_a_terminal_nobody_is_asked(stranger: Terminal) -> None:
    ended = stranger.try_ccr("login", stranger.registry.url, "-u", "admin")
    assert ended.exit_code == 2
    assert "-stdin" in ended.err


def test_an_empty_secret_is_a_mistake(stranger: Terminal) -> None:
    ended = stranger.try_ccr("login", stranger.registry.url, "-u", "admin", "--password-stdin")
    assert ended.exit_code == 2


def test_the_secret_shows_nowhere_but_in_the_profile(stranger: Terminal) -> None:
    said = stranger.ccr(
        "login",
        stranger.registry.url,
        "-u",
        "admin",
        "--password-stdin",
        text=stranger.registry.password + "\n",
    )
    shown = said.out + said.err + stranger.ccr("profile", "list", "-o", "json").out
    shown += stranger.ccr("whoami", "-o", "json").out
    assert stranger.registry.password not in shown
    assert stranger.registry.password not in stranger.registry.log.read_text()


def test_whoami_says_who_one_is_and_where(terminal: Terminal) -> None:
    caller = terminal.ask("whoami")
    assert (caller["id"], caller["url"], caller["profile"]) == ("admin", terminal.registry.url, "default")
    assert "operator  yes" in terminal.ccr("whoami").out


def test_profiles_are_listed_chosen_and_forgotten(terminal: Terminal) -> None:
    terminal.log_in(profile="second")
    assert {one["name"]: one["current"] for one in terminal.ask("profile", "list")} == {
        "default": False,
        "second": True,
    }
    terminal.ccr("profile", "use", "default")
    assert terminal.ask("whoami")["profile"] == "default"
    assert terminal.ask("whoami", "--profile", "second")["profile"] == "second"
    terminal.environ["CCR_PROFILE"] = "second"
    assert terminal.ask("whoami")["profile"] == "second"
    del terminal.environ["CCR_PROFILE"]
    terminal.ccr("logout", "--profile", "second")
    assert [one["name"] for one in terminal.ask("profile", "list")] == ["default"]
    terminal.ccr("logout")
    assert terminal.try_ccr("whoami").exit_code == 3
    assert terminal.try_ccr("logout").exit_code == 5


def test_after_a_logout_the_profiles_that_are_left_are_named(terminal: Terminal) -> None:
    terminal.log_in(profile="second")
    hint = "`ccr profile use NAME`, one of default"
    assert hint in terminal.ccr("logout").err
    ended = terminal.try_ccr("whoami")
    assert (ended.exit_code, hint in ended.err) == (3, True)
    assert "profile use" not in terminal.ccr("logout", "--profile", "default").err


def test_a_profile_that_is_not_there_is_named(terminal: Terminal) -> None:
    ended = terminal.try_ccr("whoami", "--profile", "nobody")
    assert (ended.exit_code, "'nobody'" in ended.err, "default" in ended.err) == (3, True, True)
    assert terminal.try_ccr("profile", "use", "nobody").exit_code == 5


def test_the_environment_alone_is_a_login(stranger: Terminal) -> None:
    registry = stranger.registry
    stranger.environ |= {"CCR_URL": registry.url, "CCR_USERNAME": "admin", "CCR_PASSWORD": registry.password}
    assert stranger.ask("whoami")["profile"] == ""
    assert not stranger.config.exists()


def test_a_secret_that_was_stored_for_tls_does_not_go_in_clear_text(terminal: Terminal) -> None:
    """To a port of this machine here, where nothing would be warned of."""
    stored = json.loads(terminal.config.read_text())
    secure = stored["profiles"]["default"]["url"].replace("http://", "https://")
    stored["profiles"]["default"]["url"] = secure
    terminal.config.write_text(json.dumps(stored))
    terminal.environ["CCR_URL"] = secure
    assert terminal.try_ccr("whoami").exit_code != 3, "it is tried"
    terminal.environ["CCR_URL"] = terminal.registry.url
    ended = terminal.try_ccr("whoami")
    assert (ended.exit_code, "CCR_PASSWORD" in ended.err) == (3, True)


@pytest.mark.parametrize(
    "environ", [{"CCR_URL": "https://other.example.id"}, {"CCR_USERNAME": "somebody-else"}]
)
def test_a_secret_goes_to_no_other_host_and_for_no_other_id(
    terminal: Terminal, environ: dict[str, str]
) -> None:
    terminal.environ |= environ
    ended = terminal.try_ccr("whoami")
    assert ended.exit_code == 3
    assert "CCR_PASSWORD" in ended.err


def test_the_profiles_are_where_xdg_says(stranger: Terminal, tmp_path: Path) -> None:
    stranger.environ["XDG_CONFIG_HOME"] = str(tmp_path / "elsewhere")
    stranger.log_in()
    assert (tmp_path / "elsewhere" / "ccr" / "config.json").exists()
    assert not stranger.config.exists()


def test_a_broken_file_is_said_and_left_alone(terminal: Terminal) -> None:
    terminal.config.write_text("{broken")
    ended = terminal.try_ccr("whoami")
    assert (ended.exit_code, str(terminal.config) in ended.err) == (1, True)
    assert terminal.config.read_text() == "{broken"


def test_logins_at_once_are_all_kept(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}

    def add(number: int) -> None:
        with profiles.changing(environ) as stored:
            stored.profiles[f"p{number}"] = Profile("https://registry.example.id", "someone", "secret")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(40)))
    assert len(profiles.load(environ).profiles) == 40


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("registry.example.id", "https://registry.example.id"),
        ("https://Registry.example.id/", "https://registry.example.id"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("localhost", "http://localhost"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("http://10.0.0.1:5000", "http://10.0.0.1:5000"),
    ],
)
def test_a_host_is_reached_over_tls_but_on_this_machine(given: str, url: str) -> None:
    assert profiles.normal_url(given) == url


@pytest.mark.parametrize(
    "given", ["", "ftp://registry.example.id", "https://user@registry.example.id", "registry.example.id/v2"]
)
def test_what_is_no_url_of_a_registry_is_refused(stranger: Terminal, given: str) -> None:
    ended = stranger.try_ccr("login", given, "-u", "admin", "--password-stdin", text="secret")
    assert ended.exit_code == 2


def test_a_login_without_tls_elsewhere_is_warned_of() -> None:
    assert profiles.is_clear_text("http://10.0.0.1:5000")
    assert not profiles.is_clear_text("http://127.0.0.1:5000")
    assert not profiles.is_clear_text("https://registry.example.id")


@contextmanager
def answering(status: int, body: str, **headers: str) -> Iterator[tuple[str, list[str]]]:
    """A server that always says the same, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """The test says what it asked."""

    with in_thread(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield f"http://{address}", asked


@pytest.mark.parametrize(
    ("status", "body"), [(200, "<html>"), (404, "not here"), (200, "[1]"), (404, json.dumps({"errors": []}))]
)
def test_what_is_no_registry_is_said(stranger: Terminal, status: int, body: str) -> None:
    with answering(status, body) as (url, _):
        ended = stranger.try_ccr("login", url, "-u", "admin", "--password-stdin", text="secret")
    assert ended.exit_code == 9
    assert len(ended.err.splitlines()) == 1


def test_a_redirect_is_not_followed_with_a_secret(stranger: Terminal) -> None:
    with (
        answering(200, "{}") as (target, asked),
        answering(307, "", Location=target) as (url, _),
    ):
        ended = stranger.try_ccr("login", url, "-u", "admin", "--password-stdin", text="secret")
    assert (ended.exit_code, target in ended.err, asked) == (9, True, [])


def test_a_server_that_fails_is_a_failure(stranger: Terminal) -> None:
    with answering(502, "bad gateway") as (url, _):
        ended = stranger.try_ccr("login", url, "-u", "admin", "--password-stdin", text="secret")
    assert (ended.exit_code, "502" in ended.err) == (1, True)
