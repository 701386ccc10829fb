"""The `aws` command of this machine, and what it knows of the stack that is examined."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ccr.cli.exits import CliError, Exit

_ERROR: Final = re.compile(r"An error occurred \((\w+)\)[^:]*: (.*)")
_SECONDS: Final = 120

Call = Callable[..., dict[str, Any]]


class AwsError(CliError):
    """AWS refused; `code` is its own, '' where `aws` itself failed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"aws: {code} {message}".replace("  ", " ").strip())
        self.code = code


@dataclass(frozen=True, slots=True)
class Stack:
    """`call` asks AWS. The outputs are those of infra/cloudformation; the secret is not shown."""

    name: str
    call: Call
    outputs: Mapping[str, str] = field(default_factory=dict)
    origin_secret: str = field(default="", repr=False)

    def output(self, name: str) -> str:
        """Raises CliError."""
        if name not in self.outputs:
            raise CliError(f"the stack {self.name} has no output {name}")
        return self.outputs[name]

    @property
    def function_url(self) -> str:
        return self.outputs.get("RegistryFunctionUrl", "").rstrip("/")


def run(*arguments: str) -> dict[str, Any]:
    """What `aws` answers, as JSON. Raises AwsError."""
    # Not on a terminal: version 2 starts no pager.
    done = _done("aws", *arguments, "--output", "json")
    if done.returncode != 0:
        found = _ERROR.search(done.stderr)
        if found is None:
            raise AwsError("", done.stderr.strip()[-300:])
        raise AwsError(found[1], found[2])
    document: dict[str, Any] = json.loads(done.stdout or "{}")
    return document


def response_headers(*arguments: str) -> str:
    """Of one call, as `aws --debug` tells them, in lower case; nothing else of what it tells leaves here."""
    done = _done("aws", *arguments, "--debug")
    lines = [line for line in done.stderr.splitlines() if "Response headers" in line]
    return " ".join(lines).lower()


def find_stack(name: str) -> Stack:
    """Raises CliError where there is no `aws`, no such stack, or no right to see it."""
    if shutil.which("aws") is None:
        raise CliError(
            "--stack needs the AWS CLI: https://docs.aws.amazon.com/cli/latest/userguide/", Exit.USAGE
        )
    return known(name, run)


def known(name: str, call: Call) -> Stack:
    """Raises AwsError."""
    described = call("cloudformation", "describe-stacks", "--stack-name", name)["Stacks"][0]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in described.get("Outputs", ())}
    secret = outputs.get("OriginSecretSecret", "")
    value = ""
    if secret:
        value = call("secretsmanager", "get-secret-value", "--secret-id", secret)["SecretString"]
    return Stack(name, call, outputs, value.partition(",")[0])


def _done(*command: str) -> subprocess.CompletedProcess[str]:
    """Raises AwsError."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise AwsError("", f"no answer within {_SECONDS} s") from error
