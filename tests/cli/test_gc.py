"""What the garbage collector says of a blob, and what a run of it frees."""

from __future__ import annotations

import pytest

from tests.cli.terminal import Terminal
from tests.support.client import Client
from tests.support.content import digest_of, image


def test_a_blob_is_held_by_the_tag_of_its_image_and_then_kept_by_its_deletion(
    terminal: Terminal, dev: str, client: Client
) -> None:
    own = client.about(f"{dev}/app")
    pushed = image(f"held in {dev}".encode())
    own.push(pushed, "1.0")
    blob = digest_of(pushed.blobs[0])
    told = terminal.ccr("gc", "plan", blob).out
    assert f"held by tag {dev}/app:1.0, manifest {pushed.digest}, since" in told
    document = terminal.ask("gc", "plan", blob)
    assert [one["tags"] for one in document["held_by"]] == [["1.0"]]
    assert document["goes_at"] is None
    own.delete(f"manifests/{pushed.digest}")
    told = terminal.ccr("gc", "plan", blob).out
    assert "held by" not in told
    assert "kept by a deleted manifest until" in told
    assert f"in {dev}/app with no manifest since" in told


def test_a_blob_that_nothing_holds_is_said_to_go_and_when(
    terminal: Terminal, dev: str, client: Client
) -> None:
    own = client.about(f"{dev}/app")
    digest = own.push_blob(f"unreferenced in {dev}".encode())
    assert terminal.ask("gc", "plan", digest)["unnamed"] == 0
    assert f"in {dev}/app with no manifest since" in terminal.ccr("gc", "plan", digest).out
    own.delete(f"blobs/{digest}")
    told = terminal.ccr("gc", "plan", digest).out
    assert "unreferenced since" in told
    assert "goes at" in told


def test_a_run_says_what_it_freed_and_frees_nothing_young(
    terminal: Terminal, dev: str, client: Client
) -> None:
    digest = client.about(f"{dev}/app").push_blob(f"young in {dev}".encode())
    run = terminal.ask("gc", "run")
    assert (run["blobs"], run["links"], run["complete"]) == (0, 0, True)
    assert terminal.ask("gc", "plan") == {"items": [], "more": False}
    assert terminal.ask("gc", "plan", digest)["goes_at"] is None
    assert terminal.ask("gc", "report") == []


def test_a_digest_that_nobody_has_is_not_found(terminal: Terminal) -> None:
    ended = terminal.try_ccr("gc", "plan", f"sha256:{'0' * 64}")
    assert (ended.exit_code, "manifests are none" in ended.err) == (5, True)


@pytest.mark.parametrize("named", ["dev/app:1.0", "garbage", "sha256:abc"])
def test_what_is_no_digest_is_told_what_one_is(terminal: Terminal, named: str) -> None:
    ended = terminal.try_ccr("gc", "plan", named)
    assert ended.exit_code == 2
    assert f"'{named}' is no digest of a blob" in ended.err
