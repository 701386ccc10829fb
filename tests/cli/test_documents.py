"""docs/quickstart.md and docs/kubernetes.md say what works."""

from __future__ import annotations

import base64
import json
import re
import shutil

import pytest
import yaml

from tests.cli.kubectl import Kubectl
from tests.cli.terminal import Terminal
from tests.support.client import Client
from tests.support.content import image
from tests.support.process import ROOT

HOST = "registry.example.id"
QUICKSTART = (ROOT / "docs" / "quickstart.md").read_text()
KUBERNETES = (ROOT / "docs" / "kubernetes.md").read_text()
ACCESS = (ROOT / "docs" / "access.md").read_text()


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_ten_commands_lead_from_an_empty_deployment_to_a_pull(stranger: Terminal, client: Client) -> None:
    """All but pipx; docker's login and push by a client of ours, and kubectl by a stand-in."""
    stranger.install_module("ccr", "ccr")
    kubectl = Kubectl(stranger)
    commands = blocks(QUICKSTART, "sh")[0].replace(HOST, stranger.registry.host).splitlines()
    assert len(commands) == 10
    printed = ""
    for command in commands:
        if command.startswith("docker push"):
            secret = re.search(r"^credential  dev\nsecret +(\S+)$", printed, re.MULTILINE)
            assert secret is not None
            Client(client.url, "dev", secret[1], "dev/app").push(image(b"layer"), "1.0")
        if command.startswith(("ccr", "kubectl")):
            password = {"CCR_PASSWORD": stranger.registry.password} if " login " in command else {}
            ended = stranger.run("bash", "-o", "pipefail", "-c", command, **password)
            assert ended.exit_code == 0, (command, ended)
            printed += ended.out
    applied = next(one for one in kubectl.told if one["arguments"][0] == "apply")
    secret_of_cluster = yaml.safe_load(applied["text"])
    config = json.loads(base64.b64decode(secret_of_cluster["data"][".dockerconfigjson"]))
    login = config["auths"][stranger.registry.host]
    pod = Client(client.url, login["username"], login["password"], "prod/app")
    assert pod.get("manifests/1.0").status_code == 200
    assert kubectl.pull_secrets == ["ccr"]


@pytest.mark.parametrize("text", blocks(KUBERNETES, "yaml"))
def test_kubelet_may_call_the_provider_as_the_page_says(stranger: Terminal, text: str) -> None:
    configuration = yaml.safe_load(text)
    assert configuration["apiVersion"] == "kubelet.config.k8s.io/v1"
    (own,) = configuration["providers"]
    assert (own["name"], own["matchImages"]) == ("ccr-credential-provider", [HOST])
    place = stranger.home / "pull.json"
    place.write_text(json.dumps({"username": "node-pull", "password": "a secret"}))
    place.chmod(0o600)
    request = {
        "apiVersion": own["apiVersion"],
        "kind": "CredentialProviderRequest",
        "image": f"{HOST}/prod/app:1.0",
        **({"serviceAccountToken": "a token"} if "tokenAttributes" in own else {}),
    }
    arguments = [one.replace("/etc/ccr/pull.json", str(place)) for one in own["args"]]
    ended = stranger.python("ccr.cli.kubelet_provider", *arguments, text=json.dumps(request))
    name = "cluster-pods" if "tokenAttributes" in own else "node-pull"
    assert ended.document["auth"][HOST]["username"] == name


def test_no_two_credentials_of_the_pages_have_one_id() -> None:
    """Ids are one set: who follows both pages makes all of them."""
    made = re.findall(r"(?:create-(?:robot|trust|user)|registry create) ([a-z-]+) ", QUICKSTART + KUBERNETES)
    assert len(made) > 4
    assert len(made) == len(set(made))


@pytest.mark.parametrize("page", [QUICKSTART, KUBERNETES, ACCESS], ids=["quickstart", "kubernetes", "access"])
def test_local_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page)
    assert all((ROOT / "docs" / target).exists() for target in targets)
