"""How the local deployment reads its settings, says how to use it, and refuses to start."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from ccr.engines.process import Engine
from ccr.local import Place, Telling, banner, engines, registry_environment, set_administrator
from ccr.state import Secrets, lock, remember_engines
from chalicelib.config import Settings, SettingsError
from chalicelib.events.tally import Told
from chalicelib.identity.administrators import ADMINISTRATOR, Administrators
from chalicelib.identity.credentials import Credential
from chalicelib.identity.secret import matches
from chalicelib.observation.lines import Lines
from chalicelib.observation.processes import ProcessWatch
from chalicelib.observation.seen import Seen
from tests.management.direct_client import eventually
from tests.support.client import Client
from tests.support.process import running_registry

ROOT = Path(__file__).parents[2]
OWN = Secrets(token_key="ab" * 32, access_key="own-key", secret_key="own-secret")
PLACE = Place("127.0.0.1", 5000, Path("/data"), "embedded")


def test_defaults_are_this_machine_port_5000_and_embedded_engines() -> None:
    assert Place.from_environment({}) == Place("127.0.0.1", 5000, Path(".ccr").resolve(), "embedded")


def test_every_setting_is_read() -> None:
    told = {"CCR_HOST": "0.0.0.0", "CCR_PORT": "0", "CCR_DATA": "~/images", "CCR_ENGINES": "real"}
    told |= {"CCR_CONNECTIONS": "7", "CCR_COLLECT_SECONDS": "0"}
    assert Place.from_environment(told) == Place("0.0.0.0", 0, Path.home() / "images", "real", 7, 0)


@pytest.mark.parametrize("value", ["-1", "often", "1.5"])
def test_an_interval_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="CCR_COLLECT_SECONDS takes"):
        Place.from_environment({"CCR_COLLECT_SECONDS": value})


def test_garbage_is_collected_while_the_registry_runs(tmp_path: Path) -> None:
    often = {"CCR_COLLECT_SECONDS": "1", "CCR_GRACE_SECONDS": "1"}
    with running_registry(tmp_path, environ=often) as registry:
        client = Client(registry.url, registry.username, registry.password, "dev/app")
        digest = client.push_blob(b"named by no manifest")
        login = registry.username, registry.password
        url = f"{registry.url}/api/v1/collections"

        def has_run() -> bool:
            return bool(requests.get(url, auth=login, timeout=60).json()["items"])

        assert eventually(has_run)
        runs = requests.get(url, auth=login, timeout=60).json()["items"]
        assert [(one["actor"], one["links"]) for one in runs] == [("collector", 1)]
        assert client.head(f"blobs/{digest}").status_code == 404


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


def banner_of(url: str, password: str = "", **environ: str) -> list[str]:
    settings = Settings.from_environment({"CCR_TOKEN_KEY": OWN.token_key, **environ})
    return banner(url, PLACE, password, settings).splitlines()


def test_banner_says_how_to_log_in_push_and_pull() -> None:
    lines = banner_of("http://127.0.0.1:5000")
    assert "  docker login 127.0.0.1:5000 -u admin" in lines
    assert "  docker push 127.0.0.1:5000/dev/app:1.0" in lines
    assert "  docker pull 127.0.0.1:5000/dev/app:1.0" in lines
    assert lines[-1] == "ready http://127.0.0.1:5000"
    assert "password" not in "\n".join(lines)
    assert "blobs" not in "\n".join(lines)


def test_banner_shows_a_password_that_was_made() -> None:
    lines = banner_of("http://127.0.0.1:5000", "made-up")
    assert "  docker login 127.0.0.1:5000 -u admin -p made-up" in lines
    assert any(line.startswith("password   made-up ") for line in lines)


def test_banner_names_the_registry_as_clients_reach_it() -> None:
    lines = banner_of("http://127.0.0.1:5000", CCR_PUBLIC_URL="https://registry.example.id/")
    assert lines[0].startswith("registry   https://registry.example.id ")
    assert "  docker login registry.example.id -u admin" in lines
    assert "  docker push registry.example.id/dev/app:1.0" in lines
    assert lines[-1] == "ready http://127.0.0.1:5000"


def test_banner_says_that_blobs_stream() -> None:
    (line,) = [one for one in banner_of("http://x", CCR_BLOB_REDIRECT="off") if one.startswith("blobs ")]
    assert "CCR_BLOB_REDIRECT=off" in line


@pytest.mark.parametrize(
    ("emulated", "said"),
    [("function-url", "a bare function URL"), ("aws", "CloudFront before a function URL")],
)
def test_banner_says_what_is_emulated(emulated: str, said: str) -> None:
    environ = {"CCR_EMULATE": emulated, "CCR_ORIGIN_SECRET": "0123456789abcdef"}
    (line,) = [one for one in banner_of("http://x", **environ) if one.startswith("emulates ")]
    assert said in line
    assert f"CCR_EMULATE={emulated}" in line
    assert not [one for one in banner_of("http://x") if one.startswith("emulates ")]


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
        "CCR_CREATE_ON_PUSH": "on",
    }


def test_engines_of_others_keep_the_keys_of_the_environment() -> None:
    given = {"CCR_TOKEN_KEY": "cd" * 32, "AWS_ACCESS_KEY_ID": "of AWS", "CCR_CREATE_ON_PUSH": "off"}
    told = registry_environment(OWN, {}, given)
    assert told == {"CCR_TOKEN_KEY": "cd" * 32, "CCR_CREATE_ON_PUSH": "off"}


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, None),
        ({"CCR_HOST": "127.0.0.1"}, None),
        ({"CCR_HOST": "localhost", "CCR_PUBLIC_URL": "https://127.0.0.2:5443"}, None),
        ({"CCR_HOST": "0.0.0.0"}, "off"),
        ({"CCR_HOST": "registry.example.id"}, "off"),
        ({"CCR_PUBLIC_URL": "https://registry.example.id"}, "off"),
        ({"CCR_PUBLIC_URL": "https://registry.example.id", "CCR_BLOB_REDIRECT": "on"}, "on"),
        ({"CCR_HOST": "0.0.0.0", "CCR_S3_PUBLIC_ENDPOINT": "https://s3.example.id"}, None),
    ],
)
def test_blobs_stream_where_clients_elsewhere_are_meant_to_come(
    environ: dict[str, str], told: str | None
) -> None:
    """The S3 that is started here is on loopback, where a redirect leads them nowhere."""
    started = {"CCR_S3_ENDPOINT": an_engine("http://127.0.0.1:1")}
    assert registry_environment(OWN, started, environ).get("CCR_BLOB_REDIRECT") == told


def test_public_url_that_is_none_is_named() -> None:
    with pytest.raises(SettingsError, match="CCR_PUBLIC_URL takes a URL"):
        registry_environment(
            OWN, {"CCR_S3_ENDPOINT": an_engine("http://s3")}, {"CCR_PUBLIC_URL": "https://[registry"}
        )


def test_s3_of_others_is_redirected_to() -> None:
    assert "CCR_BLOB_REDIRECT" not in registry_environment(OWN, {}, {"CCR_HOST": "0.0.0.0"})


@pytest.mark.parametrize("kind", ["embedded", "real"])
def test_no_engine_is_started_where_both_are_named(tmp_path: Path, kind: str) -> None:
    named = {"CCR_S3_ENDPOINT": "http://s3", "CCR_DYNAMODB_ENDPOINT": "http://ddb"}
    with engines(Place("127.0.0.1", 0, tmp_path, kind), OWN, named) as running:
        assert running == {}
    assert list(tmp_path.iterdir()) == []


@dataclass
class Credentials:
    """A store of one."""

    kept: Credential | None = None

    def get(self, _: str) -> Credential | None:
        return self.kept

    def put(self, credential: Credential, **_: bool) -> bool:
        self.kept = credential
        return True


@pytest.fixture
def administrators() -> Administrators:
    return Administrators(Credentials(), "default")  # type: ignore[arg-type]


def takes(administrators: Administrators, password: str) -> bool:
    kept = administrators.credentials.get(ADMINISTRATOR)
    return kept is not None and any(matches(password, one.hash) for one in kept.secrets)


def test_password_is_made_the_first_time_and_told_once(administrators: Administrators) -> None:
    made = set_administrator(administrators, "")
    assert len(made) >= 20
    assert takes(administrators, made)
    assert set_administrator(administrators, "") == ""
    assert takes(administrators, made)


def test_password_that_was_asked_for_is_set_and_never_told(administrators: Administrators) -> None:
    administrators.put("old")
    assert set_administrator(administrators, "asked for") == ""
    assert takes(administrators, "asked for")


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


@pytest.mark.parametrize(("made", "asked"), [("embedded", "real"), ("real", "embedded")])
def test_folder_of_other_engines_is_refused_before_anything_starts(
    tmp_path: Path, made: str, asked: str
) -> None:
    """It would look empty, and get a new password."""
    remember_engines(tmp_path, made)
    done = run(tmp_path, CCR_ENGINES=asked)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"ccr: {tmp_path} was filled with ENGINES={made} and would look empty with ENGINES={asked}:"
        f" start it with ENGINES={made}, or choose another folder with CCR_DATA\n"
    )
    assert not (tmp_path / "engines").exists()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stop_says_where_the_state_is_and_leaves_it_to_this_user(
    tmp_path: Path, stop: signal.Signals
) -> None:
    data = tmp_path / "state"
    with running_registry(tmp_path, environ={"CCR_DATA": str(data), "CCR_HOST": "0.0.0.0"}) as registry:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", registry.url)
        with requests.Session() as session:
            session.trust_env = False
            assert session.get(f"{registry.url}/v2/", timeout=60).status_code == 401
        registry.process.send_signal(stop)
        assert registry.process.wait(60) == 0
        said = registry.log.read_text().splitlines()
    # The line of a request may come after it.
    assert [line for line in said if not line.startswith("{")][-1] == f"Stopped; state is in {data}"
    assert any(line.startswith("blobs      through this process") for line in said)
    assert f"  docker login {registry.host} -u admin" in said
    assert (data / "engine-set").read_text() == "embedded\n"
    assert data.stat().st_mode & 0o777 == 0o700
    assert (data / "engines").stat().st_mode & 0o777 == 0o700
    assert [path.name for path in data.iterdir() if path.is_file() and path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize(
    ("given", "engines"),
    [
        ([], "embedded"),
        (["CCR_ENGINES=real"], "real"),
        (["CCR_ENGINES=real", "ENGINES=embedded"], "embedded"),
    ],
)
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_runs_the_engines_that_the_environment_names(given: list[str], engines: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.endswith("ENGINES")}
    environ = clean | dict(one.split("=") for one in given)
    command = ["make", "--dry-run", "run"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    assert f"CCR_ENGINES={engines} exec" in done.stdout


def test_the_outbox_is_looked_at_after_requests_and_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, looks = [100.0], []

    class Quiet:
        def begin_to_tell(self, seconds: float) -> Told:
            looks.append((now[0], seconds))
            return Told()

    watch = ProcessWatch(Lines("test"))
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    telling = Telling(Quiet(), watch)  # type: ignore[arg-type]
    for second in range(100, 113):
        now[0] = float(second)
        if second == 107:
            watch.request(Seen(status=201))
        telling()
    watch.lines.close()
    assert [at for at, _ in looks] == [100, 105, 107, 112]
