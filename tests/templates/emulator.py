"""moto as a server of its own, with what the template makes of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".venv-templates" / "bin"
TEMPLATE = ROOT / "infra" / "cloudformation" / "registry.json"
START_SECONDS = 60
REGION = "us-east-1"


def tool(name: str) -> str:
    """Of the environment of templates. Skips where it is not made."""
    path = TOOLS / name
    if not path.exists():
        pytest.skip(f"{path.relative_to(ROOT)} is not there: make .venv-templates/stamp")
    return str(path)


def translated(template: Mapping[str, Any], bucket: str, key: str, **parameters: str) -> dict[str, Any]:
    """By the SAM translator, as CloudFormation's transform does it."""
    command = [
        tool("python"),
        str(Path(__file__).with_name("translate.py")),
        *(bucket, key),
        *(f"{name}={value}" for name, value in parameters.items()),
    ]
    environ = {"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": REGION}
    done = subprocess.run(
        command, input=json.dumps(template), capture_output=True, text=True, check=False, env=environ
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def moto_server(log: Path) -> Iterator[str]:
    """Its endpoint."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [tool("moto_server"), "-H", "127.0.0.1", "-p", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": REGION},
        )
    try:
        _await(port, process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(f"moto does not listen after {START_SECONDS} s: {log.read_text()}")


def client(service: str, endpoint: str) -> Any:
    session = boto3.Session("testing", "testing", region_name=REGION)
    return session.client(service, endpoint_url=endpoint)
