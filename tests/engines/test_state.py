"""The data folder: one registry at a time, and secrets that no other user can read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ccr.state import LockedError, load_secrets, lock

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
