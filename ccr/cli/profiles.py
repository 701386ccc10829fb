"""Profiles: who one is at which registry, in ~/.config/ccr/config.json, for this user alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ccr.cli import environment
from ccr.cli.exits import CliError
from ccr.cli.stored import locked, replace

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Profile:
    """`expires` is when the credential does (RFC 3339), as the registry last told; '' is never."""

    url: str
    username: str
    password: str = field(repr=False)
    expires: str = ""

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


@dataclass(slots=True)
class Configuration:
    """All profiles, the one in use, and by host what `docker login` stored apart from them.

    `docker[host]` is None after `docker logout`: then docker is not given a profile of that host either.
    """

    current: str = ""
    profiles: dict[str, Profile] = field(default_factory=dict)
    docker: dict[str, Profile | None] = field(default_factory=dict)

    def of_host(self, host: str, preferred: str = "") -> Profile | None:
        """The preferred one, the one in use, or the first by name that is of `host`."""
        names = [preferred, self.current, *sorted(self.profiles)]
        found = (self.profiles[name] for name in names if name in self.profiles)
        return next((one for one in found if one.host == host), None)


def normal_url(text: str) -> str:
    """With its scheme, which is https but on this machine. Raises ValueError."""
    text = text.strip()
    if "://" not in text:
        loopback = urlsplit(f"//{text}").hostname in _LOOPBACK
        text = f"{'http' if loopback else 'https'}://{text}"
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise ValueError(f"{text!r} is no URL of a registry: https://registry.example.id")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"{text!r} goes on after the host: give https://{parts.netloc}")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def is_clear_text(url: str) -> bool:
    """Whether secrets for `url` would cross a network that others can read."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in _LOOPBACK


def path(environ: Mapping[str, str]) -> Path:
    home = environ.get(environment.CONFIG_HOME.name)
    folder = Path(home) if home and Path(home).is_absolute() else Path.home() / ".config"
    return folder / "ccr" / "config.json"


def load(environ: Mapping[str, str]) -> Configuration:
    """Raises CliError for a file that cannot be read."""
    place = path(environ)
    try:
        return _parse(json.loads(place.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Configuration()
    except OSError as error:
        raise CliError(f"cannot read {place}: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise CliError(f"{place} is not what ccr wrote: mend it, or remove it and log in again") from error


@contextmanager
def changing(environ: Mapping[str, str]) -> Iterator[Configuration]:
    """Change what is stored; of two at once, one after the other. Raises CliError."""
    place = path(environ)
    try:
        with locked(place.parent):
            configuration = load(environ)
            yield configuration
            replace(place, json.dumps(asdict(configuration), indent=2))
    except OSError as error:
        raise CliError(f"cannot write {place}: {error.strerror}") from error


def _parse(document: dict[str, Any]) -> Configuration:
    return Configuration(
        str(document.get("current", "")),
        {name: Profile(**entry) for name, entry in document.get("profiles", {}).items()},
        {host: entry and Profile(**entry) for host, entry in document.get("docker", {}).items()},
    )
