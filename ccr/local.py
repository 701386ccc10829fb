"""The local deployment: engines, the registry on them, and an HTTP server in front."""

from __future__ import annotations

import functools
import ipaddress
import math
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import uvicorn

from ccr.edge.front_door import front_door
from ccr.engines import dynamodb_local, ministack
from ccr.engines.dynamodb_local import answer_after_commit, start_dynamodb_local
from ccr.engines.ministack import start_ministack
from ccr.engines.process import Engine, EngineError
from ccr.engines.seaweedfs import start_seaweedfs
from ccr.schedule import every
from ccr.state import (
    LockedError,
    OtherEnginesError,
    Secrets,
    check_engines,
    load_secrets,
    lock,
    remember_engines,
)
from chalicelib.config import (
    AWS,
    EDGE,
    FUNCTION,
    FUNCTION_URL,
    GATEWAY,
    ProcessSettings,
    Settings,
    SettingsError,
    Variable,
)
from chalicelib.gateway.application import create_application
from chalicelib.gateway.server import CONNECTIONS, server_config
from chalicelib.identity.administrators import ADMINISTRATOR, Administrators
from chalicelib.jobs import JOBS, of_told
from chalicelib.observation.processes import ProcessWatch
from chalicelib.watching import watching
from chalicelib.wiring import Deployment

ENGINE_SETS: Final = ("embedded", "real")
TABLES: Final = {"embedded": ministack.TABLES, "real": dynamodb_local.TABLES}
COLLECT_SECONDS: Final = 900
# As the functions of a deployment on AWS have at the most.
FUNCTION_SECONDS: Final = 900
DAY: Final = 24 * 3600
# How often the outbox is looked at, and how long one round of deliveries may take.
TELL_SECONDS: Final = 1.0
TELL_FOR_SECONDS: Final = 20.0
QUIET_SECONDS: Final = 5.0
VARIABLES: Final = (
    Variable("CCR_HOST", "127.0.0.1", "the address to listen on; 0.0.0.0 for other machines"),
    Variable("CCR_PORT", "5000", "the port to listen on; 0 takes a free one"),
    Variable(
        "CCR_CONNECTIONS", "1000", "how many connections may be open at once; more are answered with 503"
    ),
    Variable("CCR_DATA", ".ccr", "the folder of all state: secrets, tables, objects, logs of the engines"),
    Variable(
        "CCR_ADMIN_PASSWORD",
        "made, and printed once",
        "replaces the password of `admin`, for the starts without it too",
    ),
    Variable(
        "CCR_ENGINES",
        "embedded",
        "real: Amazon's DynamoDB Local instead of ministack (`make run ENGINES=real`)",
    ),
    Variable("CCR_COLLECT_SECONDS", "900", "how often garbage is collected; 0: never, but for `ccr gc run`"),
    Variable(
        "CCR_GATEWAY_URL",
        "one is started, unless `CCR_UPLOADS` has none",
        "with `CCR_EMULATE=aws`: the upload gateway that the edge sends `/u/*` to",
    ),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where this deployment listens and keeps its state."""

    host: str
    port: int
    data: Path
    engines: str
    connections: int = CONNECTIONS
    collect_seconds: int = COLLECT_SECONDS

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Place:
        """Raises SettingsError."""
        engines = environ.get("CCR_ENGINES") or ENGINE_SETS[0]
        if engines not in ENGINE_SETS:
            raise SettingsError(f"CCR_ENGINES takes {' or '.join(ENGINE_SETS)}, not {engines!r}")
        port = environ.get("CCR_PORT") or "5000"
        if not (port.isascii() and port.isdigit() and int(port) < 65536):
            raise SettingsError(f"CCR_PORT takes a port number, or 0 for a free one, not {port!r}")
        connections = environ.get("CCR_CONNECTIONS") or str(CONNECTIONS)
        if not (connections.isascii() and connections.isdigit() and int(connections) > 0):
            raise SettingsError(f"CCR_CONNECTIONS takes a number above 0, not {connections!r}")
        interval = environ.get("CCR_COLLECT_SECONDS") or str(COLLECT_SECONDS)
        if not (interval.isascii() and interval.isdigit()):
            raise SettingsError(f"CCR_COLLECT_SECONDS takes a number of seconds, or 0, not {interval!r}")
        data = Path(environ.get("CCR_DATA") or ".ccr").expanduser()
        host = environ.get("CCR_HOST") or "127.0.0.1"
        return cls(host, int(port), data.resolve(), engines, int(connections), int(interval))


def serve(environ: MutableMapping[str, str]) -> None:
    """Run until told to stop. Raises SettingsError, EngineError, LockedError, OtherEnginesError, OSError."""
    place = Place.from_environment(environ)
    with (
        lock(place.data),
        _listening(place) as listener,
        watching("local", ProcessSettings.from_environment(environ)) as (watch, metrics),
    ):
        own = load_secrets(place.data)
        with engines(place, own, environ) as running:
            for name, value in registry_environment(own, running, environ).items():
                environ[name] = value
            deployment = Deployment(Settings.from_environment(environ))
            deployment.prepare()
            if place.engines == "real" and "CCR_DYNAMODB_ENDPOINT" in running:
                answer_after_commit(deployment.dynamodb)
            password = set_administrator(deployment.administrators, environ.get("CCR_ADMIN_PASSWORD", ""))
            text = banner(_address(place, listener), place, password, deployment.settings, metrics)
            with (
                _scheduled(deployment, place.collect_seconds, watch),
                telling(deployment, watch),
                _application(deployment, environ.get("CCR_GATEWAY_URL", ""), place, watch) as application,
            ):
                _Announced(server_config(application, place.connections), text).run(sockets=[listener])


@contextmanager
def _scheduled(deployment: Deployment, collect_seconds: int, watch: ProcessWatch) -> Iterator[None]:
    """What app.py schedules; nothing of it where nothing is collected."""
    often: dict[str, float] = {
        "collect": collect_seconds,
        "lifecycle": DAY / 24,
        "reconcile": DAY / 4,
        "sweep": DAY,
    }
    with ExitStack() as stack:
        for work, seconds in often.items() if collect_seconds else ():
            stack.enter_context(every(seconds, functools.partial(_run, work, deployment, watch)))
        yield


def _run(work: str, deployment: Deployment, watch: ProcessWatch) -> None:
    watch.run(JOBS[work](deployment, FUNCTION_SECONDS))


@contextmanager
def telling(deployment: Deployment, watch: ProcessWatch, seconds: float = TELL_SECONDS) -> Iterator[None]:
    """In place of the stream function: after each request, and for retries and collections now and then."""
    with every(seconds, Telling(deployment, watch)):
        yield


@dataclass(slots=True)
class Telling:
    """Looks at the tables where there may be something new, or nobody has looked for `QUIET_SECONDS`."""

    deployment: Deployment
    watch: ProcessWatch
    looked: float = -math.inf

    def __call__(self) -> None:
        if not self.watch.asked.is_set() and time.monotonic() < self.looked + QUIET_SECONDS:
            return
        self.watch.asked.clear()
        self.looked = time.monotonic()
        if counted := self.deployment.begin_to_tell(TELL_FOR_SECONDS):
            self.watch.run(of_told("tell", counted))


@contextmanager
def _application(
    deployment: Deployment, gateway_url: str, place: Place, watch: ProcessWatch
) -> Iterator[Any]:
    """The registry as a client meets it: alone, or behind the edge."""
    if deployment.settings.emulate != AWS:
        yield create_application(deployment, watch)
        return
    with front_door(deployment, gateway_url, place.data / "engines", watch) as edge:
        yield edge


@contextmanager
def engines(place: Place, own: Secrets, environ: Mapping[str, str]) -> Iterator[dict[str, Engine]]:
    """Those that the environment does not name, stopped when done."""
    running: dict[str, Engine] = {}
    folder = place.data / "engines"
    if not environ.get("CCR_DYNAMODB_ENDPOINT"):
        check_engines(place.data, place.engines, {name: folder / at for name, at in TABLES.items()})
    try:
        if not environ.get("CCR_S3_ENDPOINT"):
            running["CCR_S3_ENDPOINT"] = start_seaweedfs(folder, own.access_key, own.secret_key)
        if not environ.get("CCR_DYNAMODB_ENDPOINT"):
            real = place.engines == "real"
            running["CCR_DYNAMODB_ENDPOINT"] = (
                start_dynamodb_local(folder)
                if real
                else start_ministack(folder, own.access_key, own.secret_key)
            )
            remember_engines(place.data, place.engines)
        yield running
    finally:
        for engine in reversed(running.values()):
            engine.stop()


def registry_environment(
    own: Secrets, running: Mapping[str, Engine], environ: Mapping[str, str]
) -> dict[str, str]:
    """What the registry is told. Keys of one's own are for one's own engines only."""
    told = {name: engine.endpoint for name, engine in running.items()}
    told["CCR_TOKEN_KEY"] = environ.get("CCR_TOKEN_KEY") or own.token_key
    told["CCR_CREATE_ON_PUSH"] = environ.get("CCR_CREATE_ON_PUSH") or "on"
    if environ.get("CCR_EMULATE") == AWS:
        told["CCR_ORIGIN_SECRET"] = environ.get("CCR_ORIGIN_SECRET") or secrets.token_hex(16)
        told["CCR_UPLOADS"] = environ.get("CCR_UPLOADS") or f"{FUNCTION},{EDGE},{GATEWAY}"
    if running:
        told |= {"AWS_ACCESS_KEY_ID": own.access_key, "AWS_SECRET_ACCESS_KEY": own.secret_key}
        told["AWS_SESSION_TOKEN"] = ""
    if "CCR_S3_ENDPOINT" in running and not environ.get("CCR_S3_PUBLIC_ENDPOINT") and _is_public(environ):
        told["CCR_BLOB_REDIRECT"] = environ.get("CCR_BLOB_REDIRECT") or "off"
    return told


def set_administrator(administrators: Administrators, password: str) -> str:
    """Set the password that was asked for, or make one the first time; the one made, to be shown."""
    if not password:
        return administrators.make()
    administrators.put(password)
    return ""


_EMULATED: Final = {
    FUNCTION_URL: "a bare function URL (CCR_EMULATE=function-url): docker cannot log in through it",
    AWS: "CloudFront before a function URL (CCR_EMULATE=aws)",
}


def banner(url: str, place: Place, password: str, settings: Settings, metrics: str = "") -> str:
    """How to log in, push and pull; `url` is where it listens."""
    public = settings.public_url or url
    host = urlsplit(public).netloc
    shown = f" -p {password}" if password else ""
    streams = "through this process (CCR_BLOB_REDIRECT=off), for clients that cannot reach S3"
    lines = [
        f"registry   {public}    data {place.data}    engines {place.engines}",
        *([f"password   {password}    (of {ADMINISTRATOR}; shown this once)"] if password else []),
        *([f"metrics    {metrics}"] if metrics else []),
        *([f"emulates   {_EMULATED[settings.emulate]}"] if settings.emulate in _EMULATED else []),
        *([] if settings.redirect_blobs else [f"blobs      {streams}"]),
        "",
        f"  docker login {host} -u {ADMINISTRATOR}{shown}",
        f"  docker push {host}/dev/app:1.0",
        f"  docker pull {host}/dev/app:1.0",
        "",
        f"ready {url}",
    ]
    return "\n".join(lines)


def _is_public(environ: Mapping[str, str]) -> bool:
    """Whether clients elsewhere are meant to come: the S3 that we start is on loopback."""
    url = environ.get("CCR_PUBLIC_URL", "")
    try:
        public = urlsplit(url).hostname
    except ValueError as error:
        raise SettingsError(f"CCR_PUBLIC_URL takes a URL, not {url!r}") from error
    return not all(_is_loopback(host) for host in (environ.get("CCR_HOST"), public) if host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(place: Place, listener: socket.socket) -> str:
    """One that clients on this machine can use: none connects to the wildcard."""
    bound, port = listener.getsockname()[:2]
    return f"http://{'127.0.0.1' if bound == '0.0.0.0' else place.host}:{port}"  # noqa: S104 - compared


@contextmanager
def _listening(place: Place) -> Iterator[socket.socket]:
    """Taken first, so that a port in use is said before anything starts."""
    try:
        listener = socket.create_server((place.host, place.port), backlog=2048)
    except OSError as error:
        # What `create_server` says names the address a second time.
        why = os.strerror(error.errno) if error.errno else str(error)
        message = f"cannot listen on {place.host}:{place.port} ({why}): choose a port with CCR_PORT"
        raise EngineError(message) from error
    with listener:
        yield listener


class _Announced(uvicorn.Server):
    """Says how to use it once it listens."""

    def __init__(self, config: uvicorn.Config, text: str) -> None:
        super().__init__(config)
        self._text = text

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._text, flush=True)


def main() -> int:
    """Exit code 1 and one message for what a person can mend."""
    # Uvicorn raises the signal again once it has drained: leave by an exception, so that engines stop too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        serve(os.environ)
    except KeyboardInterrupt:
        pass  # where SIGINT is ignored, as in a shell's background, it ends without one
    except (SettingsError, EngineError, LockedError, OtherEnginesError) as error:
        print(f"ccr: {error}", file=sys.stderr)
        return 1
    print(f"Stopped; state is in {os.environ.get('CCR_DATA') or '.ccr'}")
    return 0
