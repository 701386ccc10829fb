"""The data folder: one registry at a time, and secrets that no other user can read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ccr.state import (
    LockedError,
    OtherEnginesError,
    check_engines,
    load_secrets,
    lock,
    remember_engines,
)

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from ccr.state import lock
held = lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_folder_is_locked_for_one_process_and_free_when_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match="choose a folder with CCR_DATA") as raised:
            lock(tmp_path)
        assert str(tmp_path) in str(raised.value)
        holder.kill()
    lock(tmp_path).close()


def test_lock_makes_the_folder_for_this_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with lock(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "lock").stat().st_mode & 0o077 == 0


def test_lock_is_given_back_when_closed(tmp_path: Path) -> None:
    for _ in range(2):
        with lock(tmp_path), pytest.raises(LockedError):
            lock(tmp_path)


def test_secrets_are_made_once(tmp_path: Path) -> None:
    first = load_secrets(tmp_path)
    assert load_secrets(tmp_path) == first
    (tmp_path / "other").mkdir()
    other = load_secrets(tmp_path / "other")
    for name in ("token_key", "access_key", "secret_key"):
        assert getattr(other, name) != getattr(first, name)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_secrets_are_for_this_user_alone_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        load_secrets(tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.json"]


def test_secrets_are_long_and_keys_are_what_every_engine_takes(tmp_path: Path) -> None:
    made = load_secrets(tmp_path)
    assert len(bytes.fromhex(made.token_key)) == 32
    assert (len(made.access_key), len(made.secret_key)) == (20, 40)
    assert (made.access_key + made.secret_key).isalnum()


def test_secrets_of_a_start_that_was_killed_are_made_again(tmp_path: Path) -> None:
    (tmp_path / "secrets.tmp").write_text('{"token_key": "ha')
    made = load_secrets(tmp_path)
    assert load_secrets(tmp_path) == made


def tables_in(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in ("embedded", "real")}


@pytest.mark.parametrize("engines", ["embedded", "real"])
def test_new_folder_takes_any_engines(tmp_path: Path, engines: str) -> None:
    check_engines(tmp_path, engines, tables_in(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_folder_takes_the_engines_that_it_remembers_alone(tmp_path: Path) -> None:
    remember_engines(tmp_path, "real")
    check_engines(tmp_path, "real", tables_in(tmp_path))
    with pytest.raises(OtherEnginesError, match="start it with ENGINES=real, or choose another folder"):
        check_engines(tmp_path, "embedded", tables_in(tmp_path))


def test_folder_that_remembers_none_is_known_by_its_tables(tmp_path: Path) -> None:
    """A start that was killed, or one of before they were remembered. Empty folders say nothing."""
    tables = tables_in(tmp_path)
    tables["embedded"].mkdir()
    check_engines(tmp_path, "real", tables)
    (tables["embedded"] / "journal-0.log").touch()
    with pytest.raises(OtherEnginesError, match="start it with ENGINES=embedded"):
        check_engines(tmp_path, "real", tables)
    check_engines(tmp_path, "embedded", tables)
    tables["real"].mkdir()
    (tables["real"] / "shared-local-instance.db").touch()
    check_engines(tmp_path, "real", tables)
