"""dockerd and containerd, with all their state in one folder, started by hand and stopped by process id."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.clients.commands import ClientError, Unavailable, told

START_SECONDS: Final = 60
STOP_SECONDS: Final = 60
SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"
STORAGE_DRIVERS: Final = ("overlay2", "fuse-overlayfs", "vfs")
# The plugins left out are for Kubernetes, and the one with a path would write to /opt.
CONTAINERD_CONFIG: Final = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{folder}/sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
"""


@dataclass(frozen=True)
class Daemon:
    """One that listens, and the command that it answers to."""

    address: str
    client: str


def environment(folder: Path) -> dict[str, str]:
    """One in which a client finds and keeps nothing outside of `folder`."""
    path = f"{os.environ.get('PATH', '')}:{SBIN}"
    return {"PATH": path, "HOME": str(folder), "TMPDIR": str(folder), "LC_ALL": "C"}


def find(program: str) -> str:
    """Raises Unavailable."""
    return find_all(program)[0]


def find_all(program: str) -> list[str]:
    """Every one on the path. Raises Unavailable when there is none."""
    folders = f"{os.environ.get('PATH', '')}:{SBIN}".split(os.pathsep)
    found = [path for folder in folders if (path := shutil.which(program, path=folder)) is not None]
    if not found:
        raise Unavailable(f"{program} is not installed")
    return found


def _need_root(program: str) -> None:
    if os.geteuid() != 0:
        raise Unavailable(f"{program} needs root")


@contextmanager
def docker_daemon(folder: Path) -> Iterator[Daemon]:
    """With the first storage driver that this kernel has. Raises Unavailable."""
    program = find("dockerd")
    clients = find_all("docker")
    _need_root("dockerd")
    said = []
    for driver in STORAGE_DRIVERS:
        place = folder / driver
        place.mkdir()
        with _running(_dockerd(program, driver, place), place) as process:
            address = f"unix://{place}/sock"
            # A machine may have two, and a new one may no longer speak to an old daemon.
            client = _who_reaches(process, clients, ["-H", address, "version"], place)
            if client:
                yield Daemon(address, client)
                return
        said.append(f"{driver}: {_last_line(place / 'log')}")
    raise Unavailable(f"dockerd does not start: {'; '.join(said)}")


def _dockerd(program: str, driver: str, folder: Path) -> list[str]:
    return [
        program,
        f"--storage-driver={driver}",
        # Push and pull need no container network, and the machine's own is not ours to change.
        *("--iptables=false", "--ip6tables=false", "--bridge=none"),
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid",
        f"--host=unix://{folder}/sock",
        "--insecure-registry=127.0.0.0/8",
        "--debug",
    ]


@contextmanager
def containerd_daemon(folder: Path) -> Iterator[Daemon]:
    """Raises Unavailable."""
    program = find("containerd")
    clients = find_all("ctr")
    _need_root("containerd")
    config = folder / "config.toml"
    config.write_text(CONTAINERD_CONFIG.format(folder=folder))
    with _running([program, "--config", str(config)], folder) as process:
        address = f"{folder}/sock"
        client = _who_reaches(process, clients, ["--address", address, "version"], folder)
        if not client:
            raise Unavailable(f"containerd does not start: {_last_line(folder / 'log')}")
        yield Daemon(address, client)


@contextmanager
def _running(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment(folder),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        _stop(process)
        unmount_below(folder)


def _who_reaches(
    process: subprocess.Popen[bytes], clients: Sequence[str], question: Sequence[str], folder: Path
) -> str:
    """The first client that gets an answer; '' when the daemon ends, or says nothing for too long."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        for client in clients:
            with contextlib.suppress(ClientError):
                told([client, *question], environment(folder))
                return client
        time.sleep(0.1)
    return ""


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def unmount_below(folder: Path) -> None:
    """A daemon stopped while it started, podman and buildah leave their folders mounted on themselves."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in reversed(mounts):
        if Path(mount).is_relative_to(folder):
            subprocess.run([find("umount"), "--lazy", mount], check=False)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "it said nothing"
