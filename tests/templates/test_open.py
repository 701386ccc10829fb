"""What infra/cloudformation/open.sh asks of the AWS CLI, for which a script answers here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from infra.templates.cloudformation import template
from tests.support.process import ROOT

OPEN: Final = ROOT / "infra" / "cloudformation" / "open.sh"
# Notes its arguments, one call a line, and what a file:// among them holds.
CLI: Final = """#!/bin/sh
case "$*" in
*--version*) echo "aws-cli/$VERSION Python/3.13 Linux/6"; exit ;;
esac
echo "$*" | tr '\\n' ' ' >>"$CALLS"; echo >>"$CALLS"
for one; do
    case $one in file://*) sed 's/^/held /' "${one#file://}" >>"$CALLS"; echo >>"$CALLS" ;; esac
    last=$one
done
case "$*" in
*GatewayTarget*) echo "$GATEWAY" ;;
*SetupFunction*) echo ccr-prod-setup ;;
*EdgeKeys*) echo arn:aws:cloudfront::123456789012:key-value-store/k ;;
*Url*) echo https://registry.example.id ;;
*describe-key-value-store*) echo E1 ;;
*list-services*) echo arn:service ;;
*'"edge":true'*) echo '{"keys":["k1","k2"]}' >"$last"; echo "$TOLD" ;;
*invoke*) echo '{"username":"admin","password":"p4ss"}' >"$last"; echo "$TOLD" ;;
esac
"""


@pytest.fixture
def cli(tmp_path: Path) -> dict[str, str]:
    """An environment in which `aws` is that script."""
    if shutil.which("jq") is None:
        pytest.skip("jq is not there")
    (tmp_path / "aws").write_text(CLI)
    (tmp_path / "aws").chmod(0o755)
    return {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "VERSION": "2.27.0",
        "GATEWAY": "",
        "TOLD": '{"StatusCode": 200}',
    }


def run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(OPEN), *arguments], env=environ, capture_output=True, text=True, check=False, timeout=60
    )


def calls(environ: dict[str, str]) -> str:
    return Path(environ["CALLS"]).read_text()


def test_keys_reach_the_edge_and_the_password_is_printed(cli: dict[str, str]) -> None:
    done = run(cli, "ccr-prod", "ap-southeast-3")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "user      admin",
        "password  p4ss    (shown this once)",
        "registry  https://registry.example.id",
    ]
    asked = calls(cli)
    assert "invoke --region ap-southeast-3 --function-name ccr-prod-setup:live" in asked
    assert (
        "put-key --kvs-arn arn:aws:cloudfront::123456789012:key-value-store/k --if-match E1 --key edge"
        in asked
    )
    assert 'held {"keys":["k1","k2"]}' in asked
    assert "ecs" not in asked


def test_a_gateway_gets_its_keys_and_starts_anew(cli: dict[str, str]) -> None:
    assert run({**cli, "GATEWAY": "lb.example"}, "ccr-prod").returncode == 0
    asked = calls(cli)
    assert "put-secret-value --region us-east-1 --secret-id ccr-prod-gateway-key" in asked
    assert "held k1,k2" in asked
    assert "--force-new-deployment --service arn:service" in asked


def test_it_asks_for_outputs_that_the_template_has() -> None:
    outputs = template()["Outputs"]
    asked = [part.split(")")[0] for part in OPEN.read_text().split("$(output ")[1:]]
    assert len(asked) == 4
    assert set(asked) <= outputs.keys()


def test_what_the_function_fails_at_is_shown_and_nothing_goes_on(cli: dict[str, str]) -> None:
    done = run({**cli, "TOLD": json.dumps({"FunctionError": "Unhandled"})}, "ccr-prod")
    assert done.returncode == 1
    assert '"keys"' in done.stderr
    assert "put-key" not in calls(cli)


@pytest.mark.parametrize(("arguments", "code"), [((), 2), (("--region",), 2), (("--help",), 0), (("-h",), 0)])
def test_without_a_stack_it_says_how_it_is_called(
    cli: dict[str, str], arguments: tuple[str, ...], code: int
) -> None:
    done = run(cli, *arguments)
    assert done.returncode == code
    assert "open.sh ccr-prod [region]" in (done.stderr if code else done.stdout)
    assert not Path(cli["CALLS"]).exists()


def test_version_1_of_the_cli_is_refused_before_anything_is_asked(cli: dict[str, str]) -> None:
    done = run({**cli, "VERSION": "1.44.5"}, "ccr-prod")
    assert (done.returncode, done.stderr) == (
        1,
        "open.sh needs version 2 of the AWS CLI; this is aws-cli/1.44.5\n",
    )
    assert not Path(cli["CALLS"]).exists()
