"""`ccr pull` against a registry and its S3: layouts, archives, and going on after trouble."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ccr.cli.exits import Exit
from tests.cli import storage_proxy
from tests.cli.storage_proxy import Misdeed, StorageProxy
from tests.cli.terminal import Terminal
from tests.conftest import Registries
from tests.support.client import Client
from tests.support.content import Document, digest_of, image, index
from tests.support.process import ROOT

MEBIBYTE = 1024 * 1024
PART = 16 * MEBIBYTE


@pytest.fixture
def pushed(client: Client, dev: str) -> Document:
    """`dev`/app:1.0: a layer of several ranges, and small ones."""
    made = image(os.urandom(2 * PART + 5 * MEBIBYTE), os.urandom(1000), b"")
    client.about(f"{dev}/app").push(made, "1.0")
    return made


def check(folder: Path, document: Document) -> None:
    """That the layout has it, and nothing that is not whole."""
    for one in (document.raw, *document.blobs):
        place = folder / "blobs" / digest_of(one).replace(":", "/")
        assert place.read_bytes() == one
    assert not [one for one in folder.rglob("*") if one.name.endswith((".partial", ".parts", ".lock"))]


def test_a_layout_is_whole_and_the_digest_comes_last(
    terminal: Terminal, dev: str, pushed: Document, tmp_path: Path
) -> None:
    said = terminal.ccr("pull", f"{terminal.registry.host}/{dev}/app:1.0", str(tmp_path / "image"))
    assert said.out.splitlines()[-1] == pushed.digest
    assert said.err == ""
    check(tmp_path / "image", pushed)
    (entry,) = json.loads((tmp_path / "image" / "index.json").read_text())["manifests"]
    assert entry["digest"] == pushed.digest
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "1.0"


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize("named", ["{dev}/app:none", "{dev}/none:1.0", "nobody-has-this/app:1.0"])
def test_what_is_not_there_and_what_may_not_be_pulled_is_told_in_the_same_words(
    terminal: Terminal, dev: str, project: str, tmp_path: Path, named: str
) -> None:
    robot = f"{dev}-reader"
    made = terminal.ask("credential", "create-robot", robot, "-p", project, "--grant", f"{dev}/*:pull")
    terminal.environ |= {
        "CCR_URL": terminal.registry.url,
        "CCR_USERNAME": robot,
        "CCR_PASSWORD": made["secret"],
    }
    name = named.format(dev=dev)
    ended = terminal.try_ccr("pull", name, str(tmp_path / "image"))
    assert (ended.exit_code, ended.err) == (
        Exit.NOT_FOUND,
        f"ccr: there is no image '{name}' that you may see\n",
    )


def test_what_is_there_is_not_pulled_again_unless_it_is_damaged(
    terminal: Terminal, dev: str, pushed: Document, tmp_path: Path
) -> None:
    folder = tmp_path / "image"
    first = terminal.ask("pull", f"{dev}/app:1.0", str(folder))
    assert first["received_bytes"] == sum(map(len, pushed.blobs))
    assert terminal.ask("pull", f"{dev}/app:1.0", str(folder))["received_bytes"] == 0
    small = next(one for one in pushed.blobs if len(one) == 1000)
    (folder / "blobs" / digest_of(small).replace(":", "/")).write_bytes(b"x" * 1000)
    assert terminal.ask("pull", f"{dev}/app:1.0", str(folder))["received_bytes"] == 1000
    check(folder, pushed)


def test_a_layout_holds_several_images(terminal: Terminal, client: Client, dev: str, tmp_path: Path) -> None:
    own, made = client.about(f"{dev}/app"), [image(b"one"), image(b"two"), image(b"three")]
    for document, tag in zip(made, ("1.0", "2.0", "2.1"), strict=True):
        own.push(document, tag)
    folder = tmp_path / "image"
    terminal.ccr("pull", f"{dev}/app:1.0", str(folder))
    terminal.ccr("pull", f"{dev}/app:2.0", str(folder))
    terminal.ccr("pull", f"{dev}/app@{made[2].digest}", str(folder))
    assert terminal.ask("push", str(folder), f"{dev}/again:1", "--ref", "2.0")["digest"] == made[1].digest
    own.push(made[2], "2.0")
    terminal.ccr("pull", f"{dev}/app:2.0", str(folder))
    entries = json.loads((folder / "index.json").read_text())["manifests"]
    assert [one["digest"] for one in entries] == [made[0].digest, made[2].digest, made[2].digest]


def test_an_archive_is_one_for_docker_and_a_layout_too(
    terminal: Terminal, dev: str, prod: str, pushed: Document, tmp_path: Path
) -> None:
    place = tmp_path / "image.tar"
    terminal.ccr("pull", f"{dev}/app:1.0", str(place))
    with tarfile.open(place) as tar:
        found = {one.name: tar.extractfile(one).read() for one in tar if one.isreg()}  # type: ignore[union-attr]
    (listing,) = json.loads(found["manifest.json"])
    config, *layers = pushed.blobs
    assert found[listing["Config"]] == config
    assert [found[one] for one in listing["Layers"]] == layers
    assert listing["RepoTags"] == [f"{terminal.registry.host}/{dev}/app:1.0"]
    assert sorted(one.name for one in tmp_path.glob("image*")) == ["image.tar"]
    assert terminal.ask("push", str(place), f"{prod}/app:1.0")["digest"] == pushed.digest


def test_an_index_comes_whole_or_as_one_platform(
    terminal: Terminal, client: Client, dev: str, tmp_path: Path
) -> None:
    own, children = client.about(f"{dev}/app"), [image(b"one"), image(b"two")]
    for child in children:
        own.push(child)
    entries = [
        children[0].descriptor(platform={"os": "linux", "architecture": "amd64"}),
        children[1].descriptor(platform={"os": "linux", "architecture": "arm", "variant": "v7"}),
    ]
    whole = index(manifests=entries)
    own.push(whole, "all")
    assert terminal.ask("pull", f"{dev}/app:all", str(tmp_path / "all"))["manifests"] == 3
    check(tmp_path / "all", children[0])
    check(tmp_path / "all", children[1])
    one = terminal.ask("pull", f"{dev}/app:all", str(tmp_path / "arm.tar"), "--platform", "linux/arm")
    assert one["digest"] == children[1].digest
    ended = terminal.try_ccr("pull", f"{dev}/app:all", str(tmp_path / "s390"), "--platform", "linux/s390x")
    assert ended.exit_code == Exit.DAMAGED
    assert "linux/arm/v7" in ended.err


@pytest.mark.parametrize(
    "misdeed",
    [
        storage_proxy.cut,
        storage_proxy.send_half,
        storage_proxy.say_slow_down,
        storage_proxy.say_expired,
        storage_proxy.send_other_bytes,
    ],
    ids=lambda one: one.__name__,
)
def test_trouble_with_the_storage_passes_unnoticed(
    pushed: Document, terminal: Terminal, storage: StorageProxy, dev: str, misdeed: Misdeed
) -> None:
    """To a folder and to a tar."""
    for name in ("image", "image.tar"):
        storage.misdeeds += [misdeed, storage_proxy.pass_on]
        place = terminal.home / name
        assert terminal.ask("pull", f"{dev}/app:1.0", str(place))["digest"] == pushed.digest
        assert storage.misdeeds == []
    check(terminal.home / "image", pushed)
    terminal.ccr("push", str(terminal.home / "image.tar"), f"{dev}/again:1.0")


@pytest.mark.parametrize("name", ["image", "image.tar"])
def test_a_killed_pull_goes_on_where_it_was(
    terminal: Terminal, storage: StorageProxy, dev: str, tmp_path: Path, name: str
) -> None:
    made = image(os.urandom(4 * PART))
    Client(storage.registry, "admin", terminal.registry.password, f"{dev}/app").push(made, "1.0")
    storage.misdeeds += [*[storage_proxy.pass_on] * 3, storage_proxy.hold]
    place = tmp_path / name
    command = [sys.executable, "-m", "ccr", "pull", f"{dev}/app:1.0", str(place), "--jobs", "1"]
    process = subprocess.Popen(command, env=terminal.environment(), cwd=ROOT)
    try:
        assert storage.held.wait(120)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert storage.large(storage.gets) == [PART] * 3
    assert not place.is_file()
    storage.gets.clear()
    pulled = terminal.ask("pull", f"{dev}/app:1.0", str(place))
    assert pulled["digest"] == made.digest
    assert storage.large(storage.gets) == [PART]
    terminal.ccr("push", str(place), f"{dev}/again:1.0")


def test_other_bytes_again_and_again_are_refused(
    terminal: Terminal, storage: StorageProxy, dev: str, pushed: Document, tmp_path: Path
) -> None:
    storage.misdeeds += [storage_proxy.send_other_bytes] * 20
    ended = terminal.try_ccr("pull", f"{dev}/app:1.0", str(tmp_path / "image"))
    assert ended.exit_code == Exit.DAMAGED
    assert not (tmp_path / "image" / "index.json").exists()
    storage.misdeeds.clear()
    terminal.ccr("pull", f"{dev}/app:1.0", str(tmp_path / "image"))
    check(tmp_path / "image", pushed)


def test_a_registry_that_sends_the_bytes_itself_is_pulled_from(
    registries: Registries, tmp_path: Path
) -> None:
    registry = registries.get("passthrough")
    made = image(os.urandom(PART + MEBIBYTE), b"small")
    Client(registry.url, registry.username, registry.password, "dev/pulled").push(made, "1.0")
    terminal = Terminal(tmp_path, registry)
    terminal.log_in()
    terminal.ccr("pull", "dev/pulled:1.0", str(tmp_path / "image"))
    check(tmp_path / "image", made)


def test_what_is_not_there_and_what_is_in_the_way_is_said(
    terminal: Terminal, dev: str, pushed: Document, tmp_path: Path
) -> None:
    missing = terminal.try_ccr("pull", f"{dev}/app:2.0", str(tmp_path / "image"))
    assert missing.exit_code == Exit.NOT_FOUND
    assert terminal.try_ccr("pull", f"{dev}/app:1.0").exit_code == Exit.USAGE
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis").write_text("years of work")
    ended = terminal.try_ccr("pull", f"{dev}/app:1.0", str(tmp_path / "mine"))
    assert (ended.exit_code, sorted(one.name for one in (tmp_path / "mine").iterdir())) == (
        Exit.CONFLICT,
        ["thesis"],
    )
