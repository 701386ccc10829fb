r"""schemathesis finds nothing: the management API takes what its document says, and refuses the rest.

For a longer run by hand, against a registry that `make run` serves:

    PYTHONPATH=. .venv/bin/schemathesis --config-file tests/management/schemathesis.toml \
        run http://127.0.0.1:5000/api/v1/openapi.json -a admin:PASSWORD --max-time 600
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.management.seed import POLICY, REPOSITORY
from tests.support.client import Client
from tests.support.content import image
from tests.support.process import ROOT, RegistryProcess, running_registry

CONFIG = ROOT / "tests" / "management" / "schemathesis.toml"
EXAMPLES = 4
PHASES = ("coverage", "fuzzing", "stateful")
# They work on what several calls made, and schemathesis does not find its way there: an account whose
# projects are gone, a member beside the caller, an image in one repository and the right to push to another,
# an upload whose bytes are in S3, the digest of a blob, an image in the trash, a tag that has moved, a policy
# that was not taken away before, a finding with its seal.
UNREACHED = frozenset(
    {
        "DELETE /api/v1/accounts/{account}",
        "DELETE /api/v1/projects/{project}/members/{user}",
        "DELETE /api/v1/repositories/{repository}/lifecycle",
        "GET /api/v1/holders/{digest}",
        "DELETE /api/v1/repositories/{repository}/trash/{digest}",
        "POST /api/v1/checks/repairs",
        "POST /api/v1/promotions",
        "POST /api/v1/repositories/{repository}/restorations",
        "POST /api/v1/repositories/{repository}/tags/{tag}/rollback",
        "DELETE /api/v1/uploads/{session}",
        "POST /api/v1/uploads/{session}/completion",
        "POST /api/v1/uploads/{session}/parts",
    }
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """Its own: schemathesis deletes what it finds, and fails to log in on purpose."""
    with running_registry(tmp_path_factory.mktemp("management")) as registry:
        client = Client(registry.url, registry.username, registry.password, REPOSITORY)
        client.push(image(b"layer"), "1.0")
        login = (registry.username, registry.password)
        made = client.call("PUT", f"/api/v1/repositories/{REPOSITORY}/lifecycle", json=POLICY, auth=login)
        assert made.status_code == 200
        yield registry


@pytest.fixture(scope="module")
def report(served: RegistryProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    try:
        with socket.socket() as one:
            one.bind(("127.0.1.1", 0))
    except OSError:
        pytest.skip("this machine has one loopback address, and schemathesis is to ask from many")
    folder = tmp_path_factory.mktemp("schemathesis")
    written = folder / "report.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", CONFIG),
            *("run", f"{served.url}/api/v1/openapi.json"),
            *("--auth", f"{served.username}:{served.password}"),
            *("--max-examples", str(EXAMPLES), "--no-color"),
            *("--report", "json", "--report-json-path", written),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(written.read_text())
    return document


@pytest.mark.slow
def test_schemathesis_finds_nothing(report: dict[str, Any]) -> None:
    assert (report["failures"], report["errors"], report["complete"]) == ([], [], True)
    assert {phase: report["phases"][phase]["status"] for phase in PHASES} == dict.fromkeys(PHASES, "success")


@pytest.mark.slow
def test_schemathesis_saw_what_it_asked_about(report: dict[str, Any], served: RegistryProcess) -> None:
    """A run that is refused everything finds nothing either."""
    operations = report["operations"]
    assert operations["tested"] == operations["total"] > 0
    assert not report["warnings"]["missing_auth"]
    refused = [
        operation
        for operation, phases in report["valid_rates"].items()
        if operation not in UNREACHED and not any(one["accepted"] for one in phases.values())
    ]
    assert not refused


def test_the_document_is_served_without_logging_in_and_is_the_same_each_time(served: RegistryProcess) -> None:
    client = Client(served.url, "nobody", "nothing")
    first, second = (client.call("GET", "/api/v1/openapi.json") for _ in range(2))
    assert first.status_code == 200
    assert first.json() == second.json()
    assert first.json()["openapi"].startswith("3.1")


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "registries?afer=dev", {}, 422),
        ("DELETE", "registries/dev?forse=true", {}, 422),
        ("TRACE", "whoami", {}, 405),
        ("PUT", "registries/dev", {"json": {}}, 405),
        ("POST", "projects", {"data": '{"name": "shop"}', "headers": {"Content-Type": "text/plain"}}, 415),
        ("GET", "audit?since=0.5", {}, 422),
        ("POST", "credentials/admin/rotation", {"json": {"overlap_seconds": False}}, 422),
        ("PATCH", "credentials/admin", {"json": {"title": "a\u0000b"}}, 422),
        ("GET", "nothing", {}, 404),
    ],
)
def test_what_is_not_in_the_document_is_a_problem_with_its_status(
    served: RegistryProcess, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    client = Client(served.url, served.username, served.password)
    answer = client.call(method, f"/api/v1/{path}", auth=(served.username, served.password), **options)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert ("Allow" in answer.headers) == (status == 405)
