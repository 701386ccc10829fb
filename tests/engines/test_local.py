"""How the local deployment reads its settings, says how to use it, and refuses to start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ccr.engines.process import Engine
from ccr.local import Place, banner, engines, registry_environment, set_administrator
from ccr.state import Secrets, lock
from chalicelib.config import SettingsError

ROOT = Path(__file__).parents[2]
OWN = Secrets(token_key="ab" * 32, access_key="own-key", secret_key="own-secret")
PLACE = Place("127.0.0.1", 5000, Path("/data"), "embedded")


def test_defaults_are_this_machine_port_5000_and_embedded_engines() -> None:
    assert Place.from_environment({}) == Place("127.0.0.1", 5000, Path(".ccr").resolve(), "embedded")


def test_every_setting_is_read() -> None:
    told = {"CCR_HOST": "0.0.0.0", "CCR_PORT": "0", "CCR_DATA": "~/images", "CCR_ENGINES": "real"}
    told["CCR_CONNECTIONS"] = "7"
    assert Place.from_environment(told) == Place("0.0.0.0", 0, Path.home() / "images", "real", 7)


@pytest.mark.parametrize("name", ["CCR_HOST", "CCR_PORT", "CCR_DATA", "CCR_ENGINES", "CCR_CONNECTIONS"])
def test_empty_setting_is_as_good_as_none(name: str) -> None:
    assert Place.from_environment({name: ""}) == Place.from_environment({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CCR_PORT", "http"),
        ("CCR_PORT", "-1"),
        ("CCR_PORT", "65536"),
        ("CCR_PORT", "50 00"),
        ("CCR_PORT", "\N{SUPERSCRIPT TWO}"),
        ("CCR_CONNECTIONS", "0"),
        ("CCR_CONNECTIONS", "many"),
        ("CCR_ENGINES", "Real"),
        ("CCR_ENGINES", "dynamodb"),
    ],
)
def test_setting_that_is_none_is_named_with_its_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Place.from_environment({name: value})
    assert name in str(raised.value)
    assert repr(value) in str(raised.value)


def test_banner_says_how_to_log_in_push_and_pull() -> None:
    lines = banner("127.0.0.1:5000", PLACE, "").splitlines()
    assert "  docker login 127.0.0.1:5000 -u admin" in lines
    assert "  docker push 127.0.0.1:5000/dev/app:1.0" in lines
    assert "  docker pull 127.0.0.1:5000/dev/app:1.0" in lines
    assert lines[-1] == "ready http://127.0.0.1:5000"
    assert "password" not in "\n".join(lines)


def test_banner_shows_a_password_that_was_made() -> None:
    lines = banner("127.0.0.1:5000", PLACE, "made-up").splitlines()
    assert "  docker login 127.0.0.1:5000 -u admin -p made-up" in lines
    assert any(line.startswith("password   made-up ") for line in lines)


def an_engine(endpoint: str) -> Engine:
    unused: Any = None
    return Engine("engine", endpoint, Path("log"), unused)


def test_own_engines_get_own_keys_and_no_session_of_aws() -> None:
    running = {"CCR_S3_ENDPOINT": an_engine("http://s3"), "CCR_DYNAMODB_ENDPOINT": an_engine("http://ddb")}
    assert registry_environment(OWN, running, {"AWS_SESSION_TOKEN": "of AWS"}) == {
        "CCR_S3_ENDPOINT": "http://s3",
        "CCR_DYNAMODB_ENDPOINT": "http://ddb",
        "CCR_TOKEN_KEY": OWN.token_key,
        "AWS_ACCESS_KEY_ID": OWN.access_key,
        "AWS_SECRET_ACCESS_KEY": OWN.secret_key,
        "AWS_SESSION_TOKEN": "",
    }


def test_engines_of_others_keep_the_keys_of_the_environment() -> None:
    told = registry_environment(OWN, {}, {"CCR_TOKEN_KEY": "cd" * 32, "AWS_ACCESS_KEY_ID": "of AWS"})
    assert told == {"CCR_TOKEN_KEY": "cd" * 32}


@pytest.mark.parametrize("kind", ["embedded", "real"])
def test_no_engine_is_started_where_both_are_named(tmp_path: Path, kind: str) -> None:
    named = {"CCR_S3_ENDPOINT": "http://s3", "CCR_DYNAMODB_ENDPOINT": "http://ddb"}
    with engines(Place("127.0.0.1", 0, tmp_path, kind), OWN, named) as running:
        assert running == {}
    assert list(tmp_path.iterdir()) == []


@dataclass
class Accounts:
    """The part of a deployment that knows the administrator."""

    password: str = ""

    def has_admin(self) -> bool:
        return bool(self.password)

    def set_admin(self, password: str) -> None:
        self.password = password


def test_password_is_made_the_first_time_and_told_once() -> None:
    accounts: Any = Accounts()
    made = set_administrator(accounts, "")
    assert len(made) >= 20
    assert accounts.password == made
    assert set_administrator(accounts, "") == ""
    assert accounts.password == made


def test_password_that_was_asked_for_is_set_and_never_told() -> None:
    accounts: Any = Accounts("old")
    assert set_administrator(accounts, "asked for") == ""
    assert accounts.password == "asked for"


def run(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    settings = {"CCR_DATA": str(folder), "CCR_PORT": "0", **environ}
    command = [sys.executable, "-m", "ccr", "run"]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )


def test_port_in_use_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(tmp_path, CCR_PORT=str(port))
    assert done.returncode == 1
    assert done.stdout == ""
    expected = f"ccr: cannot listen on 127.0.0.1:{port} (Address already in use): choose a port with CCR_PORT"
    assert done.stderr.strip() == expected
    assert not (tmp_path / "engines").exists()


def test_folder_in_use_is_said_before_anything_starts(tmp_path: Path) -> None:
    with lock(tmp_path):
        done = run(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == f"ccr: another registry serves {tmp_path}: stop it, or choose a folder with CCR_DATA\n"
    )
    assert not (tmp_path / "engines").exists()


@pytest.mark.parametrize(("name", "value"), [("CCR_PORT", "none"), ("CCR_ENGINES", "none")])
def test_bad_setting_is_one_line_and_no_traceback(tmp_path: Path, name: str, value: str) -> None:
    done = run(tmp_path, **{name: value})
    assert done.returncode == 1
    assert done.stderr.startswith(f"ccr: {name} takes ")
    assert len(done.stderr.splitlines()) == 1
