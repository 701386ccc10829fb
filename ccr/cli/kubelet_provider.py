"""`ccr-credential-provider`: gives kubelet what it pulls with, and no Secret is in the cluster.

https://kubernetes.io/docs/reference/config-api/kubelet-credentialprovider.v1/
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ccr.cli import durations, environment, profiles
from ccr.cli.exits import CliError

API_VERSION: Final = "credentialprovider.kubelet.k8s.io/v1"
_DEFAULT_HOST: Final = "docker.io"

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Login:
    username: str
    password: str = field(repr=False)
    seconds: int


def respond(request: Document, options: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, Any]:
    """A CredentialProviderResponse; without a login for the hosts of others. Raises CliError.

    The image is chosen by whoever makes a pod, so the hosts are not: no secret goes to one that nobody named.
    """
    host = host_of(str(request.get("image") or ""))
    auth = {}
    seconds = durations.seconds(options.cache_duration)
    if not (hosts := _hosts(options, environ)):
        raise CliError(f"which host is the credential for? give --registry, or set {environment.URL.name}")
    if host in hosts:
        login = _login(request, options, environ, seconds)
        auth[host] = {"username": login.username, "password": login.password}
        seconds = login.seconds
    return {
        "apiVersion": API_VERSION,
        "kind": "CredentialProviderResponse",
        "cacheKeyType": "Registry",
        "cacheDuration": f"{seconds}s",
        "auth": auth,
    }


def host_of(image: str) -> str:
    """The first segment where it is one of a host; else it is Docker's own. Raises CliError."""
    if not image:
        raise CliError("the request names no image")
    first, slash, _ = image.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return first.lower() if is_host else _DEFAULT_HOST


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 and a line on standard error, which kubelet logs."""
    options = _parser().parse_args(arguments)
    try:
        print(json.dumps(respond(_request(sys.stdin.read()), options, os.environ)))
    except (CliError, OSError, ValueError) as error:
        print(f"ccr-credential-provider: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ccr-credential-provider",
        description="The kubelet image credential provider of CCR: a request on standard input, the answer "
        "on standard output. The credential is that of --credential-file, or CCR_USERNAME and CCR_PASSWORD.",
    )
    parser.add_argument(
        "--credential-file", metavar="PATH", type=Path, help='JSON: {"username": "...", "password": "..."}'
    )
    parser.add_argument(
        "--trust",
        metavar="ID",
        help="sign in service accounts as this trust, by their own token (CCR_TRUST)",
    )
    parser.add_argument(
        "--registry",
        metavar="HOST",
        action="append",
        default=[],
        help="answer for this host alone, whatever kubelet asks about; may be repeated; required (CCR_URL)",
    )
    parser.add_argument(
        "--cache-duration",
        metavar="DURATION",
        default="1h",
        help="how long kubelet keeps the answer, at most (1h)",
    )
    return parser


def _request(text: str) -> Document:
    """Raises CliError."""
    try:
        request = json.loads(text)
    except ValueError:
        request = None
    wanted = {"apiVersion": API_VERSION, "kind": "CredentialProviderRequest"}
    if not isinstance(request, dict) or not wanted.items() <= request.items():
        raise CliError(f"what came on standard input is no CredentialProviderRequest of {API_VERSION}")
    return request


def _hosts(options: argparse.Namespace, environ: Mapping[str, str]) -> set[str]:
    url = environ.get(environment.URL.name, "")
    named = [*options.registry, *([url] if url else [])]
    return {urlsplit(profiles.normal_url(one)).netloc for one in named}


def _login(request: Document, options: argparse.Namespace, environ: Mapping[str, str], seconds: int) -> Login:
    """Of the pod's own service account, of the file, or of the environment. Raises CliError, OSError."""
    token = str(request.get("serviceAccountToken") or "")
    trust = options.trust or environ.get(environment.TRUST.name, "")
    if token and trust:
        return Login(trust, token, max(0, min(seconds, _lifetime(token, seconds))))
    if options.credential_file is not None:
        return _of_file(options.credential_file, seconds)
    username, password = (environ.get(one.name, "") for one in (environment.USERNAME, environment.PASSWORD))
    if not (username and password):
        raise CliError(
            f"no credential: give --credential-file, or set {environment.USERNAME.name} and "
            f"{environment.PASSWORD.name}"
            + (f"; {trust!r} takes a serviceAccountToken: set tokenAttributes" if trust else "")
        )
    return Login(username, password, seconds)


def _of_file(place: Path, seconds: int) -> Login:
    """Nothing that is in the file is repeated in a message."""
    try:
        if place.stat().st_mode & stat.S_IROTH:
            raise CliError(
                f"the credential file {place} can be read by every user of the node: chmod 600 {place}"
            )
        document = json.loads(place.read_text(encoding="utf-8"))
        return Login(str(document["username"]), str(document["password"]), seconds)
    except (ValueError, KeyError, TypeError):
        raise CliError(f"the credential file {place} is not JSON with username and password") from None
    except OSError as error:
        raise CliError(f"cannot read the credential file {place}: {error.strerror}") from error


def _lifetime(token: str, otherwise: int) -> int:
    """Seconds until the token expires, unverified: the registry is who believes it."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return int(claims["exp"] - time.time())
    except (ValueError, KeyError, TypeError, IndexError):
        return otherwise


if __name__ == "__main__":
    sys.exit(main())
