"""The journal of the embedded tables: whole records in order, whatever a kill leaves of the last."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest

from ccr.engines.journaled_ministack import Journal

RECORDS = [b"first", b"2", os.urandom(70_000), "fourth \N{SNOWMAN}".encode()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a journal with every record, closed."""
    path = tmp_path / "journal-0.log"
    journal = Journal(path)
    for record in RECORDS:
        journal.append(record)
    journal.close()
    return path


def read(path: Path) -> list[bytes]:
    journal = Journal(path)
    try:
        return list(journal.records())
    finally:
        journal.close()


def test_new_journal_is_empty_and_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal-0.log"
    assert read(path) == []
    assert path.stat().st_mode & 0o777 == 0o600


def test_records_come_back_in_order(path: Path) -> None:
    assert read(path) == RECORDS


def test_record_is_in_the_file_before_append_returns(path: Path) -> None:
    """So that `kill -9` loses nothing: what is written stays in the kernel."""
    journal = Journal(path)
    journal.append(b"more")
    assert path.read_bytes().endswith(b"more")
    journal.close()


def test_torn_last_record_counts_as_not_written_wherever_it_was_torn(path: Path) -> None:
    whole = path.read_bytes()
    last = len(RECORDS[-1]) + 8
    for kept in range(len(whole) - last, len(whole)):
        path.write_bytes(whole[:kept])
        assert read(path) == RECORDS[:-1]
        assert path.stat().st_size == len(whole) - last


def test_appending_goes_on_after_a_torn_record(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])
    journal = Journal(path)
    assert list(journal.records()) == RECORDS[:-1]
    journal.append(b"next")
    journal.close()
    assert read(path) == [*RECORDS[:-1], b"next"]


@pytest.mark.parametrize("place", ["length", "checksum", "content"])
def test_damaged_record_ends_the_journal(path: Path, place: str) -> None:
    content = bytearray(path.read_bytes())
    begin = len(content) - len(RECORDS[-1]) - 8
    content[begin + {"length": 0, "checksum": 4, "content": 8}[place]] ^= 0xFF
    path.write_bytes(content)
    assert read(path) == RECORDS[:-1]


def test_zeros_after_the_last_record_are_cut_off(path: Path) -> None:
    """A power cut leaves them where a file had grown before its content came."""
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(100))
    assert read(path) == RECORDS
    assert path.read_bytes() == whole


def test_sync_writes_only_what_is_new(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    journal = Journal(path)
    journal.sync()
    assert synced == []
    journal.append(b"more")
    journal.sync()
    journal.sync()
    assert len(synced) == 1
    journal.append(b"more")
    journal.close()
    assert len(synced) == 2


def test_record_that_the_disk_takes_in_part_is_taken_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(path)
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:5]))
    with pytest.raises(OSError, match="the disk took 5 of 12 bytes"):
        journal.append(b"more")
    monkeypatch.undo()
    journal.append(b"after")
    journal.close()
    assert read(path) == [*RECORDS, b"after"]


def test_format_is_length_checksum_and_bytes(tmp_path: Path) -> None:
    """Folders of earlier versions must stay readable."""
    path = tmp_path / "journal-0.log"
    path.write_bytes(struct.pack(">II", 3, zlib.crc32(b"abc")) + b"abc")
    assert read(path) == [b"abc"]
