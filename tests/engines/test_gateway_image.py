"""The gateway's container: its definition is enough for the process, and its policy not too much.

No image is built: that needs a base image from elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from moto import mock_aws

from chalicelib.aws import blob_store
from chalicelib.config import GatewaySettings, Settings
from chalicelib.registry.uploads import Chunk
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import RegistryError
from chalicelib.spec.reference import Repository
from chalicelib.upload_gateway import UploadGateway
from chalicelib.wiring import Deployment

ROOT = Path(__file__).parents[2]
GATEWAY = ROOT / "infra" / "gateway"
DEFINITION = (GATEWAY / "Containerfile").read_text()
PINS = re.compile(r"^([A-Za-z0-9.\[\]_,-]+)==(\S+)$", re.MULTILINE)
# Of this environment: what libraries import if it is there, and do without.
TAKEN_WHERE_FOUND = {"backports-zstd", "ccr", "certifi", "cffi", "pycparser", "setuptools", "zstandard"}
S3_ACTIONS = {
    "GetObject": {"s3:GetObject"},
    "PutObject": {"s3:PutObject"},
    "CreateMultipartUpload": {"s3:PutObject"},
    "UploadPart": {"s3:PutObject"},
    "UploadPartCopy": {"s3:PutObject", "s3:GetObject"},
    "CompleteMultipartUpload": {"s3:PutObject"},
    "AbortMultipartUpload": {"s3:AbortMultipartUpload"},
    "DeleteObject": {"s3:DeleteObject"},
}
IMPORTED = """
import json, sys
import ccr.gateway
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the application, as the definition fills it."""
    folder = tmp_path_factory.mktemp("application")
    for line in re.findall(r"^COPY (?!--from)(.*) /opt/ccr/app/(\S+)$", DEFINITION, re.MULTILINE):
        *sources, target = [*line[0].split(), line[1]]
        for source in sources:
            into = folder / target
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, into)
            else:
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, into)
    return folder


def closure(names: set[str]) -> set[str]:
    """Those distributions and all that they require."""
    seen: set[str] = set()
    left = list(names)
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        for requirement in metadata.requires(name) or ():
            if "extra ==" not in requirement and "platform" not in requirement:
                found = re.match(r"[A-Za-z0-9._-]+", requirement)
                assert found is not None
                try:
                    metadata.version(found[0])
                except metadata.PackageNotFoundError:
                    continue
                left.append(found[0])
    return seen


def test_what_is_copied_and_installed_is_enough(copied: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED], cwd=copied, check=True, capture_output=True, text=True
    )
    distributions = metadata.packages_distributions()
    used = {
        re.sub(r"[-_.]+", "-", one).lower()
        for name in json.loads(done.stdout)
        for one in distributions.get(name, ())
    }
    pinned = {name for name, _ in PINS.findall((GATEWAY / "requirements.txt").read_text())}
    assert used - TAKEN_WHERE_FOUND <= closure(pinned)


def test_its_pins_are_those_of_the_registry() -> None:
    ours = dict(PINS.findall((ROOT / "requirements.txt").read_text()))
    ours |= dict(PINS.findall((ROOT / "requirements-local.txt").read_text()))
    for name, version in PINS.findall((GATEWAY / "requirements.txt").read_text()):
        assert ours[name] == version


def test_it_runs_as_nobody_and_says_when_it_is_well() -> None:
    stage = DEFINITION.rpartition("FROM ")[2]
    assert re.search(r"^USER 10001:10001$", stage, re.MULTILINE)
    assert "/healthz" in stage
    assert not re.search(r"^ENV .*(KEY|SECRET)", DEFINITION, re.MULTILINE)


def test_its_entry_point_is_what_the_tests_start(copied: Path) -> None:
    found = re.search(r"^ENTRYPOINT (\[.*\])$", DEFINITION, re.MULTILINE)
    assert found is not None
    python, *arguments = json.loads(found[1])
    assert python == "/opt/ccr/bin/python"
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copied,
        capture_output=True,
        text=True,
        env={},
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "ccr: CCR_REGISTRY_URL starts with http:// or https://, not ''\n",
    )


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[tuple[str, str]]]:
    """Actions and what they were on, of every call through botocore."""
    calls: set[tuple[str, str]] = set()
    make = BaseClient._make_api_call

    def record(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        service = client.meta.service_model.service_name
        if service == "s3":
            calls.update((action, parameters["Key"].partition("/")[0]) for action in S3_ACTIONS[operation])
        elif operation == "TransactWriteItems":
            for item in parameters["TransactItems"]:
                calls.update((f"dynamodb:{verb}Item", inside["TableName"]) for verb, inside in item.items())
        else:
            calls.add((f"dynamodb:{operation}", parameters["TableName"]))
        return make(client, operation, parameters)

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    # moto takes no bytearray.
    monkeypatch.setattr(blob_store, "BLOCK", 1024**3)
    with mock_aws():
        Deployment(Settings(token_keys=(bytes(32),))).prepare()
        monkeypatch.setattr(BaseClient, "_make_api_call", record)
        yield calls


def test_its_policy_allows_what_it_calls_and_nothing_else(called: set[tuple[str, str]]) -> None:
    settings = GatewaySettings(Settings(token_keys=()), (bytes(32),), "http://127.0.0.1:1")
    gateway = UploadGateway(settings)
    uploads, repository = gateway._services.uploads, Repository("default", "dev/app")
    part, tail = bytes(9 * 1024 * 1024), b"tail"
    for contents, digest in (
        ((b"", tail), Digest.of(tail)),
        ((part, tail), Digest.of(part + tail)),
        ((tail, part, b""), Digest.of(tail + part)),
        ((part, b""), Digest.of(b"other")),
        ((tail, b""), Digest.of(tail, "sha512")),
    ):
        session = uploads.open(repository).session
        *before, last = contents
        for one in before:
            uploads.append(repository, session, Chunk([one], len(one)))
        with contextlib.suppress(RegistryError):
            uploads.verify(repository, session, digest, Chunk([last], len(last)))
        with contextlib.suppress(RegistryError):
            uploads.cancel(repository, session)
    session = uploads.open(repository).session
    with pytest.raises(RegistryError, match="no room"):
        uploads.verify(repository, session, Digest.of(tail), Chunk([tail], 2**60))
    gateway._services.is_ready()

    policy = json.loads((GATEWAY / "policy.json").read_text())
    allowed = {
        (action, re.split(r"[/}]", re.sub(r"(/index)?/\*$", "", statement["Resource"]))[-1])
        for statement in policy["Statement"]
        for action in statement["Action"]
    }
    assert {(action, where.removeprefix("ccr-")) for action, where in called} == allowed
