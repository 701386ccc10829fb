"""`docker-credential-ccr`: gives docker the credentials of ccr's profiles, and keeps what docker stores.

https://github.com/docker/docker-credential-helpers
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from ccr.cli import VERSION, environment, profiles
from ccr.cli.exits import CliError
from ccr.cli.profiles import Profile

NAME: Final = "docker-credential-ccr"
# Docker tells these apart by their text.
NOT_FOUND: Final = "credentials not found in native keychain"
NO_SERVER: Final = "no credentials server URL"
NO_USERNAME: Final = "no credentials username"

Environ = Mapping[str, str]


def get(environ: Environ, text: str) -> str:
    """Raises CliError."""
    server = _server(text)
    profile = _given(environ, _host(server))
    if profile is None:
        raise CliError(NOT_FOUND)
    return json.dumps({"ServerURL": server, "Username": profile.username, "Secret": profile.password})


def store(environ: Environ, text: str) -> str:
    """Beside the profiles, so that `docker login` as a robot leaves the login of a person alone."""
    try:
        asked = json.loads(text)
        server, username, secret = (str(asked[key]) for key in ("ServerURL", "Username", "Secret"))
    except (ValueError, KeyError, TypeError) as error:
        raise CliError("credentials are JSON with ServerURL, Username and Secret") from error
    host = _host(_server(server))
    if not username:
        raise CliError(NO_USERNAME)
    with profiles.changing(environ) as stored:
        stored.docker[host] = Profile(profiles.normal_url(host), username, secret)
    return ""


def erase(environ: Environ, text: str) -> str:
    """A profile of the host stays for ccr, and is given to docker no more until the next login."""
    host = _host(_server(text))
    with profiles.changing(environ) as stored:
        if stored.of_host(host) is None:
            stored.docker.pop(host, None)
        else:
            stored.docker[host] = None
    return ""


def list_all(environ: Environ, _text: str) -> str:
    stored = profiles.load(environ)
    hosts = {one.host for one in stored.profiles.values()} | set(stored.docker)
    given = {host: _given(environ, host) for host in sorted(hosts)}
    return json.dumps({host: one.username for host, one in given.items() if one is not None})


def version(_environ: Environ, _text: str) -> str:
    return f"{NAME} (ccr) {VERSION}"


ACTIONS: Final[Mapping[str, Callable[[Environ, str], str]]] = {
    "store": store,
    "get": get,
    "erase": erase,
    "list": list_all,
    "version": version,
}
_WITHOUT_INPUT: Final = {"list", "version"}


def main() -> int:
    """Errors go to standard output with exit code 1: that is where docker reads them."""
    usage = f"Usage: {NAME} <{'|'.join(ACTIONS)}>"
    if len(sys.argv) != 2:
        print(usage)
        return 1
    name = {"--version": "version", "-v": "version"}.get(sys.argv[1], sys.argv[1])
    if name in {"--help", "-h"}:
        print(usage)
        return 0
    if name not in ACTIONS:
        print(f"{NAME}: unknown action: {name}")
        return 1
    try:
        said = ACTIONS[name](os.environ, "" if name in _WITHOUT_INPUT else sys.stdin.read())
    except CliError as error:
        print(error.message)
        return 1
    if said:
        print(said)
    return 0


def _given(environ: Environ, host: str) -> Profile | None:
    stored = profiles.load(environ)
    if host in stored.docker:
        return stored.docker[host]
    return stored.of_host(host, environ.get(environment.PROFILE.name, ""))


def _server(text: str) -> str:
    server = text.strip()
    if not server:
        raise CliError(NO_SERVER)
    return server


def _host(server: str) -> str:
    """Docker names a registry by its host, or as a URL. Raises CliError."""
    try:
        host = urlsplit(server if "://" in server else f"//{server}").netloc.lower()
        return urlsplit(profiles.normal_url(host)).netloc
    except ValueError as error:
        raise CliError(NOT_FOUND) from error


if __name__ == "__main__":
    sys.exit(main())
