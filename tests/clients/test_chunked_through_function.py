"""A 200 MB layer through a bare function URL, at 4.5 MiB a request: by clients that cut it themselves.

python-oras is the real one. regctl cannot be had on every machine that runs this: its requests are sent as
they were measured, a whole PUT that is refused with 413, then PATCHes of 1 MiB to the URL of that PUT.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from oras.client import OrasClient

from tests.clients.conftest import Target, new_target
from tests.conftest import Registries

pytestmark = [pytest.mark.clients, pytest.mark.slow]

MEBIBYTE = 1024 * 1024
LAYER = 200 * MEBIBYTE
CHUNK = 4 * MEBIBYTE


@pytest.fixture
def target(registries: Registries) -> Target:
    return new_target(registries.get("function-url"))


@pytest.fixture
def layer(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Another for each test: what the account has is mounted."""
    path = tmp_path / "layer.bin"
    with path.open("wb") as file:
        for number in range(LAYER // MEBIBYTE):
            file.write(hashlib.sha256(f"{request.node.name} {number}".encode()).digest() * (MEBIBYTE // 32))
    return path


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def test_python_oras_pushes_and_pulls_200_mb_in_chunks(target: Target, layer: Path, tmp_path: Path) -> None:
    """It names itself by Basic, for it never sees the challenge that a function URL renames."""
    client = OrasClient(hostname=target.host, insecure=True, auth_backend="basic")
    client.auth.set_basic_auth(target.registry.username, target.registry.password)
    reference = f"{target.host}/{target.repository}:1.0"
    pushed = client.push(
        reference, files=[str(layer)], do_chunked=True, chunk_size=CHUNK, disable_path_validation=True
    )
    assert pushed.status_code == 201
    (pulled,) = client.pull(reference, outdir=str(tmp_path / "pulled"))
    assert digest_of(Path(pulled)) == digest_of(layer)


def chunks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(MEBIBYTE):
            yield chunk


def test_a_whole_put_that_is_refused_goes_on_in_small_patches_as_regctl_does(
    target: Target, layer: Path
) -> None:
    session = requests.Session()
    session.auth = (target.registry.username, target.registry.password)
    digest = digest_of(layer)
    opened = session.post(f"{target.registry.url}/v2/{target.repository}/blobs/uploads/?mount={digest}")
    assert opened.status_code == 202
    url = f"{target.registry.url}{opened.headers['Location']}?digest={digest}"
    with layer.open("rb") as whole:
        assert session.put(url, data=whole).status_code == 413
    sent = 0
    for chunk in chunks_of(layer):
        headers = {"Content-Range": f"{sent}-{sent + len(chunk) - 1}"}
        patched = session.patch(url, data=chunk, headers=headers)
        assert patched.status_code == 202, patched.text
        sent += len(chunk)
        url = f"{target.registry.url}{urlsplit(patched.headers['Location']).path}"
    closed = session.put(f"{url}?digest={digest}")
    assert (closed.status_code, closed.headers["Docker-Content-Digest"]) == (201, digest)
    there = session.get(f"{target.registry.url}/v2/{target.repository}/blobs/{digest}", stream=True)
    assert hashlib.sha256(there.content).hexdigest() == digest.partition(":")[2]
