"""The container clients behind one protocol, each with a store of its own, away from the user's."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from tests.clients.commands import ClientError, Unavailable, run, told
from tests.clients.daemons import containerd_daemon, docker_daemon, environment, find, unmount_below
from tests.clients.layout import TAG, Layout

POLICY: Final = '{"default": [{"type": "insecureAcceptAnything"}]}'
# Of the folders of skopeo's images, beside what else is in its folder.
STORE: Final = "store-"
STORAGE: Final = """\
[storage]
driver = "{driver}"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""


@dataclass(frozen=True)
class Held:
    """What a client has: the digest it knows an image by, and that of the manifest it pulled ('' if none)."""

    identity: str
    manifest: str = ""


class Driver(Protocol):
    """One client. Every verb returns what the client printed, and raises ClientError with it.

    A client that keeps no credential checks it with the first request, not at its login.
    """

    name: str

    def login(self, host: str, username: str, password: str) -> str: ...
    def load(self, layout: Layout, reference: str) -> str: ...
    def tag(self, reference: str, other: str) -> str: ...
    def push(self, reference: str) -> str: ...
    def pull(self, reference: str) -> str: ...
    def remove(self, reference: str) -> str: ...
    def held(self, reference: str) -> Held | None: ...

    def keeps(self, identity: str) -> bool:
        """Whether it still has an image, under this name, another or none."""


@dataclass
class Docker:
    """The docker command and a daemon with its graphdriver store."""

    program: str
    environ: dict[str, str]
    name: str = "docker"

    def login(self, host: str, username: str, password: str) -> str:
        return self._run("login", host, "--username", username, "--password-stdin", given=password)

    def load(self, layout: Layout, reference: str) -> str:
        with _tar(layout) as archive:
            done = subprocess.run(
                [self.program, "load", "--quiet"],
                env=self.environ,
                stdin=archive,
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            raise ClientError(done.stdout + done.stderr)
        return self._run("tag", done.stdout.rpartition("ID: ")[2].strip(), reference)

    def tag(self, reference: str, other: str) -> str:
        return self._run("tag", reference, other)

    def push(self, reference: str) -> str:
        return self._run("push", reference)

    def pull(self, reference: str) -> str:
        return self._run("pull", reference)

    def remove(self, reference: str) -> str:
        return self._run("image", "rm", reference)

    def held(self, reference: str) -> Held | None:
        try:
            (image,) = json.loads(told([self.program, "image", "inspect", reference], self.environ))
        except ClientError:
            return None
        return Held(image["Id"], _manifest_of(image["RepoDigests"], reference))

    def keeps(self, identity: str) -> bool:
        return self.held(identity) is not None

    def _run(self, *words: str, given: str = "") -> str:
        return run([self.program, *words], self.environ, given)


@dataclass
class Podman:
    """podman, with containers-storage in a folder."""

    environ: dict[str, str]
    name: str = "podman"

    def login(self, host: str, username: str, password: str) -> str:
        words = ["login", "--tls-verify=false", "--username", username, "--password-stdin", host]
        return self._run(*words, given=password)

    def load(self, layout: Layout, reference: str) -> str:
        image = told([self.name, "pull", "--quiet", layout.source], self.environ)
        self.tag(image, reference)
        # Without the name of the folder, removing the reference removes the image.
        return self._run("untag", image, *self._other_names(image, reference))

    def tag(self, reference: str, other: str) -> str:
        return self._run("tag", reference, other)

    def push(self, reference: str) -> str:
        return self._run("push", "--tls-verify=false", reference)

    def pull(self, reference: str) -> str:
        return self._run("pull", "--tls-verify=false", reference)

    def remove(self, reference: str) -> str:
        return self._run("rmi", reference)

    def held(self, reference: str) -> Held | None:
        try:
            (image,) = json.loads(told([self.name, "image", "inspect", reference], self.environ))
        except ClientError:
            return None
        return Held(f"sha256:{image['Id']}", _manifest_of(image["RepoDigests"], reference))

    def keeps(self, identity: str) -> bool:
        return self.held(identity.removeprefix("sha256:")) is not None

    def _other_names(self, image: str, reference: str) -> list[str]:
        (found,) = json.loads(told([self.name, "image", "inspect", image], self.environ))
        return [name for name in found["RepoTags"] if name != reference]

    def _run(self, *words: str, given: str = "") -> str:
        return run([self.name, *words], self.environ, given)


@dataclass
class Buildah:
    """buildah, with containers-storage in a folder of its own."""

    environ: dict[str, str]
    name: str = "buildah"

    def login(self, host: str, username: str, password: str) -> str:
        words = ["login", "--tls-verify=false", "--username", username, "--password-stdin", host]
        return self._run(*words, given=password)

    def load(self, layout: Layout, reference: str) -> str:
        image = told([self.name, "pull", "--quiet", layout.source], self.environ)
        names = self._names(image)
        said = self.tag(image, reference)
        for name in names:
            said += self._run("rmi", name)
        return said

    def tag(self, reference: str, other: str) -> str:
        return self._run("tag", reference, other)

    def push(self, reference: str) -> str:
        return self._run("push", "--tls-verify=false", reference, f"docker://{reference}")

    def pull(self, reference: str) -> str:
        return self._run("pull", "--tls-verify=false", reference)

    def remove(self, reference: str) -> str:
        return self._run("rmi", reference)

    def held(self, reference: str) -> Held | None:
        try:
            image = json.loads(told([self.name, "inspect", "--type", "image", reference], self.environ))
        except ClientError:
            return None
        return Held(f"sha256:{image['FromImageID']}", image["FromImageDigest"])

    def keeps(self, identity: str) -> bool:
        return self.held(identity.removeprefix("sha256:")) is not None

    def _names(self, image: str) -> list[str]:
        listed = json.loads(told([self.name, "images", "--json"], self.environ))
        return [name for one in listed if image.startswith(one["id"]) for name in one["names"] or []]

    def _run(self, *words: str, given: str = "") -> str:
        return run([self.name, *words], self.environ, given)


@dataclass
class Skopeo:
    """skopeo, whose store here is one OCI layout for each reference."""

    environ: dict[str, str]
    folder: Path
    name: str = "skopeo"

    def login(self, host: str, username: str, password: str) -> str:
        words = ["login", "--tls-verify=false", "--username", username, "--password-stdin", host]
        return self.run(*words, given=password)

    def load(self, layout: Layout, reference: str) -> str:
        return self.run("copy", "--all", layout.source, self._local(reference))

    def tag(self, reference: str, other: str) -> str:
        return self.run("copy", "--all", self._local(reference), self._local(other))

    def push(self, reference: str) -> str:
        target = f"docker://{reference}"
        return self.run("copy", "--all", "--dest-tls-verify=false", self._local(reference), target)

    def pull(self, reference: str) -> str:
        source = f"docker://{reference}"
        return self.run("copy", "--all", "--src-tls-verify=false", source, self._local(reference))

    def remove(self, reference: str) -> str:
        shutil.rmtree(self._folder(reference))
        return ""

    def held(self, reference: str) -> Held | None:
        index = self._folder(reference) / "index.json"
        if not index.exists():
            return None
        (entry,) = json.loads(index.read_text())["manifests"]
        return Held(entry["digest"], entry["digest"])

    def keeps(self, identity: str) -> bool:
        return any(self.folder.glob(f"{STORE}*/blobs/{identity.replace(':', '/')}"))

    def run(self, *words: str, given: str = "") -> str:
        return run([self.name, *words], self.environ, given)

    def told(self, *words: str) -> str:
        return told([self.name, *words], self.environ)

    def _folder(self, reference: str) -> Path:
        return self.folder / (STORE + re.sub("[/:@]", "_", reference))

    def _local(self, reference: str) -> str:
        return f"oci:{self._folder(reference)}:{TAG}"


@dataclass
class Ctr:
    """containerd by its own command, which keeps no credential: each request carries it."""

    program: str
    environ: dict[str, str]
    snapshotter: str
    credential: list[str] = field(default_factory=list)
    name: str = "ctr"

    def login(self, host: str, username: str, password: str) -> str:  # noqa: ARG002 - any host gets it
        self.credential = ["--user", f"{username}:{password}"]
        return ""

    def load(self, layout: Layout, reference: str) -> str:
        name = reference.rpartition(":")[0]
        command = [self.program, "images", "import", "--no-unpack", "--base-name", name, "-"]
        with _tar(layout) as archive:
            done = subprocess.run(
                command, env=self.environ, stdin=archive, capture_output=True, text=True, check=False
            )
        if done.returncode:
            raise ClientError(done.stdout + done.stderr)
        return done.stdout

    def tag(self, reference: str, other: str) -> str:
        return self._run("images", "tag", reference, other)

    def push(self, reference: str) -> str:
        return self._run("images", "push", "--plain-http", *self.credential, reference)

    def pull(self, reference: str) -> str:
        words = ["--plain-http", "--snapshotter", self.snapshotter, *self.credential]
        return self._run("images", "pull", *words, reference)

    def remove(self, reference: str) -> str:
        # In step with the collector, or the next pull would find the layers still there.
        return self._run("images", "rm", "--sync", reference)

    def held(self, reference: str) -> Held | None:
        lines = told([self.program, "images", "ls", f"name=={reference}"], self.environ).splitlines()[1:]
        if not lines:
            return None
        digest = lines[0].split()[2]
        return Held(digest, digest)

    def keeps(self, identity: str) -> bool:
        return identity in told([self.program, "content", "ls", "--quiet"], self.environ).split()

    def _run(self, *words: str) -> str:
        return run([self.program, *words], self.environ)


def _manifest_of(repository_digests: list[str], reference: str) -> str:
    name = reference.rpartition(":")[0] + "@"
    return next((one.removeprefix(name) for one in repository_digests if one.startswith(name)), "")


@contextmanager
def _tar(layout: Layout) -> Iterator[int]:
    """A tar of the layout through a pipe: at a gigabyte a layer, a copy on disk would count."""
    packing = subprocess.Popen(
        ["tar", "-C", str(layout.folder), "-cf", "-", "."], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert packing.stdout is not None
    with packing:
        yield packing.stdout.fileno()


@contextmanager
def docker(folder: Path) -> Iterator[Docker]:
    with docker_daemon(folder) as daemon:
        environ = {
            **environment(folder),
            "DOCKER_HOST": daemon.address,
            "DOCKER_CONFIG": str(folder / "client"),
        }
        yield Docker(daemon.client, environ)


@contextmanager
def ctr(folder: Path) -> Iterator[Ctr]:
    with containerd_daemon(folder) as daemon:
        environ = {**environment(folder), "CONTAINERD_ADDRESS": daemon.address}
        plugins = told([daemon.client, "plugins", "ls"], environ).splitlines()
        good = {line.split()[1] for line in plugins if line.split()[-1] == "ok"}
        yield Ctr(daemon.client, environ, "overlayfs" if "overlayfs" in good else "native")


@contextmanager
def podman(folder: Path) -> Iterator[Podman]:
    with _storage("podman", folder) as environ:
        yield Podman(environ)


@contextmanager
def buildah(folder: Path) -> Iterator[Buildah]:
    with _storage("buildah", folder) as environ:
        yield Buildah(environ)


def skopeo(folder: Path) -> AbstractContextManager[Skopeo]:
    find("skopeo")
    return nullcontext(Skopeo(_containers_environment(folder), folder))


@contextmanager
def _storage(program: str, folder: Path) -> Iterator[dict[str, str]]:
    find(program)
    try:
        yield _with_storage(program, folder)
    finally:
        unmount_below(folder)


def _with_storage(program: str, folder: Path) -> dict[str, str]:
    """With the first storage driver that works here. Raises Unavailable."""
    environ = _containers_environment(folder)
    config = folder / "storage.conf"
    environ["CONTAINERS_STORAGE_CONF"] = str(config)
    said = ""
    for driver in ("overlay", "vfs"):
        config.write_text(STORAGE.format(driver=driver, folder=folder / driver))
        try:
            told([program, "info"], environ)
        except ClientError as error:
            said = str(error).strip()
        else:
            return environ
    raise Unavailable(f"{program} does not run: {said}")


def _containers_environment(folder: Path) -> dict[str, str]:
    """What podman, buildah and skopeo read, whatever this machine has in /etc/containers."""
    settings = folder / ".config" / "containers"
    settings.mkdir(parents=True)
    (settings / "policy.json").write_text(POLICY)
    credentials = folder / "auth.json"
    credentials.write_text("{}")  # named and missing is an error
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700)
    return {
        **environment(folder),
        "XDG_RUNTIME_DIR": str(runtime),
        "REGISTRY_AUTH_FILE": str(credentials),
        "CONTAINERS_REGISTRIES_CONF": os.devnull,
    }


DRIVERS: Final[dict[str, Callable[[Path], AbstractContextManager[Driver]]]] = {
    "docker": docker,
    "podman": podman,
    "buildah": buildah,
    "skopeo": skopeo,
    "ctr": ctr,
}
