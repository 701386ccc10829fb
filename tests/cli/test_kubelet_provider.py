"""`ccr-credential-provider` as kubelet calls it, and what it answers tried at the registry."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import Ended, Terminal
from tests.identity.issuer import AUDIENCE, Issuer, rsa_key, running_issuer
from tests.support.client import Client
from tests.support.content import image

VERSION = "credentialprovider.kubelet.k8s.io/v1"
MINE = ("--registry", "registry.example.id")
LOGIN = {"CCR_USERNAME": "robot", "CCR_PASSWORD": "a secret"}
SUBJECT = "system:serviceaccount:shop:default"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """A cluster's, as far as a registry sees it."""
    with running_issuer(rsa_key()) as running:
        yield running


def request(image_name: str, **more: Any) -> str:
    return json.dumps(
        {"apiVersion": VERSION, "kind": "CredentialProviderRequest", "image": image_name, **more}
    )


def provider(terminal: Terminal, text: str, *arguments: str, **environ: str) -> Ended:
    return terminal.python("ccr.cli.kubelet_provider", *arguments, text=text, **environ)


def test_kubelet_is_answered_for_the_host_of_the_image(stranger: Terminal) -> None:
    ended = provider(stranger, request("registry.example.id/prod/app:1.0"), *MINE, **LOGIN)
    assert (ended.exit_code, ended.err) == (0, "")
    assert ended.document == {
        "apiVersion": VERSION,
        "kind": "CredentialProviderResponse",
        "cacheKeyType": "Registry",
        "cacheDuration": "3600s",
        "auth": {"registry.example.id": {"username": "robot", "password": "a secret"}},
    }


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("registry.example.id:5000/prod/app@sha256:" + "0" * 64, "registry.example.id:5000"),
        ("localhost/app", "localhost"),
        ("127.0.0.1:5000/prod/app", "127.0.0.1:5000"),
        ("[::1]:5000/prod/app", "[::1]:5000"),
        ("library/nginx", "docker.io"),
        ("nginx:1.27", "docker.io"),
    ],
)
def test_the_host_is_the_one_that_the_image_names(stranger: Terminal, name: str, host: str) -> None:
    ended = provider(stranger, request(name), "--registry", host, **LOGIN)
    assert list(ended.document["auth"]) == [host]


def test_the_credential_may_be_in_a_file(stranger: Terminal, tmp_path: Path) -> None:
    place = tmp_path / "pull.json"
    place.write_text(json.dumps({"username": "filed", "password": "in a file"}))
    place.chmod(0o640)
    ended = provider(
        stranger,
        request("registry.example.id/app"),
        *MINE,
        "--credential-file",
        str(place),
        "--cache-duration",
        "6h",
    )
    assert ended.document["auth"]["registry.example.id"] == {"username": "filed", "password": "in a file"}
    assert ended.document["cacheDuration"] == "21600s"


@pytest.mark.parametrize("means", ["flag", "environment"])
def test_other_registries_are_given_nothing(stranger: Terminal, means: str) -> None:
    flags = MINE if means == "flag" else ()
    environ = {} if means == "flag" else {"CCR_URL": "https://registry.example.id"}
    mine = provider(stranger, request("registry.example.id/app"), *flags, **LOGIN, **environ)
    theirs = provider(stranger, request("elsewhere.example.com/app"), *flags, **LOGIN, **environ)
    assert list(mine.document["auth"]) == ["registry.example.id"]
    assert (theirs.exit_code, theirs.document["auth"]) == (0, {})
    assert "a secret" not in theirs.out


def test_a_secret_goes_to_no_host_that_nobody_named(stranger: Terminal) -> None:
    """Whoever may make a pod chooses the image, and so the host that kubelet asks about."""
    ended = provider(stranger, request("evil.example.com/app"), **LOGIN)
    assert (ended.exit_code, ended.out) == (1, "")
    assert "--registry" in ended.err
    assert "CCR_URL" in ended.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "standard input"),
        ("{broken", "standard input"),
        ("[]", VERSION),
        (request("app").replace("/v1", "/v1alpha1"), VERSION),
        (request(""), "no image"),
        (request("registry.example.id/app"), "--credential-file"),
    ],
)
def test_an_error_is_a_line_that_kubelet_logs(stranger: Terminal, text: str, said: str) -> None:
    ended = provider(stranger, text, *MINE)
    assert (ended.exit_code, ended.out) == (1, "")
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("content", [None, "{", '{"username": "only"}', "[]"])
def test_a_bad_file_is_named_and_not_repeated(
    stranger: Terminal, tmp_path: Path, content: str | None
) -> None:
    place = tmp_path / "pull.json"
    if content is not None:
        place.write_text(content)
        place.chmod(0o600)
    ended = provider(stranger, request("registry.example.id/app"), *MINE, "--credential-file", str(place))
    said = f"the credential file {place}"
    assert (ended.exit_code, said in ended.err, "only" in ended.err) == (1, True, False)


def test_a_file_that_every_user_of_the_node_can_read_is_refused(stranger: Terminal, tmp_path: Path) -> None:
    place = tmp_path / "pull.json"
    place.write_text(json.dumps({"username": "filed", "password": "in a file"}))
    place.chmod(0o644)
    ended = provider(stranger, request("registry.example.id/app"), *MINE, "--credential-file", str(place))
    assert (ended.exit_code, ended.out) == (1, "")
    assert f"chmod 600 {place}" in ended.err
    assert "in a file" not in ended.err


def test_a_pod_pulls_with_the_token_of_its_service_account(
    terminal: Terminal,
    *,
    project: str,
    prod: str,
    client: Client,
    issuer: Issuer,
    fresh: Callable[[str], str],
) -> None:
    client.about(f"{prod}/app").push(image(b"layer"), "1.0")
    trust = fresh("cluster")
    terminal.ccr(
        *("credential", "create-trust", trust, "--project", project, "--grant", f"{prod}/*:pull"),
        *("--issuer", issuer.url, "--audience", AUDIENCE, "--subject", "system:serviceaccount:shop:*"),
    )
    name = f"{terminal.registry.host}/{prod}/app:1.0"
    mine = request(name, serviceAccountToken=issuer.token(sub=SUBJECT))
    answered = provider(terminal, mine, "--registry", terminal.registry.host, "--trust", trust).document
    auth = answered["auth"][terminal.registry.host]
    assert auth["username"] == trust
    assert 0 < int(answered["cacheDuration"].removesuffix("s")) <= 300
    pod = Client(client.url, auth["username"], auth["password"], f"{prod}/app")
    assert pod.get("manifests/1.0").status_code == 200
    assert pod.put_manifest(image(), "2.0").status_code == 401


def test_without_a_token_the_node_s_own_credential_is_used(stranger: Terminal) -> None:
    ended = provider(stranger, request("registry.example.id/app"), *MINE, **LOGIN, CCR_TRUST="cluster")
    assert ended.document["auth"]["registry.example.id"]["username"] == "robot"
    alone = provider(stranger, request("registry.example.id/app"), *MINE, CCR_TRUST="cluster")
    assert (alone.exit_code, "tokenAttributes" in alone.err) == (1, True)
