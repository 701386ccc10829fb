"""Every port of SeaweedFS as other users of the machine meet it: nothing is read or written without a key."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config

from ccr.engines.process import Engine
from ccr.engines.seaweedfs import start_seaweedfs
from tests.engines.backends import ACCESS_KEY, SECRET_KEY

WEED = str(Path(sys.executable).with_name("weed"))
HTTP = ("master.port", "volume.port", "filer.port", "admin.port")
GRPC = ("master.port.grpc", "volume.port.grpc", "filer.port.grpc", "s3.port.grpc", "admin.port.grpc")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
CONTENT = b"bytes that nobody else may read or replace" * 1000
# HTTP/2, as gRPC begins: the answer of a server that lets us in is one frame at least.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@dataclass(frozen=True)
class Stored:
    """An engine with one object in it; `chunk` is where its bytes are on the volume server."""

    engine: Engine
    folder: Path
    ports: dict[str, int]
    chunk: str

    def client(self) -> Any:
        config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        session = boto3.Session(ACCESS_KEY, SECRET_KEY, region_name="us-east-1")
        return session.client("s3", endpoint_url=self.engine.endpoint, config=config)

    def content(self) -> bytes:
        return bytes(self.client().get_object(Bucket="bucket", Key="object")["Body"].read())


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    folder = tmp_path_factory.mktemp("weed")
    engine = start_seaweedfs(folder, ACCESS_KEY, SECRET_KEY)
    ports = ports_of(engine)
    empty = Stored(engine, folder, ports, "")
    empty.client().create_bucket(Bucket="bucket")
    empty.client().put_object(Bucket="bucket", Key="object", Body=CONTENT)
    entry = shell(ports, folder, "fs.meta.cat /buckets/bucket/object")
    document, _ = json.JSONDecoder().raw_decode(entry[entry.index("{") :])
    (chunk,) = document["chunks"]
    yield Stored(engine, folder, ports, chunk["fileId"])
    engine.stop()


def ports_of(engine: Engine) -> dict[str, int]:
    arguments = [str(argument) for argument in engine.process.args]  # type: ignore[union-attr]
    given = dict(argument[1:].split("=") for argument in arguments if "=" in argument)
    return {name: int(given[name]) for name in (*HTTP, *GRPC)}


def shell(ports: dict[str, int], folder: Path, command: str, seconds: float = 60) -> str:
    """What `weed shell` says, with the keys in `folder`."""
    servers = [
        f"-{name}=127.0.0.1:{ports[f'{name}.port']}.{ports[f'{name}.port.grpc']}"
        for name in ("master", "filer")
    ]
    try:
        done = subprocess.run(
            [WEED, "shell", *servers],
            cwd=folder,
            input=command,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return (error.stdout or b"").decode()
    return done.stdout


def statuses(stored: Stored, port: str, paths: Sequence[str]) -> dict[tuple[str, str], int]:
    with requests.Session() as session:
        session.trust_env = False
        return {
            (method, path): session.request(
                method, f"http://127.0.0.1:{stored.ports[port]}{path}", data=b"other", timeout=60
            ).status_code
            for path in paths
            for method in METHODS
        }


def test_bytes_on_the_volume_server_are_neither_read_nor_changed_without_a_key(stored: Stored) -> None:
    found = statuses(stored, "volume.port", [f"/{stored.chunk}", f"/{stored.chunk.replace(',', '/')}"])
    assert set(found.values()) == {401}
    assert stored.content() == CONTENT


def test_filer_has_no_files_over_http(stored: Stored) -> None:
    found = statuses(stored, "filer.port", ["/", "/buckets/", "/buckets/bucket/object", "/.tus/buckets/x"])
    assert set(found.values()) == {404}
    assert stored.content() == CONTENT


def test_master_gives_no_keys_and_deletes_nothing_over_http(stored: Stored) -> None:
    volume = stored.chunk.partition(",")[0]
    paths = [
        "/dir/assign",
        f"/dir/lookup?volumeId={volume}&fileId={stored.chunk}&read=yes",
        "/col/delete?collection=bucket",
        "/vol/grow?count=1",
        "/vol/vacuum",
        "/submit",
        f"/{stored.chunk}",
    ]
    assert set(statuses(stored, "master.port", paths).values()) == {404}
    assert stored.content() == CONTENT


def test_admin_does_nothing_over_http(stored: Stored) -> None:
    found = statuses(
        stored, "admin.port", ["/", "/admin", "/api/s3/buckets", "/api/users", "/files", "/login"]
    )
    assert set(found.values()) == {404}


@pytest.mark.parametrize("port", GRPC)
def test_grpc_asks_for_a_certificate(stored: Stored, port: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    address = ("127.0.0.1", stored.ports[port])
    with socket.create_connection(address, 60) as plain, context.wrap_socket(plain) as wrapped:
        wrapped.sendall(PREFACE)
        with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"):
            wrapped.recv(1)
    context.load_cert_chain(stored.folder / "grpc.pem", stored.folder / "grpc.key")
    with socket.create_connection(address, 60) as plain, context.wrap_socket(plain) as wrapped:
        wrapped.sendall(PREFACE)
        assert wrapped.recv(1)


@pytest.mark.parametrize("port", GRPC)
def test_grpc_answers_nobody_without_tls(stored: Stored, port: str) -> None:
    with socket.create_connection(("127.0.0.1", stored.ports[port]), 60) as plain:
        plain.sendall(PREFACE)
        answer = plain.recv(64)
    # What a Go server says in clear is a TLS alert.
    assert answer[:1] in {b"", b"\x15"}


def test_weed_itself_can_do_nothing_without_the_keys(stored: Stored, tmp_path: Path) -> None:
    assert "object" in shell(stored.ports, stored.folder, "fs.ls /buckets/bucket")
    assert "object" not in shell(stored.ports, tmp_path, "fs.ls /buckets/bucket", seconds=3)
    shell(stored.ports, tmp_path, "fs.rm /buckets/bucket/object", seconds=3)
    assert stored.content() == CONTENT


def test_s3_takes_no_request_without_its_keys(stored: Stored) -> None:
    with requests.Session() as session:
        session.trust_env = False
        url = f"{stored.engine.endpoint}/bucket/object"
        found = {
            method: session.request(method, url, data=b"other", timeout=60).status_code for method in METHODS
        }
    assert found == {**dict.fromkeys(METHODS, 403), "POST": 405}
    assert stored.content() == CONTENT


def test_everything_it_keeps_is_for_this_user_alone(stored: Stored) -> None:
    assert stored.folder.stat().st_mode & 0o777 == 0o700
    loose = [path.name for path in stored.folder.iterdir() if path.is_file() and path.stat().st_mode & 0o077]
    assert loose == []
    assert {"security.toml", "grpc.key", "grpc.pem", "seaweedfs.log"} <= {
        p.name for p in stored.folder.iterdir()
    }
