"""Eight large PATCH uploads at once through an upload gateway, beside docker-registry with its S3 driver.

python -m tests.benchmarks.gateway [--mebibytes 1024] [--uploads 8]

Both on the same SeaweedFS, one after the other, from the same client: chunked PATCH, then an empty PUT.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from rich.console import Console
from rich.table import Table

from ccr.engines.ministack import start_ministack
from ccr.engines.process import free_ports
from ccr.engines.seaweedfs import start_seaweedfs
from chalicelib.identity.capability import derive_key
from tests.benchmarks.subjects import AbsentError, await_listening, peak_memory
from tests.support.gateway_process import running_gateway
from tests.support.process import PASSWORD, running_registry

ACCESS_KEY, SECRET_KEY, TOKEN_KEY = "keyofthebench", "secretofthebench", bytes(range(32))
BLOCK = os.urandom(1024 * 1024)
_MB = 1_000_000


@dataclass
class Carrier:
    """What takes the bytes: uploads are opened at `opens` and sent to `url`."""

    name: str
    opens: str
    url: str
    pid: int
    authorization: dict[str, str]


@dataclass(frozen=True)
class Upload:
    """One blob, different from the others in its first bytes alone."""

    number: int
    mebibytes: int

    def blocks(self) -> Iterator[bytes]:
        yield self.number.to_bytes(8) + BLOCK[8:]
        for _ in range(self.mebibytes - 1):
            yield BLOCK

    def digest(self) -> str:
        running = hashlib.sha256()
        for block in self.blocks():
            running.update(block)
        return f"sha256:{running.hexdigest()}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.benchmarks.gateway")
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--uploads", type=int, default=8)
    options = parser.parse_args()
    console = Console(width=130)
    uploads = [Upload(number, options.mebibytes) for number in range(options.uploads)]
    digests = {upload.number: upload.digest() for upload in uploads}
    table = Table(title=f"{options.uploads} uploads of {options.mebibytes} MiB at once")
    for heading in ("registry", "s", "MB/s", "peak memory, MiB"):
        table.add_column(heading, justify="left" if heading == "registry" else "right")
    with tempfile.TemporaryDirectory(prefix="ccr-bench-") as folder, ExitStack() as stack:
        engine = start_seaweedfs(Path(folder), ACCESS_KEY, SECRET_KEY)
        stack.callback(engine.stop)
        for start in (gateway, docker_registry):
            try:
                with start(Path(folder), engine.endpoint) as carrier:
                    seconds = timed(carrier, uploads, digests)
                    rate = options.uploads * options.mebibytes * len(BLOCK) / seconds / _MB
                    peak = peak_memory(carrier.pid) // len(BLOCK)
                    table.add_row(carrier.name, f"{seconds:.1f}", f"{rate:.0f}", str(peak))
            except AbsentError as error:
                console.print(f"skipped: {error}")
    console.print(table)
    return 0


def timed(carrier: Carrier, uploads: list[Upload], digests: dict[int, str]) -> float:
    begin = time.perf_counter()
    with ThreadPoolExecutor(len(uploads)) as pool:
        list(pool.map(lambda one: push(carrier, one, digests[one.number]), uploads))
    return time.perf_counter() - begin


def push(carrier: Carrier, upload: Upload, digest: str) -> None:
    location = send(carrier.opens, "POST", "/v2/bench/app/blobs/uploads/", 202, carrier.authorization)
    headers = {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"}
    location = send(carrier.url, "PATCH", location, 202, headers, upload.blocks())
    closing = f"{location}{'&' if '?' in location else '?'}digest={digest}"
    send(carrier.url, "PUT", closing, 201, {"Content-Length": "0"})


def send(  # noqa: PLR0917 - a request has as many parts
    url: str,
    method: str,
    path: str,
    wanted: int,
    headers: dict[str, str],
    body: Iterator[bytes] | None = None,
) -> str:
    """The path of the answer's Location."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=600)
    try:
        connection.request(method, path, body=body, headers=headers, encode_chunked=body is not None)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != wanted:
            raise RuntimeError(f"{method} {path[:80]}: {answer.status} {text[:300]!r}")
        found = urlsplit(urljoin(url, answer.headers["Location"]))
        return found.path + (f"?{found.query}" if found.query else "")
    finally:
        connection.close()


@contextmanager
def gateway(folder: Path, s3: str) -> Iterator[Carrier]:
    """A registry, and one gateway beside it with its settings as they come."""
    with ExitStack() as stack:
        tables = start_ministack(folder / "tables", ACCESS_KEY, SECRET_KEY)
        stack.callback(tables.stop)
        environ = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "CCR_S3_ENDPOINT": s3,
            "CCR_DYNAMODB_ENDPOINT": tables.endpoint,
        }
        told = {**environ, "CCR_TOKEN_KEY": TOKEN_KEY.hex()}
        registry = stack.enter_context(running_registry(folder / "registry", environ=told))
        environ["CCR_CAPABILITY_KEY"] = derive_key(TOKEN_KEY, "capability").hex()
        environ["CCR_REGISTRY_URL"] = registry.url
        running = stack.enter_context(running_gateway(folder / "gateway.log", environ))
        basic = b64encode(f"admin:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}"}
        yield Carrier("ccr gateway", registry.url, running.url, running.pid, headers)


@contextmanager
def docker_registry(folder: Path, s3: str) -> Iterator[Carrier]:
    """Debian's package with its S3 driver and no login. Raises AbsentError."""
    program = shutil.which("docker-registry")
    if program is None:
        raise AbsentError("docker-registry is not installed: apt-get install docker-registry")
    (port,) = free_ports(1)
    storage = {
        "accesskey": ACCESS_KEY,
        "secretkey": SECRET_KEY,
        "region": "us-east-1",
        "regionendpoint": s3,
        # The one that the registry before it has made.
        "bucket": "ccr",
        "rootdirectory": "/distribution",
        "secure": False,
    }
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\n"
        "log: {level: info, accesslog: {disabled: true}}\n"
        f"storage: {{s3: {json.dumps(storage)}, cache: {{blobdescriptor: inmemory}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with (folder / "distribution.log").open("wb") as log:
        # Its SDK fails on an AWS_CA_BUNDLE of the environment.
        bare = {"PATH": os.environ["PATH"]}
        process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log, env=bare)
    try:
        await_listening(port)
        url = f"http://127.0.0.1:{port}"
        yield Carrier("docker-registry, s3", url, url, process.pid, {})
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    sys.exit(main())
