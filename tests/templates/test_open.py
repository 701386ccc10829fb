"""`open.sh` as it is run after a deployment: what it asks of AWS, in what order, and what it says."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from moto import mock_aws

from chalicelib.config import Settings
from chalicelib.wiring import Deployment
from infra.templates.cloudformation import template
from tests.templates.emulator import ROOT
from tests.templates.names import snake

SCRIPT = ROOT / "infra" / "cloudformation" / "open.sh"
SETTINGS = Settings(token_keys=(b"key of the tests".ljust(32),), origin_secrets=("secret of the origin",))
OUTPUTS = {
    "Url": "https://registry.example.id",
    "SetupFunction": "ccr-prod-setup",
    "EdgeKeys": "arn:aws:cloudfront::123456789012:key-value-store/1",
    "Region": "ap-southeast-3",
    "TablePrefix": "ccr-prod-",
}
GATEWAY = {"GatewayTarget": "ccr-prod-gateway-1.elb.amazonaws.com"}

# Of the command line itself, not of an operation.
GLOBAL = {"region", "output", "query", "cli-binary-format"}

Calls = list[tuple[str, dict[str, str]]]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, Calls]]:
    """What a run of it printed, and what it called."""
    for program in ("bash", "jq"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not here")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("aws", "terraform"):
        (programs / name).write_text(
            f"#!{sys.executable}\n" + Path(__file__).with_name("command_line.py").read_text()
        )
        (programs / name).chmod(0o755)
    monkeypatch.setenv("CALLS", str(tmp_path))
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.delenv("AWS_REGION", raising=False)

    def run(*arguments: str, **outputs: str) -> tuple[str, Calls]:
        _answers(tmp_path, OUTPUTS | outputs)
        (tmp_path / "calls").write_text("")
        done = subprocess.run(
            [str(SCRIPT), *arguments], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
        for service, operation, options in calls:
            assert set(options) <= GLOBAL | _parameters(service, operation), (service, operation)
        return done.stdout, [(operation, options) for _, operation, options in calls]

    return run


def _answers(folder: Path, outputs: dict[str, str]) -> None:
    told = [{"OutputKey": name, "OutputValue": value} for name, value in outputs.items()]
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        deployment = Deployment(SETTINGS)
        deployment.prepare()
        answers: dict[str, Any] = {
            "describe-stacks": {"Stacks": [{"Outputs": told}]},
            "terraform": {snake(name): outputs.get(name) for name in template()["Outputs"]},
            "invoke": {"StatusCode": 200},
            "setup-edge": deployment.known_to_the_edge(has_gateway="GatewayTarget" in outputs),
            "setup": deployment.open(),
            "describe-key-value-store": {"ETag": "E1"},
            "put-key": {"ETag": "E2"},
            "put-secret-value": {},
            "list-services": {"serviceArns": ["arn:aws:ecs:service/own"]},
            "update-service": {},
        }
    for name, answer in answers.items():
        (folder / f"{name}.json").write_text(json.dumps(answer))


@functools.cache
def _parameters(service: str, operation: str) -> set[str]:
    """Of AWS's own model of it."""
    model = botocore.session.get_session().get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    shape: Any = model.operation_model(names[operation]).input_shape
    return {xform_name(name, "-") for name in shape.members}


def test_the_edge_gets_its_keys_and_the_password_is_shown(
    opened: Callable[..., tuple[str, Calls]], tmp_path: Path
) -> None:
    said, calls = opened("ccr-prod", "ap-southeast-3")
    assert [name for name, _ in calls] == [
        *("describe-stacks", "invoke", "describe-key-value-store", "put-key", "invoke")
    ]
    assert {options["region"] for _, options in calls if "region" in options} == {"ap-southeast-3"}
    assert calls[1][1]["function-name"] == calls[4][1]["function-name"] == "ccr-prod-setup:live"
    put = calls[3][1]
    assert (put["key"], put["kvs-arn"], put["if-match"]) == ("edge", OUTPUTS["EdgeKeys"], "E1")
    told = json.loads(put["value"])
    assert told == json.loads((tmp_path / "setup-edge.json").read_text())
    assert (told["gateway"], told["secret"]) == (False, "secret of the origin")
    password = json.loads((tmp_path / "setup.json").read_text())["password"]
    assert said.splitlines() == [
        "user      admin",
        f"password  {password}    (shown this once)",
        "registry  https://registry.example.id",
    ]


def test_a_gateway_gets_its_keys_and_starts_again(opened: Callable[..., tuple[str, Calls]]) -> None:
    _, calls = opened("ccr-prod", **GATEWAY)
    assert [name for name, _ in calls[4:7]] == ["put-secret-value", "list-services", "update-service"]
    edge, secret, service = json.loads(calls[3][1]["value"]), calls[4][1], calls[6][1]
    assert edge["gateway"] is True
    assert (secret["secret-id"], secret["secret-string"]) == ("ccr-prod-gateway-key", ",".join(edge["keys"]))
    assert (service["cluster"], service["service"]) == ("ccr-prod-gateway", "arn:aws:ecs:service/own")
    assert {options["region"] for _, options in calls if "region" in options} == {"us-east-1"}


@pytest.mark.parametrize("gateway", [{}, GATEWAY], ids=["alone", "with a gateway"])
def test_terraform_says_the_same(opened: Callable[..., tuple[str, Calls]], gateway: dict[str, str]) -> None:
    by_stack = opened("ccr-prod", "ap-southeast-3", **gateway)
    by_terraform = opened("--terraform", "infra/terraform/example", **gateway)
    assert by_terraform[0].splitlines()[0] == by_stack[0].splitlines()[0]
    assert by_terraform[0].splitlines()[2] == by_stack[0].splitlines()[2]
    assert by_terraform[1] == by_stack[1][1:]


def test_what_the_setup_function_fails_at_is_shown_and_nothing_is_put(
    opened: Callable[..., tuple[str, Calls]], tmp_path: Path
) -> None:
    opened("ccr-prod")
    (tmp_path / "invoke.json").write_text(json.dumps({"StatusCode": 200, "FunctionError": "Unhandled"}))
    (tmp_path / "setup-edge.json").write_text('{"errorMessage": "the secret is not hexadecimal"}')
    (tmp_path / "calls").write_text("")
    done = subprocess.run([str(SCRIPT), "ccr-prod"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "not hexadecimal" in done.stderr
    called = [json.loads(line)[1] for line in (tmp_path / "calls").read_text().splitlines()]
    assert called == ["describe-stacks", "invoke"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [((), 2), (("--region",), 2), (("--terraform",), 2), (("--help",), 0), (("-h",), 0)],
)
def test_without_a_stack_it_says_how_it_is_called(
    opened: Callable[..., tuple[str, Calls]], tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    opened("ccr-prod")
    (tmp_path / "calls").write_text("")
    done = subprocess.run([str(SCRIPT), *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code
    assert "open.sh ccr-prod [region]" in (done.stderr if code else done.stdout)
    assert (tmp_path / "calls").read_text() == ""


def test_version_1_of_the_cli_is_refused_before_anything_is_asked(
    opened: Callable[..., tuple[str, Calls]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened("ccr-prod")
    (tmp_path / "calls").write_text("")
    monkeypatch.setenv("CLI_VERSION", "1.44.5")
    done = subprocess.run([str(SCRIPT), "ccr-prod"], capture_output=True, text=True, check=False, timeout=60)
    told = "open.sh needs version 2 of the AWS CLI; this is aws-cli/1.44.5\n"
    assert (done.returncode, done.stderr) == (1, told)
    assert (tmp_path / "calls").read_text() == ""
