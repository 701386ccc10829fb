"""`ccr pull-secret`: what Kubernetes pulls with, as a Secret."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ccr.cli.answers import Document
from ccr.cli.commands.login import expiry, read_secret
from ccr.cli.connection import Connection, resolve_url
from ccr.cli.exits import CliError
from ccr.cli.session import Session, connect, note, warn_of_expiry

if TYPE_CHECKING:
    from ccr.cli.api import Api

_ACCOUNT: Final = ("serviceaccount", "default")
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


def pull_secret(
    session: Session,
    name: Annotated[str, typer.Option(help="The Secret's name.")] = "ccr",
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="The namespace to pull in.")
    ] = "default",
    credential: Annotated[
        str, typer.Option(metavar="ID", help="For this credential, a robot as a rule.")
    ] = "",
    *,
    own: Annotated[
        bool,
        typer.Option("--own", help="For the credential that you are logged in with, whatever it may do."),
    ] = False,
    secret_stdin: Annotated[
        bool, typer.Option("--secret-stdin", help="Read the secret of --credential from standard input.")
    ] = False,
    patch_service_account: Annotated[
        bool,
        typer.Option(
            "--patch-service-account",
            help="Also apply it with kubectl, and let the service account `default` pull with it.",
        ),
    ] = False,
) -> None:
    """Print a Secret of type kubernetes.io/dockerconfigjson, as YAML for kubectl.

    A robot that may only pull is what a cluster should have. The credential is tried before it is printed.
    """
    for text in (name, namespace):
        if not _NAME.fullmatch(text):
            raise typer.BadParameter(f"{text!r} is no name for Kubernetes: a-z, 0-9, - and . inside")
    if secret_stdin and not credential:
        raise typer.BadParameter("--secret-stdin is the secret of which --credential?")
    if bool(credential) is own:
        raise typer.BadParameter(
            "whose secret is it to hold? --credential ID, a robot that may pull; or --own, "
            "that of your own login, whatever it may do"
        )
    account = _service_account(namespace) if patch_service_account else {}
    api = connect(_connection(session, credential, from_stdin=secret_stdin))
    _check(api)
    secret = _document(api.connection, name, namespace)
    text = json.dumps(secret, indent=2) + "\n" if session.is_json else _yaml(secret)
    # On a screen it would only be there for others to read, once kubectl has it.
    if not (patch_service_account and sys.stdout.isatty()):
        print(text, end="")
    if patch_service_account:
        _apply(text, name, namespace, account)


def _connection(session: Session, credential: str, *, from_stdin: bool) -> Connection:
    if not credential:
        return session.connection
    url = resolve_url(os.environ, session.profile)
    return Connection(url, credential, read_secret(from_stdin=from_stdin))


def _check(api: Api) -> None:
    """That it logs in; a note where it may do more than pull. Raises CliError."""
    id_ = api.connection.username
    caller = api.get("/whoami").document
    actions = {action for grant in caller["grants"] for action in grant["actions"]}
    if caller["roles"] or actions - {"pull"}:
        note(f"warning: {id_} may do more than pull, and so may whoever can read the Secret: better a robot")
    warn_of_expiry(id_, expiry(api, id_))


def _document(connection: Connection, name: str, namespace: str) -> Document:
    pair = f"{connection.username}:{connection.password}"
    entry = {
        "username": connection.username,
        "password": connection.password,
        "auth": base64.b64encode(pair.encode()).decode(),
    }
    config = json.dumps({"auths": {connection.host: entry}}, separators=(",", ":"))
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()},
    }


def _yaml(document: dict[str, Any], indent: str = "") -> str:
    """Mappings of text: strings are quoted as in JSON, which YAML reads the same."""
    text = ""
    for key, value in document.items():
        if isinstance(value, dict):
            text += f"{indent}{key}:\n{_yaml(value, indent + '  ')}"
        else:
            text += f"{indent}{key}: {json.dumps(value)}\n"
    return text


def _service_account(namespace: str) -> Document:
    """Looked at before anything is changed. Raises CliError."""
    text = _kubectl(["get", *_ACCOUNT, "-n", namespace, "-o", "json"])
    try:
        account: Document = json.loads(text)
        known = bool(account["metadata"]["resourceVersion"])
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise CliError(
            f"kubectl shows the service account `default` of the namespace {namespace} without its "
            "resourceVersion, so it cannot be changed safely: nothing was applied"
        )
    return account


def _apply(secret: str, name: str, namespace: str, account: Document) -> None:
    """The Secret goes to kubectl on its standard input: arguments are there for all to read."""
    print(_kubectl(["apply", "-n", namespace, "-f", "-"], secret), end="", file=sys.stderr)
    names = account.get("imagePullSecrets") or []
    if {"name": name} in names:
        return
    # A patch replaces the whole list; the version makes it fail where somebody else changed it meanwhile.
    version = account["metadata"]["resourceVersion"]
    patch = {"metadata": {"resourceVersion": version}, "imagePullSecrets": [*names, {"name": name}]}
    patched = _kubectl(["patch", *_ACCOUNT, "-n", namespace, "-p", json.dumps(patch)])
    print(patched, end="", file=sys.stderr)


def _kubectl(arguments: list[str], text: str = "") -> str:
    """What it prints. Raises CliError."""
    try:
        ended = subprocess.run(
            ["kubectl", *arguments], input=text, stdout=subprocess.PIPE, text=True, check=False
        )
    except FileNotFoundError as error:
        raise CliError(
            "kubectl is not installed: pipe the Secret into `kubectl apply -f -` where it is"
        ) from error
    if ended.returncode:
        raise CliError(f"kubectl {arguments[0]} failed with exit code {ended.returncode}")
    return ended.stdout
