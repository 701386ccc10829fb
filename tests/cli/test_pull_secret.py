"""`ccr pull-secret`: a Secret that Kubernetes reads and that pulls."""

from __future__ import annotations

import base64
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.kubectl import Kubectl
from tests.cli.terminal import Terminal
from tests.support.client import Client
from tests.support.content import image


@pytest.fixture
def cluster(terminal: Terminal, project: str, prod: str, fresh: Callable[[str], str]) -> tuple[str, str]:
    """A robot that may only pull from prod, and its secret."""
    id_ = fresh("cluster")
    made = terminal.ask("credential", "create-robot", id_, "-p", project, "--grant", f"{prod}/*:pull")
    return id_, made["secret"]


def config_of(secret: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    return config


def test_it_is_a_secret_that_pulls(
    terminal: Terminal, prod: str, cluster: tuple[str, str], client: Client
) -> None:
    client.about(f"{prod}/app").push(image(b"layer"), "1.0")
    id_, secret = cluster
    arguments = ("pull-secret", "--credential", id_, "--secret-stdin", "--namespace", "shop")
    ended = terminal.ccr(*arguments, text=secret)
    assert ended.err == ""
    document = yaml.safe_load(ended.out)
    assert (document["kind"], document["type"]) == ("Secret", "kubernetes.io/dockerconfigjson")
    assert document["metadata"] == {"name": "ccr", "namespace": "shop"}
    entry = config_of(document)["auths"][terminal.registry.host]
    assert base64.b64decode(entry["auth"]).decode() == f"{id_}:{secret}"
    pod = Client(client.url, entry["username"], entry["password"], f"{prod}/app")
    assert pod.get("manifests/1.0").status_code == 200
    assert terminal.ccr(*arguments, text=secret).out == ended.out
    assert terminal.ccr(*arguments, "-o", "json", text=secret).document == document


@pytest.mark.parametrize("name", ["ccr", "null", "1", "true", "a.b-c"])
def test_every_name_stays_text(terminal: Terminal, name: str) -> None:
    ended = terminal.ccr("pull-secret", "--own", "--name", name)
    assert yaml.safe_load(ended.out)["metadata"]["name"] == name


@pytest.mark.clients
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_itself_reads_it(terminal: Terminal, tmp_path: Path) -> None:
    place = tmp_path / "secret.yaml"
    place.write_text(terminal.ccr("pull-secret", "--own").out)
    ended = terminal.run("kubectl", "annotate", "--local", "-f", str(place), "seen=yes", "-o", "json")
    assert ended.exit_code == 0, ended
    assert ended.document["type"] == "kubernetes.io/dockerconfigjson"


def test_a_credential_that_may_do_more_is_warned_of(terminal: Terminal) -> None:
    assert "better a robot" in terminal.ccr("pull-secret", "--own").err


def test_a_wrong_secret_makes_no_secret(terminal: Terminal, cluster: tuple[str, str]) -> None:
    ended = terminal.try_ccr("pull-secret", "--credential", cluster[0], "--secret-stdin", text="wrong")
    assert (ended.exit_code, ended.out) == (3, "")


def test_ci_needs_no_profile(stranger: Terminal) -> None:
    stranger.environ["CCR_URL"] = stranger.registry.url
    text = stranger.registry.password
    assert stranger.ccr("pull-secret", "--credential", "admin", "--secret-stdin", text=text).out


def test_kubectl_is_given_the_secret_on_its_standard_input_and_keeps_what_was_there(
    terminal: Terminal, cluster: tuple[str, str]
) -> None:
    id_, secret = cluster
    kubectl = Kubectl(terminal, "another")
    arguments = (
        "pull-secret",
        "--credential",
        id_,
        "--secret-stdin",
        "--patch-service-account",
        "-n",
        "shop",
    )
    printed = terminal.python("ccr", *arguments, text=secret)
    assert printed.exit_code == 0, printed
    assert [one["arguments"][0] for one in kubectl.told] == ["get", "apply", "patch"]
    assert all(one["arguments"][one["arguments"].index("-n") + 1] == "shop" for one in kubectl.told)
    assert kubectl.told[1]["text"] == printed.out
    assert secret not in json.dumps([one["arguments"] for one in kubectl.told])
    assert kubectl.pull_secrets == ["another", "ccr"]
    terminal.python("ccr", *arguments, text=secret)
    assert [one["arguments"][0] for one in kubectl.told] == ["get", "apply", "patch", "get", "apply"]


@pytest.mark.parametrize("script", ["#!/bin/sh\necho 'the server is away' >&2\nexit 1\n", None])
def test_a_kubectl_that_fails_fails_the_command(terminal: Terminal, script: str | None) -> None:
    if script is not None:
        terminal.install("kubectl", script)
    environ = {} if script else {"PATH": str(terminal.home / "empty")}
    ended = terminal.run(
        sys.executable, "-m", "ccr", "pull-secret", "--own", "--patch-service-account", **environ
    )
    assert ended.exit_code == 1
    assert "kubectl" in ended.err


def test_the_secret_of_ones_own_login_is_printed_when_asked_for_alone(terminal: Terminal) -> None:
    ended = terminal.try_ccr("pull-secret")
    assert (ended.exit_code, ended.out) == (2, "")
    assert "--credential" in ended.err
    assert "--own" in ended.err


@pytest.mark.parametrize("shown", ['{"metadata": {}}', "{}", "[]", "no JSON"])
def test_a_service_account_without_its_version_is_said_before_anything_is_applied(
    terminal: Terminal, shown: str
) -> None:
    kubectl = Kubectl(terminal)
    kubectl.account.write_text(shown)
    ended = terminal.python("ccr", "pull-secret", "--own", "--patch-service-account")
    assert (ended.exit_code, ended.out) == (1, "")
    assert "resourceVersion" in ended.err
    assert [one["arguments"][0] for one in kubectl.told] == ["get"]
