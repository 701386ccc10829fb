"""What was deleted or moved, and back; policies of that; deletion of many at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.terminal import Terminal
from tests.support.client import Client
from tests.support.content import image


@pytest.fixture
def own(client: Client, dev: str) -> Client:
    return client.about(f"{dev}/app")


def test_a_deleted_image_is_listed_in_the_trash_and_comes_back_with_its_tags(
    terminal: Terminal, dev: str, own: Client
) -> None:
    pushed = image(b"layer")
    digest = own.push(pushed, "1.0")
    own.push(pushed, "latest")
    terminal.ccr("tag", "delete", f"{dev}/app@{digest}")
    (kept,) = terminal.ask("trash", "list", f"{dev}/app")
    assert (kept["digest"], kept["tags"], kept["deleted_by"]) == (digest, ["1.0", "latest"], "admin")
    assert own.get("manifests/1.0").status_code == 404
    restored = terminal.ask("restore", f"{dev}/app@{digest}")
    assert (restored["tags"], restored["manifests"], restored["left"]) == (["1.0", "latest"], [digest], {})
    assert own.get("manifests/latest").headers["Docker-Content-Digest"] == digest
    assert terminal.ask("trash", "list", f"{dev}/app") == []
    actions = [one["action"] for one in terminal.ask("audit", "--repository", f"{dev}/app")]
    assert {"delete", "restore"} <= set(actions)


def test_a_tag_that_names_something_else_is_left_and_forced(
    terminal: Terminal, dev: str, own: Client
) -> None:
    first = own.push(image(b"first"), "1.0")
    terminal.ccr("tag", "delete", f"{dev}/app@{first}")
    second = own.push(image(b"second"), "1.0")
    assert terminal.ask("restore", f"{dev}/app@{first}")["left"] == {"1.0": second}
    assert terminal.ask("restore", f"{dev}/app@{first}", "--tag", "1.0", "--force")["tags"] == ["1.0"]
    assert own.get("manifests/1.0").headers["Docker-Content-Digest"] == first


def test_what_is_purged_is_not_restored(terminal: Terminal, dev: str, own: Client) -> None:
    digest = own.push(image(b"a secret"), "1.0")
    terminal.ccr("tag", "delete", f"{dev}/app@{digest}")
    terminal.ccr("trash", "purge", f"{dev}/app@{digest}")
    ended = terminal.try_ccr("restore", f"{dev}/app@{digest}")
    assert (ended.exit_code, "not in the trash" in ended.err) == (5, True)


def test_a_tag_has_a_history_and_goes_back_in_it(terminal: Terminal, dev: str, own: Client) -> None:
    first, second = own.push(image(b"first"), "live"), own.push(image(b"second"), "live")
    history = terminal.ask("tag", "history", f"{dev}/app:live")
    assert [(one["digest"], one["previous"]) for one in history] == [(second, first), (first, None)]
    assert {one["actor"] for one in history} == {"admin"}
    assert terminal.ask("tag", "rollback", f"{dev}/app:live")["digest"] == first
    assert own.get("manifests/live").headers["Docker-Content-Digest"] == first
    assert terminal.ask("tag", "history", f"{dev}/app:live", "--limit", "1")[0]["action"] == "rollback"
    assert terminal.ask("tag", "rollback", f"{dev}/app:live", "--to", second)["digest"] == second


def test_a_rollback_that_moves_nothing_says_so(terminal: Terminal, dev: str, own: Client) -> None:
    digest = own.push(image(b"layer"), "live")
    said = terminal.ccr("tag", "rollback", f"{dev}/app:live", "--to", digest)
    assert f"nothing moved: {dev}/app:live names that already" in said.err


def test_a_tag_that_named_nothing_is_told_as_that(terminal: Terminal, dev: str, own: Client) -> None:
    own.push(image(b"layer"), "live")
    said = terminal.ccr("tag", "at", f"{dev}/app:live", "2024-03-01").out
    assert said == f"{dev}/app:live named nothing at 2024-03-01 00:00Z\n"
    assert f"{dev}/app:never never named anything" in terminal.ccr("tag", "history", f"{dev}/app:never").err


def test_a_list_of_nothing_says_none_beside_its_headings(terminal: Terminal, dev: str, own: Client) -> None:
    own.push(image(b"layer"), "live")
    listed = terminal.ccr("trash", "list", f"{dev}/app")
    assert listed.out.startswith("DIGEST")
    assert listed.err == "ccr: none\n"
    assert terminal.try_ccr("trash", "list", f"{dev}/app", "--output", "json").err == ""


def test_what_a_tag_named_at_a_time_is_told(terminal: Terminal, dev: str, own: Client) -> None:
    digest = own.push(image(b"layer"), "live")
    assert terminal.ask("tag", "at", f"{dev}/app:live", "2024-03-01")["digest"] is None
    named = terminal.ask("tag", "at", f"{dev}/app:live", "0s")
    assert (named["digest"], named["state"], named["actor"]) == (digest, "live", "admin")


def test_immutable_tags_are_neither_moved_nor_deleted_unless_forced(
    terminal: Terminal, dev: str, own: Client
) -> None:
    set_to = terminal.ask("policy", "immutable-tags", dev, "v*", "--except", "*-rc*")
    assert (set_to["patterns"], set_to["except"], set_to["version"]) == (["v*"], ["*-rc*"], "1")
    digest = own.push(image(b"first"), "v1")
    other = image(b"second")
    own.push(other, "v1-rc1")
    refused = own.put_manifest(other, "v1")
    assert refused.status_code == 403
    assert f"the tag v1 of {dev}/app is immutable (pattern v*) and names {digest}" in refused.text
    ended = terminal.try_ccr("tag", "delete", f"{dev}/app:v1")
    assert (ended.exit_code, "immutable" in ended.err) == (4, True)
    terminal.ccr("tag", "delete", f"{dev}/app:v1", "--force")
    assert terminal.ask("policy", "immutable-tags", dev)["patterns"] == ["v*"]
    terminal.ccr("policy", "immutable-tags", dev, "--off")
    assert terminal.try_ccr("policy", "immutable-tags", dev).exit_code == 5


def test_a_policy_in_force_says_whose_it_is(terminal: Terminal, dev: str, own: Client) -> None:
    own.push(image(b"layer"), "1.0")
    shown = terminal.ask("policy", "retention", f"{dev}/app")
    assert shown == {"days": 7, "counted": True, "scope": "", "inherited": True}
    assert "the setting of the deployment" in terminal.ccr("policy", "retention", dev).out
    terminal.ccr("policy", "retention", dev, "30", "--uncounted")
    shown = terminal.ask("policy", "retention", f"{dev}/app")
    assert shown == {"days": 30, "counted": False, "scope": dev, "inherited": True}
    nothing = terminal.try_ccr("policy", "immutable-tags", f"{dev}/app")
    assert (nothing.exit_code, nothing.err) == (
        5,
        f"ccr: no tags of {dev}/app are immutable: there is no such policy\n",
    )
    terminal.ccr("policy", "immutable-tags", dev, "v*")
    assert f"that of the registry {dev}" in terminal.ccr("policy", "immutable-tags", f"{dev}/app").out
    terminal.ccr("policy", "immutable-tags", f"{dev}/app", "*")
    shown = terminal.ask("policy", "immutable-tags", f"{dev}/app")
    assert (shown["patterns"], shown["scope"], shown["inherited"]) == (["*"], f"{dev}/app", False)
    assert "its own" in terminal.ccr("policy", "immutable-tags", f"{dev}/app").out
    terminal.ccr("policy", "immutable-tags", f"{dev}/app", "--off")


def test_a_retention_of_no_days_keeps_nothing(terminal: Terminal, dev: str, own: Client) -> None:
    assert terminal.ask("policy", "retention", f"{dev}/app", "0")["days"] == 0
    digest = own.push(image(b"layer"), "1.0")
    terminal.ccr("tag", "delete", f"{dev}/app@{digest}")
    assert terminal.ask("trash", "list", f"{dev}/app") == []


def test_what_is_kept_uncounted_says_that_it_gives_way(terminal: Terminal, dev: str, own: Client) -> None:
    set_ = terminal.ask("policy", "retention", dev, "30", "--uncounted")
    assert (set_["days"], set_["counted"]) == (30, False)
    assert "gives way to pushes" in terminal.ccr("policy", "retention", dev).out
    assert terminal.try_ccr("policy", "retention", dev, "--counted").exit_code == 2
    digest = own.push(image(b"layer"), "1.0")
    terminal.ccr("tag", "delete", f"{dev}/app@{digest}")
    (kept,) = terminal.ask("trash", "list", f"{dev}/app")
    assert kept["gives_way"]
    assert terminal.ask("tag", "at", f"{dev}/app:1.0", kept["deleted"])["digest"] in {digest, None}
    # Its repository still links the blobs: nothing can go yet.
    assert terminal.ask("quota", "show")["gives_way_bytes"] == 0
    assert terminal.ask("policy", "retention", dev, "7")["counted"] is None
    terminal.ccr("policy", "retention", dev, "--off")


def test_tags_by_a_pattern_go_after_a_dry_run_that_says_which(
    terminal: Terminal, dev: str, own: Client
) -> None:
    for tag in ("pr-1", "pr-2", "1.0"):
        own.push(image(tag.encode()), tag)
    dry = terminal.ask("tag", "delete", f"{dev}/app:pr-*", "--dry-run")
    assert sorted(one["reference"] for one in dry) == ["pr-1", "pr-2"]
    assert len(terminal.ask("tag", "list", f"{dev}/app")) == 3
    assert terminal.try_ccr("tag", "delete", f"{dev}/app:pr-*").exit_code == 2
    done = terminal.ask("tag", "delete", f"{dev}/app:pr-*", "--yes")
    assert [one["refused"] for one in done] == ["", ""]
    assert [one["tag"] for one in terminal.ask("tag", "list", f"{dev}/app")] == ["1.0"]


def test_images_by_a_pattern_and_the_untagged(terminal: Terminal, dev: str, own: Client) -> None:
    both = image(b"shared")
    gone, shared = own.push(image(b"gone"), "pr-1"), own.push(both, "pr-2")
    own.push(both, "1.0")
    own.push(image(b"old"), "live")
    own.push(image(b"new"), "live")
    done: list[dict[str, Any]] = terminal.ask("image", "delete", f"{dev}/app:pr-*", "--yes")
    assert {(one["digest"], one["image"]) for one in done} == {(gone, True), (shared, False)}
    assert own.get(f"manifests/{shared}").status_code == 200
    (untagged,) = terminal.ask("image", "delete", f"{dev}/app", "--untagged", "--dry-run")
    assert untagged["why"] == "no tag and no index names it"
    assert terminal.ask("image", "delete", f"{dev}/app", "--untagged", "--older-than", "1d", "--yes") == []
    terminal.ccr("image", "delete", f"{dev}/app", "--untagged", "--yes")
    assert own.get(f"manifests/{untagged['digest']}").status_code == 404


@pytest.mark.parametrize("is_purged", [False, True], ids=["kept", "purged"])
def test_the_images_of_a_deleted_repository_can_be_restored_unless_it_is_purged(
    terminal: Terminal, dev: str, own: Client, *, is_purged: bool
) -> None:
    digest = own.push(image(b"layer"), "1.0")
    terminal.ccr("repository", "delete", f"{dev}/app", "--force", *(["--purge"] if is_purged else []))
    if is_purged:
        assert terminal.try_ccr("trash", "list", f"{dev}/app").exit_code == 5
        return
    assert [one["digest"] for one in terminal.ask("trash", "list", f"{dev}/app")] == [digest]
    terminal.ccr("restore", f"{dev}/app@{digest}")
    assert [one["name"] for one in terminal.ask("repository", "list", dev)] == [f"{dev}/app"]
    assert own.get("manifests/1.0").headers["Docker-Content-Digest"] == digest
