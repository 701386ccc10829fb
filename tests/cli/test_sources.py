"""What `ccr push` reads: layouts, Docker archives, plain and compressed, whole and damaged."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from backports import zstd

from ccr.cli.exits import CliError, Exit
from ccr.cli.transfer.arguments import Compression
from ccr.cli.transfer.compression import compress
from ccr.cli.transfer.content import BLOCK, DamagedError, Region
from ccr.cli.transfer.manifests import DEPTH, DOCKER_IMAGE, OCI_INDEX, Tree
from ccr.cli.transfer.reading import Reading
from ccr.cli.transfer.sources import Source, open_source
from tests.cli.archives import DockerImage, add, docker_archive, layer_tar, tar_of
from tests.clients.layout import write_image, write_index
from tests.support.content import digest_of

TEXT = bytes(random.Random(7).choices(b"abcdefgh \n", k=3_000_000))


@pytest.fixture
def reading() -> Iterator[Reading]:
    with ExitStack() as held:
        yield Reading(Compression.GZIP, {}, held)


@pytest.fixture
def plain(reading: Reading) -> Reading:
    """Without compression."""
    return replace(reading, compression=Compression.NONE)


def content(source: Source, tree: Tree) -> list[bytes]:
    """The blobs of the image, in their order."""
    found = [source.blob(one) for one in tree.blobs]
    return [one.region.read(10**9) for one in found if one is not None]


def test_a_layout_is_read_as_it_is(tmp_path: Path, reading: Reading) -> None:
    layout = write_image(tmp_path / "image", [3 * BLOCK + 1, 100])
    source = open_source(str(layout.folder), reading)
    tree = source.choose("", "")
    assert tree.root.digest == layout.digest
    assert [digest_of(one) for one in content(source, tree)] == [one.digest for one in tree.blobs]
    assert tree.root.raw == layout.blob(layout.digest)


@pytest.mark.parametrize("form", ["oci:{}", "{}"])
def test_a_layout_may_be_a_tar(tmp_path: Path, reading: Reading, form: str) -> None:
    layout = write_image(tmp_path / "image", [1000])
    place = tar_of(layout.folder, tmp_path / "image.tar")
    source = open_source(form.format(place), reading)
    tree = source.choose("1.0", "linux/amd64" if "amd64" in str(layout.blob(layout.digest)) else "")
    assert tree.root.digest == layout.digest
    assert [digest_of(one) for one in content(source, tree)] == [one.digest for one in tree.blobs]


def test_an_index_has_its_children_before_it(tmp_path: Path, reading: Reading) -> None:
    layout = write_index(tmp_path / "index", ["amd64", "arm64"], 100)
    tree = open_source(str(layout.folder), reading).choose("", "")
    assert [one.digest for one in tree.manifests][-1] == layout.digest
    assert len(tree.manifests) == 3
    assert len(tree.blobs) == 4


def test_a_platform_is_taken_out_of_an_index(tmp_path: Path, reading: Reading) -> None:
    layout = write_index(tmp_path / "index", ["amd64", "arm64"], 100)
    source = open_source(str(layout.folder), reading)
    (own,) = source.choose("", "linux/arm64").manifests
    entries = json.loads(layout.blob(layout.digest))["manifests"]
    assert own.digest == entries[1]["digest"]
    with pytest.raises(DamagedError, match="linux/amd64, linux/arm64"):
        source.choose("", "windows/amd64")


def test_a_child_that_is_not_there_is_named_with_its_platform(tmp_path: Path, reading: Reading) -> None:
    layout = write_index(tmp_path / "index", ["amd64", "arm64"], 100)
    child = json.loads(layout.blob(layout.digest))["manifests"][1]["digest"]
    (layout.folder / "blobs" / child.replace(":", "/")).unlink()
    source = open_source(str(layout.folder), reading)
    with pytest.raises(DamagedError, match="linux/arm64: --platform"):
        source.choose("", "")
    assert len(source.choose("", "linux/amd64").manifests) == 1


def test_of_several_images_one_is_asked_for(tmp_path: Path, reading: Reading) -> None:
    layout = write_image(tmp_path / "image", [10])
    index = json.loads((layout.folder / "index.json").read_text())
    other = {**index["manifests"][0], "annotations": {"org.opencontainers.image.ref.name": "2.0"}}
    other["digest"] = digest_of(b"another")
    index["manifests"].append(other)
    (layout.folder / "index.json").write_text(json.dumps(index))
    source = open_source(str(layout.folder), reading)
    with pytest.raises(DamagedError, match=r"--ref takes one of 1.0, 2.0"):
        source.choose("", "")
    assert source.choose("1.0", "").root.digest == layout.digest


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
def test_an_archive_is_read_under_any_compression(
    tmp_path: Path, reading: Reading, pack: Callable[[bytes], bytes]
) -> None:
    layers = [layer_tar(TEXT), layer_tar(b"small")]
    place = tmp_path / "image.tar"
    place.write_bytes(pack(docker_archive(DockerImage(layers))))
    source = open_source(str(place), reading)
    tree = source.choose("", "linux/amd64")
    config, *packed = content(source, tree)
    assert tree.root.media_type == DOCKER_IMAGE
    assert config == DockerImage(layers).config
    assert [gzip.decompress(one) for one in packed] == layers
    assert [digest_of(one) for one in (config, *packed)] == [one.digest for one in tree.blobs]


def test_layers_go_as_they_are_where_that_is_asked_for(tmp_path: Path, plain: Reading) -> None:
    layers = [layer_tar(b"one"), layer_tar(b"two")]
    place = tmp_path / "image.tar"
    place.write_bytes(docker_archive(DockerImage(layers)))
    source = open_source(f"docker-archive:{place}", plain)
    tree = source.choose("app:1.0", "")
    assert content(source, tree)[1:] == layers
    assert {one.media_type for one in tree.root.layers} == {"application/vnd.docker.image.rootfs.diff.tar"}


@pytest.mark.parametrize(("pack", "ending"), [(gzip.compress, "gzip"), (zstd.compress, "zstd")])
def test_layers_that_are_compressed_already_stay_so(
    tmp_path: Path, reading: Reading, plain: Reading, pack: Callable[[bytes], bytes], ending: str
) -> None:
    layers = [layer_tar(TEXT)]
    packed = [pack(one) for one in layers]
    place = tmp_path / "image.tar"
    place.write_bytes(docker_archive(DockerImage(packed, layers)))
    source = open_source(str(place), reading)
    tree = source.choose("", "")
    assert content(source, tree)[1:] == packed
    assert tree.root.layers[0].media_type.endswith(ending)


def test_links_in_an_archive_are_followed(tmp_path: Path, plain: Reading) -> None:
    layer, out = layer_tar(b"shared"), io.BytesIO()
    image = DockerImage([layer, layer])
    with tarfile.open(fileobj=out, mode="w") as tar:
        add(tar, "a/layer.tar", layer)
        link = tarfile.TarInfo("b/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../a/layer.tar"
        tar.addfile(link)
        add(tar, "config.json", image.config)
        listing = {"Config": "config.json", "RepoTags": None, "Layers": ["a/layer.tar", "b/layer.tar"]}
        add(tar, "manifest.json", json.dumps([listing]).encode())
    place = tmp_path / "image.tar"
    place.write_bytes(out.getvalue())
    tree = open_source(str(place), plain).choose("", "")
    assert [one.digest for one in tree.root.layers] == [digest_of(layer)] * 2


def test_compression_gives_the_same_bytes_each_time_and_other_tools_read_it(
    tmp_path: Path, reading: Reading
) -> None:
    place = tmp_path / "layer"
    place.write_bytes(TEXT)
    made = [compress(Region(place, 0, len(TEXT)), reading) for _ in range(2)]
    assert made[0].blob.digest == made[1].blob.digest
    packed = made[0].blob.region.read(10**9)
    assert digest_of(packed) == made[0].blob.digest
    assert made[0].plain == digest_of(TEXT)
    machine = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert machine.decompress(packed) == TEXT
    # One member, which readers of the first member alone get whole.
    assert (machine.eof, machine.unused_data) == (True, b"")
    assert len(packed) < len(TEXT) / 2


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 1024 * 1024 + 1])
def test_compression_takes_any_size(tmp_path: Path, reading: Reading, size: int) -> None:
    place = tmp_path / "layer"
    place.write_bytes(TEXT[:size])
    packed = compress(Region(place, 0, size), reading)
    assert gzip.decompress(packed.blob.region.read(10**9)) == TEXT[:size]


def cut(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def flipped(raw: bytes) -> bytes:
    """Another byte in the middle of its layer."""
    at = raw.index(TEXT[1_000_000:1_000_020])
    return raw[:at] + b"X" + raw[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        flipped,
        lambda raw: cut(gzip.compress(raw)),
        lambda raw: cut(zstd.compress(raw)),
        lambda raw: gzip.compress(raw)[:-8] + b"\0" * 8,
        lambda _: b"",
        lambda _: b"no tar at all" * 1000,
        lambda raw: raw.replace(b'"Layers": [', b'"Layerz": ['),
        lambda raw: raw.replace(b"manifest.json", b"manifest.jso_"),
    ],
)
def test_a_damaged_archive_is_refused_before_anything_is_sent(
    tmp_path: Path, reading: Reading, damage: Callable[[bytes], bytes]
) -> None:
    place = tmp_path / "image.tar"
    place.write_bytes(damage(docker_archive(DockerImage([layer_tar(TEXT)]))))
    with pytest.raises(DamagedError) as refusal:
        open_source(str(place), reading).choose("", "")
    assert refusal.value.exit_code == Exit.DAMAGED
    assert refusal.value.message


@pytest.mark.parametrize("tags", [7, "app:1.0", [7], [None], {"a": 1}])
def test_names_in_an_archive_that_are_none_name_nothing(
    tmp_path: Path, reading: Reading, tags: object
) -> None:
    listing = json.dumps([{"Config": "config.json", "RepoTags": tags, "Layers": []}])
    place = tmp_path / "image.tar"
    with tarfile.open(place, "w") as tar:
        add(tar, "manifest.json", listing.encode())
        add(tar, "config.json", b"{}")
    assert open_source(str(place), reading).choose("", "").root.layers == ()
    with pytest.raises(DamagedError, match="takes one of none"):
        open_source(str(place), reading).choose("other", "")


def test_a_config_whose_layers_are_no_list_is_refused(tmp_path: Path, reading: Reading) -> None:
    place = tmp_path / "image.tar"
    place.write_bytes(docker_archive(DockerImage([b"layer"], more={"rootfs": {"diff_ids": 7}})))
    with pytest.raises(DamagedError):
        open_source(str(place), reading).choose("", "")


def headed(kind: bytes, size: int, text: bytes = b"") -> bytes:
    """A tar that begins with a header of such a kind, which says that it is so long."""
    entry = tarfile.TarInfo("before")
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.GNU_FORMAT) + text.ljust(512, b"\0") + docker_archive(DockerImage([b"layer"]))


@pytest.mark.parametrize(
    "raw",
    [
        *(headed(kind, 2**40) for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME)),
        headed(tarfile.GNUTYPE_LONGLINK, 2**24),
        headed(tarfile.XHDTYPE, 20, b"20 GNU.sparse.map=a\n"),
    ],
)
def test_a_tar_whose_headers_are_none_is_refused_without_reading_them(
    tmp_path: Path, reading: Reading, raw: bytes
) -> None:
    """As long as they say they are: a tebibyte of them fits into a small file with a hole or under gzip."""
    place = tmp_path / "image.tar"
    place.write_bytes(raw)
    with place.open("ab") as out:
        out.truncate(2**25)
    with pytest.raises(DamagedError, match="no tar"):
        open_source(str(place), reading)


def nested(folder: Path, depth: int) -> str:
    """A layout of an index in an index in an index; what its index.json has to say."""
    write_image(folder, [10])
    entry = json.loads((folder / "index.json").read_text())["manifests"][0]
    for _ in range(depth):
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
        raw = json.dumps(document).encode()
        (folder / "blobs" / digest_of(raw).replace(":", "/")).write_bytes(raw)
        entry = {"mediaType": OCI_INDEX, "digest": digest_of(raw), "size": len(raw)}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return str(folder)


def test_indexes_within_indexes_are_read_to_a_depth(tmp_path: Path, reading: Reading) -> None:
    fits = open_source(nested(tmp_path / "fits", DEPTH), reading).choose("", "")
    assert len(fits.manifests) == DEPTH + 1
    with pytest.raises(DamagedError, match="nested"):
        open_source(nested(tmp_path / "deep", 1500), reading).choose("", "")


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"manifests": 7}',
        b'{"manifests": [7]}',
        b'{"manifests": [{"digest": "sha256:../../etc/passwd", "size": 1, "mediaType": "x"}]}',
        b'{"manifests": [{"digest": "sha256:' + b"0" * 64 + b'", "size": -1, "mediaType": "x"}]}',
        b'{"manifests": [{"digest": "sha256:' + b"0" * 64 + b'", "size": true, "mediaType": "x"}]}',
        b'{"manifests": ' + b"[" * 100_000,
        b'{"manifests": [{"digest": "sha256:'
        + b"0" * 64
        + b'", "size": 1'
        + b"0" * 30
        + b', "mediaType": "x"}]}',
    ],
)
def test_an_index_that_is_none_is_refused(tmp_path: Path, reading: Reading, document: bytes) -> None:
    layout = write_image(tmp_path / "image", [10])
    (layout.folder / "index.json").write_bytes(document)
    with pytest.raises(DamagedError):
        open_source(str(layout.folder), reading).choose("", "")


def test_a_manifest_that_is_not_its_digest_is_refused(tmp_path: Path, reading: Reading) -> None:
    layout = write_image(tmp_path / "image", [10])
    place = layout.folder / "blobs" / layout.digest.replace(":", "/")
    place.write_bytes(place.read_bytes() + b" ")
    with pytest.raises(DamagedError, match=hashlib.sha256(place.read_bytes()).hexdigest()):
        open_source(str(layout.folder), reading).choose("", "")


def test_a_blob_of_another_size_and_one_that_is_missing_are_refused(tmp_path: Path, reading: Reading) -> None:
    layout = write_image(tmp_path / "image", [10])
    source = open_source(str(layout.folder), reading)
    tree = source.choose("", "")
    layer = tree.root.layers[0]
    place = layout.folder / "blobs" / layer.digest.replace(":", "/")
    place.write_bytes(b"short")
    with pytest.raises(DamagedError, match="has 5 bytes"):
        source.blob(layer)
    place.unlink()
    with pytest.raises(DamagedError, match="lacks"):
        source.blob(layer)


@pytest.mark.parametrize("magic", [b"BZh9", b"\xfd7zXZ\x00"])
def test_other_compressions_are_named(tmp_path: Path, reading: Reading, magic: bytes) -> None:
    place = tmp_path / "image.tar"
    place.write_bytes(magic + b"\0" * 600)
    with pytest.raises(DamagedError, match="unpack it first"):
        open_source(str(place), reading)


def test_what_is_not_there_says_what_could_be(tmp_path: Path, reading: Reading) -> None:
    with pytest.raises(CliError, match="docker:NAME") as refusal:
        open_source(str(tmp_path / "nothing"), reading)
    assert refusal.value.exit_code == Exit.NOT_FOUND
    with pytest.raises(DamagedError, match=r"index\.json"):
        open_source(str(tmp_path), reading)


def test_without_a_docker_engine_its_socket_is_named(tmp_path: Path, reading: Reading) -> None:
    told = replace(reading, environ={"DOCKER_HOST": f"unix://{tmp_path}/none"})
    with pytest.raises(CliError, match=f"{tmp_path}/none") as refusal:
        open_source("docker:app", told)
    assert refusal.value.exit_code == Exit.UNREACHABLE
