"""`ccr push` against a registry and its S3: what travels, what does not, and trouble on the way."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ccr.cli.exits import Exit
from ccr.cli.transfer import journal
from tests.cli import storage_proxy
from tests.cli.archives import DockerImage, docker_archive, layer_tar
from tests.cli.storage_proxy import Misdeed, StorageProxy
from tests.cli.terminal import Terminal
from tests.clients.commands import Unavailable, run
from tests.clients.daemons import docker_daemon, environment
from tests.clients.layout import Layout, write_image, write_index
from tests.support.client import Client
from tests.support.content import digest_of
from tests.support.process import PASSWORD, ROOT

MEBIBYTE = 1024 * 1024
PART = 16 * MEBIBYTE
Fresh = Callable[[str], str]


@pytest.fixture
def image(tmp_path: Path) -> Layout:
    """One that goes in parts, one that does not, and one that is nearly nothing."""
    return write_image(tmp_path / "image", [2 * PART + 5 * MEBIBYTE, 2 * MEBIBYTE, 10])


def check_pulls(client: Client | StorageProxy, repository: str, layout: Layout, reference: str) -> None:
    """Every byte of it, past the storage."""
    own = Client(client.url, "admin", PASSWORD, repository)
    if isinstance(client, StorageProxy):
        own = Client(client.registry, "admin", PASSWORD, repository)
    manifest = own.get(f"manifests/{reference}")
    assert manifest.content == layout.blob(layout.digest)
    for one in [json.loads(manifest.content)["config"], *json.loads(manifest.content)["layers"]]:
        assert own.get(f"blobs/{one['digest']}").content == layout.blob(one["digest"])


def layer_sizes(layout: Layout) -> list[int]:
    return [one["size"] for one in json.loads(layout.blob(layout.digest))["layers"]]


def test_an_image_arrives_whole_and_the_digest_comes_last(
    terminal: Terminal, client: Client, dev: str, image: Layout
) -> None:
    said = terminal.ccr("push", str(image.folder), f"{terminal.registry.host}/{dev}/app:1.0")
    assert said.out.splitlines()[-1] == image.digest
    assert said.err == ""
    check_pulls(client, f"{dev}/app", image, "1.0")


def test_json_is_one_document_that_counts_what_travelled(terminal: Terminal, dev: str, image: Layout) -> None:
    pushed = terminal.ask("push", str(image.folder), f"{dev}/app:1.0")
    assert pushed["digest"] == image.digest
    assert {one["state"] for one in pushed["blobs"]} == {"sent"}
    assert pushed["sent_bytes"] == sum(one["size"] for one in pushed["blobs"])
    again = terminal.ask("push", str(image.folder), f"{dev}/app:2.0")
    assert (again["sent_bytes"], {one["state"] for one in again["blobs"]}) == (0, {"present"})


def test_no_layer_passes_the_registry(
    terminal: Terminal, storage: StorageProxy, dev: str, image: Layout
) -> None:
    pushed = terminal.ask("push", str(image.folder), f"{dev}/app:1.0")
    assert sum(storage.puts) == pushed["sent_bytes"]
    assert PART in storage.puts


def test_blobs_are_mounted_from_where_they_were_pushed_to(
    terminal: Terminal, storage: StorageProxy, dev: str, prod: str, image: Layout
) -> None:
    terminal.ccr("push", str(image.folder), f"{dev}/app:1.0")
    storage.puts.clear()
    pushed = terminal.ask("push", str(image.folder), f"{prod}/app:1.0")
    assert {one["state"] for one in pushed["blobs"]} == {"mounted"}
    assert storage.puts == []
    check_pulls(storage, f"{prod}/app", image, "1.0")


def test_blobs_are_mounted_from_where_one_says(
    terminal: Terminal, client: Client, dev: str, prod: str, image: Layout
) -> None:
    terminal.ccr("push", str(image.folder), f"{dev}/app:1.0")
    journal.path({"XDG_STATE_HOME": str(terminal.home / ".local" / "state")}).unlink()
    pushed = terminal.ask("push", str(image.folder), f"{prod}/app:1.0", "--mount-from", f"{dev}/app")
    assert {one["state"] for one in pushed["blobs"]} == {"mounted"}
    check_pulls(client, f"{prod}/app", image, "1.0")


def test_an_index_arrives_with_its_children_or_one_platform_of_it(
    terminal: Terminal, client: Client, dev: str, tmp_path: Path
) -> None:
    layout = write_index(tmp_path / "index", ["amd64", "arm64"], 1000)
    assert terminal.ask("push", str(layout.folder), f"{dev}/app:all")["manifests"] == 3
    own = client.about(f"{dev}/app")
    assert own.get("manifests/all").content == layout.blob(layout.digest)
    children = [one["digest"] for one in json.loads(layout.blob(layout.digest))["manifests"]]
    assert {own.get(f"manifests/{one}").status_code for one in children} == {200}
    one = terminal.ask("push", str(layout.folder), f"{dev}/app:arm", "--platform", "linux/arm64")
    assert (one["digest"], one["manifests"]) == (children[1], 1)


def test_a_docker_archive_is_pushed_under_gzip(
    terminal: Terminal, client: Client, dev: str, tmp_path: Path
) -> None:
    layer = layer_tar(b"much the same " * 100_000)
    place = tmp_path / "image.tar.gz"
    place.write_bytes(gzip.compress(docker_archive(DockerImage([layer]))))
    terminal.ccr("push", str(place), f"{dev}/app:1.0")
    own = client.about(f"{dev}/app")
    manifest = own.get("manifests/1.0").json()
    assert gzip.decompress(own.get(f"blobs/{manifest['layers'][0]['digest']}").content) == layer
    again = terminal.ask("push", str(place), f"{dev}/app:1.0")
    assert again["sent_bytes"] == 0


@pytest.fixture(
    params=[
        storage_proxy.cut,
        storage_proxy.lose_answer,
        storage_proxy.say_slow_down,
        storage_proxy.say_expired,
    ],
    ids=lambda one: one.__name__,
)
def misdeed(request: pytest.FixtureRequest) -> Misdeed:
    """What a storage does to a request."""
    chosen: Misdeed = request.param
    return chosen


def test_trouble_with_the_storage_passes_unnoticed(
    terminal: Terminal, storage: StorageProxy, dev: str, image: Layout, misdeed: Misdeed
) -> None:
    storage.misdeeds += [misdeed, storage_proxy.pass_on, misdeed]
    terminal.ccr("push", str(image.folder), f"{dev}/app:1.0")
    assert storage.misdeeds == []
    assert sum(storage.large(storage.puts)) == sum(one for one in layer_sizes(image) if one > MEBIBYTE)
    check_pulls(storage, f"{dev}/app", image, "1.0")


def test_answers_of_the_control_plane_may_be_lost(
    terminal: Terminal, storage: StorageProxy, client: Client, dev: str, image: Layout
) -> None:
    """Every other one, so that each kind of request is among them."""
    storage.api_misdeeds += [storage_proxy.pass_on, storage_proxy.cut] * 6
    terminal.ccr("push", str(image.folder), f"{dev}/app:1.0")
    assert storage.api_misdeeds == []
    check_pulls(client, f"{dev}/app", image, "1.0")


def test_a_killed_push_goes_on_where_it_was(
    terminal: Terminal, storage: StorageProxy, client: Client, dev: str, tmp_path: Path
) -> None:
    layout = write_image(tmp_path / "image", [4 * PART])
    storage.misdeeds += [*[storage_proxy.pass_on] * 3, storage_proxy.hold]
    command = [sys.executable, "-m", "ccr", "push", str(layout.folder), f"{dev}/app:1.0", "--jobs", "1"]
    process = subprocess.Popen(command, env=terminal.environment(), cwd=ROOT)
    try:
        assert storage.held.wait(120)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    arrived = sum(storage.large(storage.puts))
    assert arrived == 3 * PART
    storage.puts.clear()
    pushed = terminal.ask("push", str(layout.folder), f"{dev}/app:1.0")
    (size,) = layer_sizes(layout)
    assert [one["sent_bytes"] for one in pushed["blobs"] if one["size"] == size] == [size - arrived]
    assert sum(storage.large(storage.puts)) == size - arrived - (
        size - 4 * PART if size - 4 * PART < MEBIBYTE else 0
    )
    check_pulls(client, f"{dev}/app", layout, "1.0")


def test_a_journal_that_is_damaged_costs_nothing(
    terminal: Terminal, client: Client, dev: str, image: Layout
) -> None:
    place = journal.path({"XDG_STATE_HOME": str(terminal.home / ".local" / "state")})
    place.parent.mkdir(parents=True)
    place.write_text('{"uploads": [], "blobs": ')
    terminal.ccr("push", str(image.folder), f"{dev}/app:1.0")
    check_pulls(client, f"{dev}/app", image, "1.0")
    assert json.loads(place.read_text())["uploads"] == {}
    assert place.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("size", [1000, PART + MEBIBYTE])
def test_a_layer_that_is_not_its_digest_is_refused_and_nothing_is_published(
    terminal: Terminal, client: Client, dev: str, tmp_path: Path, size: int
) -> None:
    layout = write_image(tmp_path / "image", [size])
    digest = json.loads(layout.blob(layout.digest))["layers"][0]["digest"]
    place = layout.folder / "blobs" / digest.replace(":", "/")
    raw = bytearray(place.read_bytes())
    raw[len(raw) // 2] ^= 1
    place.write_bytes(raw)
    ended = terminal.try_ccr("push", str(layout.folder), f"{dev}/app:1.0")
    assert ended.exit_code == Exit.DAMAGED
    assert digest in ended.err
    own = client.about(f"{dev}/app")
    assert {own.head(f"blobs/{one}").status_code for one in (digest, digest_of(bytes(raw)))} == {404}
    assert own.get("manifests/1.0").status_code == 404


def test_a_damaged_archive_sends_nothing(
    terminal: Terminal, storage: StorageProxy, dev: str, tmp_path: Path
) -> None:
    place = tmp_path / "image.tar"
    place.write_bytes(gzip.compress(docker_archive(DockerImage([layer_tar(os.urandom(10_000))])))[:-100])
    ended = terminal.try_ccr("push", str(place), f"{dev}/app:1.0")
    assert (ended.exit_code, len(ended.err.splitlines())) == (Exit.DAMAGED, 1)
    assert storage.puts == []


def test_who_may_only_pull_is_told_so(
    terminal: Terminal, dev: str, project: str, image: Layout, fresh: Fresh
) -> None:
    terminal.ccr("push", str(image.folder), f"{dev}/app:1.0")
    id_ = fresh("viewer")
    secret = terminal.ask("credential", "create-user", id_, "--role", f"{project}=viewer")["secret"]
    terminal.log_in(id_, secret, "viewer")
    ended = terminal.try_ccr("push", str(image.folder), f"{dev}/app:2.0", "--profile", "viewer")
    assert ended.exit_code == Exit.FORBIDDEN


def test_a_digest_in_the_name_has_to_be_the_image(terminal: Terminal, dev: str, image: Layout) -> None:
    other = digest_of(b"another")
    ended = terminal.try_ccr("push", str(image.folder), f"{dev}/app@{other}")
    assert ended.exit_code == Exit.FAILURE
    assert image.digest in ended.err
    terminal.ccr("push", str(image.folder), f"{dev}/app@{image.digest}")


@pytest.mark.parametrize("name", ["app:1.0", "dev/App:1.0", "dev/app:", "dev/app@sha256:12", ""])
def test_a_name_that_is_none_is_a_wrong_command_line(terminal: Terminal, image: Layout, name: str) -> None:
    assert terminal.try_ccr("push", str(image.folder), name).exit_code == Exit.USAGE


def test_a_terminal_sees_a_bar_for_each_layer_and_a_file_none(
    terminal: Terminal, dev: str, image: Layout
) -> None:
    shown = terminal.on_screen("push", str(image.folder), f"{dev}/app:1.0")
    for one in json.loads(image.blob(image.digest))["layers"]:
        assert one["digest"].removeprefix("sha256:")[:12] in shown
    assert "MiB" in shown
    assert terminal.python("ccr", "push", str(image.folder), f"{dev}/app:2.0").err == ""


def test_an_image_of_a_docker_engine_is_pushed(
    terminal: Terminal, client: Client, dev: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("docker")
    layout = write_image(folder / "image", [2 * MEBIBYTE])
    try:
        with docker_daemon(folder) as daemon:
            environ = environment(folder)
            archive = folder / "image.tar"
            archive.write_bytes(docker_archive(DockerImage([layer_tar(os.urandom(MEBIBYTE))])))
            run([daemon.client, "-H", daemon.address, "load", "-i", str(archive)], environ)
            terminal.environ["DOCKER_HOST"] = daemon.address
            pushed = terminal.ask("push", "docker:app:1.0", f"{dev}/app:1.0")
            terminal.ccr("push", str(layout.folder), f"{dev}/other:1.0")
            terminal.ccr("pull", f"{dev}/other:1.0", "--load")
            listed = run([daemon.client, "-H", daemon.address, "images", "--no-trunc"], environ)
    except Unavailable as error:
        pytest.skip(str(error))
    assert client.about(f"{dev}/app").get(f"manifests/{pushed['digest']}").status_code == 200
    assert f"{dev}/other" in listed
