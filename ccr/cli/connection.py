"""Where to and as whom: --profile, the environment, the profile in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

from ccr.cli import environment, profiles
from ccr.cli.exits import CliError, Exit
from ccr.cli.profiles import Configuration, Profile

LOG_IN: Final = "`ccr login URL -u ID`"


@dataclass(frozen=True, slots=True)
class Connection:
    """`profile` is the name of the one that the secret comes from; '' when it is the environment's."""

    url: str
    username: str
    password: str = field(repr=False)
    profile: str = ""
    expires: str = ""

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def bare(self, reference: str) -> str:
        """An image's name as the management API has it: without the host that docker wants in front."""
        return reference.removeprefix(f"{self.host}/")


def resolve(environ: Mapping[str, str], wanted: str = "") -> Connection:
    """The environment goes before the profile. Raises CliError (NOT_LOGGED_IN).

    A secret goes to no other host, by no other scheme and for no other id than it was stored for.
    """
    name, profile = _selected(environ, wanted)
    url, username = _environment_url(environ), environ.get(environment.USERNAME.name, "")
    if profile is not None and url and urlsplit(url)[:2] != urlsplit(profile.url)[:2]:
        profile = None
    if profile is not None and username not in {"", profile.username}:
        profile = replace(profile, username=username, password="")
    password = environ.get(environment.PASSWORD.name, "")
    own = password or (profile.password if profile else "")
    found = Connection(
        url or (profile.url if profile else ""),
        username or (profile.username if profile else ""),
        own,
        name if profile and own == profile.password else "",
        profile.expires if profile else "",
    )
    if not (found.url and found.username and found.password):
        stored = sorted(profiles.load(environ).profiles) if not name else []
        chosen = f"`ccr profile use NAME`, one of {', '.join(stored)}; or " if stored else ""
        raise CliError(f"not logged in: {chosen}{_missing(found)}", Exit.NOT_LOGGED_IN)
    return found


def resolve_url(environ: Mapping[str, str], wanted: str = "") -> str:
    """Where to, whoever it is. Raises CliError (NOT_LOGGED_IN)."""
    url = _environment_url(environ)
    if url:
        return url
    _, profile = _selected(environ, wanted)
    if profile is None:
        raise CliError(f"not logged in: {LOG_IN}, or set {environment.URL.name}", Exit.NOT_LOGGED_IN)
    return profile.url


def _selected(environ: Mapping[str, str], wanted: str) -> tuple[str, Profile | None]:
    configuration = profiles.load(environ)
    name = wanted or environ.get(environment.PROFILE.name, "")
    if name and name not in configuration.profiles:
        raise CliError(
            f"there is no profile {name!r}: {_choices(configuration)}; or {LOG_IN} --profile {name}",
            Exit.NOT_LOGGED_IN,
        )
    name = name or configuration.current
    return name, configuration.profiles.get(name)


def _environment_url(environ: Mapping[str, str]) -> str:
    text = environ.get(environment.URL.name, "")
    try:
        return profiles.normal_url(text) if text else ""
    except ValueError as error:
        raise CliError(f"{environment.URL.name}: {error}", Exit.USAGE) from error


def _missing(found: Connection) -> str:
    needed = (
        (environment.URL, found.url),
        (environment.USERNAME, found.username),
        (environment.PASSWORD, found.password),
    )
    names = [variable.name for variable, value in needed if not value]
    return f"{LOG_IN}, or set {' and '.join(names)}"


def _choices(configuration: Configuration) -> str:
    names = ", ".join(sorted(configuration.profiles))
    return f"there are {names}" if names else "there is none yet"
