"""What skopeo alone does: copies of whole indexes, a look from outside, tags, deletion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.commands import ClientError
from tests.clients.conftest import Drivers, Target, one_way
from tests.clients.drivers import Skopeo
from tests.clients.layout import TAG, Layout, write_index

pytestmark = pytest.mark.clients

PLATFORMS = ("amd64", "arm64", "s390x")


@pytest.fixture
def skopeo(drivers: Drivers, target: Target) -> Skopeo:
    """One that is logged in to the target's registry."""
    driver = drivers.get("skopeo")
    assert isinstance(driver, Skopeo)
    driver.login(target.host, target.registry.username, target.registry.password)
    return driver


@pytest.fixture
def pushed(skopeo: Skopeo, target: Target, image: Layout) -> Layout:
    skopeo.load(image, target.reference)
    skopeo.push(target.reference)
    return image


def test_an_index_is_copied_with_every_image_in_it(skopeo: Skopeo, target: Target, tmp_path: Path) -> None:
    index = write_index(tmp_path / "index", PLATFORMS, 1024 * 1024)
    skopeo.load(index, target.reference)
    skopeo.push(target.reference)
    skopeo.remove(target.reference)

    skopeo.pull(target.reference)

    held = skopeo.held(target.reference)
    assert held is not None
    assert held.manifest == index.digest == target.served_digest()
    told = json.loads(skopeo.told("inspect", "--raw", "--tls-verify=false", f"docker://{target.reference}"))
    assert [child["platform"]["architecture"] for child in told["manifests"]] == list(PLATFORMS)


@one_way
def test_inspect_tells_digest_tags_and_layers(skopeo: Skopeo, target: Target, pushed: Layout) -> None:
    told = json.loads(skopeo.told("inspect", "--tls-verify=false", f"docker://{target.reference}"))
    manifest = json.loads(pushed.blob(pushed.digest))
    assert told["Digest"] == pushed.digest
    assert told["RepoTags"] == [TAG]
    assert told["Layers"] == [layer["digest"] for layer in manifest["layers"]]


@one_way
def test_list_tags_lists_them_in_order(skopeo: Skopeo, target: Target, pushed: Layout) -> None:
    source, name = f"docker://{target.reference}", f"docker://{target.host}/{target.repository}"
    for tag in ("2.0", "latest", "1.1"):
        options = ["--src-tls-verify=false", "--dest-tls-verify=false"]
        skopeo.run("copy", *options, source, f"{name}:{tag}")
    told = json.loads(skopeo.told("list-tags", "--tls-verify=false", name))
    assert told["Tags"] == ["1.0", "1.1", "2.0", "latest"]


@one_way
def test_what_is_deleted_no_longer_pulls(skopeo: Skopeo, target: Target, pushed: Layout) -> None:
    skopeo.run("delete", "--tls-verify=false", f"docker://{target.reference}")
    assert target.served_digest() is None
    with pytest.raises(ClientError, match="manifest unknown"):
        skopeo.pull(target.reference)
