"""A session from nothing, with docker, skopeo and the `ccr` command: `python -m tests.clients.session`.

An account, a project, three registries, a CI robot that pushes only to dev, a Kubernetes robot that pulls
only from prod, promotion from dev to prod, and a secret rotated while a push with it runs. Each step checks
what it shows; the first that does not hold ends the session.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tests.cli.terminal import Ended, Terminal
from tests.clients.commands import ClientError, Unavailable
from tests.clients.drivers import DRIVERS, Docker, Driver
from tests.clients.gate import Gate, gate_before
from tests.clients.layout import TAG, write_image
from tests.support.process import RegistryProcess, running_registry

ACCOUNT: Final = "acme"
OWNER: Final = "ann"
PROJECT: Final = "shop"
REGISTRIES: Final = ("dev", "staging", "prod")
CI: Final = "shop-ci"
KUBERNETES: Final = "shop-k8s"
CLIENTS: Final = ("docker", "skopeo")
MEBIBYTE: Final = 1024 * 1024
LAYER_SIZES: Final = (3 * MEBIBYTE, MEBIBYTE)
LARGE_LAYER_SIZES: Final = (24 * MEBIBYTE,)
# Of the large layer: more than anything that comes before it, less than all of it.
HELD_AFTER: Final = 6 * MEBIBYTE
WAIT_SECONDS: Final = 120
DENIED: Final = re.compile("denied|unauthorized|authentication required|forbidden", re.IGNORECASE)
Say = Callable[[str], None]


class SessionError(Exception):
    """Something did not come out as the session says."""


@dataclass(frozen=True)
class Robots:
    """One client twice: as CI has it and as a node of Kubernetes has it, each with its own login."""

    ci: Driver
    node: Driver


@dataclass
class Session:
    """The steps, in their order. `say` is told of each."""

    registry: RegistryProcess
    terminal: Terminal
    clients: Sequence[Robots]
    folder: Path
    say: Say
    secrets: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        self.make_account()
        self.make_registries()
        self.make_robots()
        for client in self.clients:
            self.log_in(client)
            self.push_to_dev(client)
        self.promote()
        for client in self.clients:
            self.pull_from_prod(client)
            self.show_what_is_refused(client)
        for client in self.clients:
            self.rotate_during_a_push(client.ci)
            # A rotation while the secret of the one before still lives ends every push of the credential.
            self.rotate_without_overlap(self.clients[0].ci)
        self.show_audit()

    def make_account(self) -> None:
        self.say(f"the operator logs in and makes the account {ACCOUNT}, whose owner is {OWNER}")
        registry = self.registry
        self._log_in(registry.username, registry.password)
        _check(self._ask("registry", "list") == [], "a deployment begins without registries")
        made = self._ask("account", "create", ACCOUNT, "--owner", OWNER)
        self.say(f"{OWNER} logs in with the secret that was shown once")
        self._log_in(made["owner"], made["secret"])
        _check(self._ask("whoami")["account"] == ACCOUNT, "the owner belongs to the account")

    def make_registries(self) -> None:
        self.say(f"a project {PROJECT}, and in it the registries {', '.join(REGISTRIES)}")
        self._ask("project", "create", PROJECT)
        for name in REGISTRIES:
            self._ask("registry", "create", name, "--project", PROJECT)
        listed = [one["name"] for one in self._ask("registry", "list")]
        _check(listed == sorted(REGISTRIES), f"the registries are there: {listed}")

    def make_robots(self) -> None:
        self.say(f"{CI} may push to dev and nothing else; {KUBERNETES} may pull from prod and nothing else")
        for robot, grant in ((CI, "dev/*:pull,push"), (KUBERNETES, "prod/*:pull")):
            words = ("credential", "create-robot", robot, "--project", PROJECT, "--grant", grant)
            self.secrets[robot] = self._ask(*words)["secret"]

    def log_in(self, client: Robots) -> None:
        self.say(f"{client.ci.name} login, as {CI} and as {KUBERNETES}")
        client.ci.login(self.registry.host, CI, self.secrets[CI])
        client.node.login(self.registry.host, KUBERNETES, self.secrets[KUBERNETES])

    def push_to_dev(self, client: Robots) -> None:
        driver = client.ci
        image = write_image(self.folder / f"image-{driver.name}", LAYER_SIZES)
        for registry in REGISTRIES:
            driver.load(image, self._reference(registry, driver))
        self.say(f"{driver.name} push dev/{driver.name}:{TAG}, as {CI}")
        driver.push(self._reference("dev", driver))
        (tag,) = self._ask("tag", "list", f"dev/{driver.name}")
        self.digests[driver.name] = tag["digest"]
        for registry in ("staging", "prod"):
            self._is_denied(
                f"{driver.name} push {registry}/{driver.name}:{TAG}, as {CI}",
                driver.push,
                self._reference(registry, driver),
            )

    def promote(self) -> None:
        before = self._stored_bytes()
        _check(before > sum(LAYER_SIZES), "what was pushed is in the object store")
        for client in self.clients:
            name = client.ci.name
            for source, target in (("dev", "staging"), ("staging", "prod")):
                self.say(f"ccr promote {source}/{name}:{TAG} {target}/{name}")
                made = self._ask("promote", f"{source}/{name}:{TAG}", f"{target}/{name}")
                digest, first = made["digest"], self.digests[name]
                _check(digest == first, f"{target} has {digest}, dev has {first}")
                (tag,) = self._ask("tag", "list", f"{target}/{name}")
                _check(tag["digest"] == first, f"the tag in {target} names what dev has")
        moved = self._stored_bytes() - before
        self.say(f"the digests are equal throughout, and the object store has {moved} bytes more")
        # The store may still tidy up after the pushes before; a copy would be a layer at the least.
        _check(moved < min(LAYER_SIZES), f"no layer moved, yet the store has {moved} bytes more")

    def pull_from_prod(self, client: Robots) -> None:
        driver = client.node
        reference = self._reference("prod", driver)
        for registry in REGISTRIES:
            # One store for both of them: what CI had must not be what the node is given.
            client.ci.remove(self._reference(registry, driver))
        _check(driver.held(reference) is None, "the node has nothing before it pulls")
        self.say(f"{driver.name} pull prod/{driver.name}:{TAG}, as {KUBERNETES}")
        driver.pull(reference)
        held = driver.held(reference)
        first = self.digests[driver.name]
        _check(held is not None and held.manifest == first, f"the node has {held}, dev has {first}")

    def show_what_is_refused(self, client: Robots) -> None:
        name = client.ci.name
        prod, dev = self._reference("prod", client.ci), self._reference("dev", client.ci)
        self._is_denied(f"{name} push prod/{name}:{TAG}, as {KUBERNETES}", client.node.push, prod)
        self._is_denied(f"{name} pull dev/{name}:{TAG}, as {KUBERNETES}", client.node.pull, dev)
        self._is_denied(f"{name} pull prod/{name}:{TAG}, as {CI}", client.ci.pull, prod)
        tags = [(one, self._ask("tag", "list", f"{one}/{name}")) for one in REGISTRIES]
        _check(
            all([tag["digest"] for tag in found] == [self.digests[name]] for _, found in tags),
            "what was refused changed nothing",
        )

    def rotate_during_a_push(self, driver: Driver) -> None:
        image = write_image(self.folder / f"large-{driver.name}", LARGE_LAYER_SIZES)
        with gate_before(self.registry.host, HELD_AFTER) as gate, ThreadPoolExecutor(1) as pool:
            driver.login(gate.host, CI, self.secrets[CI])
            reference = f"{gate.host}/dev/{driver.name}-large:{TAG}"
            driver.load(image, reference)
            self.say(f"{driver.name} push of {LARGE_LAYER_SIZES[0] // MEBIBYTE} MiB, as {CI}")
            push = pool.submit(driver.push, reference)
            self._rotate_at(gate, push.done)
            gate.is_open.set()
            push.result()
            self.say(f"  the push finishes, {gate.passed / MEBIBYTE:.0f} MiB in all")
            _check(gate.passed > LARGE_LAYER_SIZES[0], "the whole layer went through the gate")
            (tag,) = self._ask("tag", "list", f"dev/{driver.name}-large")
            driver.remove(reference)
            driver.pull(reference)
            held = driver.held(reference)
            _check(held is not None and held.manifest == tag["digest"], f"it is whole: {held}")
        self.digests[f"{driver.name}-large"] = tag["digest"]

    def _rotate_at(self, gate: Gate, has_ended: Callable[[], bool]) -> None:
        _check(gate.is_reached.wait(WAIT_SECONDS), "the push comes to the gate")
        old = self.secrets[CI]
        self.say(f"  held after {HELD_AFTER // MEBIBYTE} MiB: ccr credential rotate {CI} --overlap 1h")
        new = self._ask("credential", "rotate", CI, "--overlap", "1h")["secret"]
        _check(new != old, "a rotation makes another secret")
        _check(not has_ended(), "the push still runs")
        for secret in (old, new):
            _check(self._works(CI, secret), "in the overlap the old secret works, and the new one")
        self.say("  both secrets work, and the push still runs")
        self.secrets[CI] = new

    def rotate_without_overlap(self, driver: Driver) -> None:
        self.say(f"ccr credential rotate {CI} --overlap 0s: the old secret is refused, the new one works")
        old = self.secrets[CI]
        new = self._ask("credential", "rotate", CI, "--overlap", "0s")["secret"]
        _check(not self._works(CI, old), "without an overlap the old secret is refused by ccr")
        _check(self._works(CI, new), "the new secret works with ccr")
        self._is_denied(f"{driver.name} login with the old secret", driver.login, self.registry.host, CI, old)
        driver.login(self.registry.host, CI, new)
        self.secrets[CI] = new

    def show_audit(self) -> None:
        entries: list[dict[str, Any]] = self._ask("audit")
        told = {(one["actor"], one["action"], one["target"], one["result"]) for one in entries}
        for expected in self._expected_records():
            _check(expected in told, f"the audit trail has {expected}; it has {sorted(told)}")
        _check(
            all(one["at"] and one["address"] == "127.0.0.1" for one in entries), "each says when and where"
        )
        leaked = [secret for secret in self.secrets.values() if secret in str(entries)]
        _check(not leaked, "no secret is in the audit trail")
        self.say(f"ccr audit: {len(entries)} entries, and every step is there")

    def _expected_records(self) -> Iterator[tuple[str, str, str, str]]:
        for path in ("projects", "registries", "credentials", f"credentials/{CI}/rotation", "promotions"):
            yield OWNER, "api POST", f"/api/v1/{path}", "ok"
        for robot in (CI, KUBERNETES):
            yield robot, "login", robot, "ok"
        yield CI, "login", CI, "refused"
        for name, digest in self.digests.items():
            yield CI, "push", f"dev/{name}@{digest}", "ok"
        for client in self.clients:
            for target in ("staging", "prod"):
                yield OWNER, "promote", f"{target}/{client.ci.name}", "ok"

    def _is_denied(self, what: str, verb: Callable[..., str], *arguments: str) -> None:
        try:
            verb(*arguments)
        except ClientError as error:
            reasons = [line.strip() for line in str(error).splitlines() if DENIED.search(line)]
            _check(bool(reasons), f"{what} fails for want of a grant, not with: {error}")
            self.say(f"{what}: denied")
        else:
            raise SessionError(f"{what} worked")

    def _reference(self, registry: str, driver: Driver) -> str:
        return f"{self.registry.host}/{registry}/{driver.name}:{TAG}"

    def _log_in(self, id_: str, secret: str) -> None:
        said = self._ccr("login", self.registry.url, "-u", id_, "--password-stdin", text=secret)
        _check(said.exit_code == 0, said.err)

    def _works(self, id_: str, secret: str) -> bool:
        environ = {"CCR_URL": self.registry.url, "CCR_USERNAME": id_, "CCR_PASSWORD": secret}
        return self._ccr("whoami", **environ).exit_code == 0

    def _ask(self, *words: str) -> Any:
        """What `ccr` answers, and it has to work."""
        ended = self._ccr(*words, "--output", "json")
        _check(ended.exit_code == 0, f"ccr {' '.join(words)}: {ended.err}")
        return ended.document

    def _ccr(self, *words: str, text: str = "", **environ: str) -> Ended:
        return self.terminal.python("ccr", *words, text=text, **environ)

    def _stored_bytes(self) -> int:
        """Of the object store's volumes, which only ever grow."""
        return sum(
            one.stat().st_size for one in self.terminal.home.parent.glob("state/engines/objects/*.dat")
        )


@contextmanager
def new_session(folder: Path, say: Say) -> Iterator[Session]:
    """An empty deployment, and clients that know nobody. Raises Unavailable."""
    with ExitStack() as stack:
        clients = [_twice(name, folder, stack) for name in CLIENTS]
        say("make run: an empty deployment")
        registry = stack.enter_context(running_registry(folder / "state"))
        home = folder / "home"
        home.mkdir()
        yield Session(registry, Terminal(home, registry), clients, folder, say)


def _twice(name: str, folder: Path, stack: ExitStack) -> Robots:
    place = folder / name
    place.mkdir()
    ci = stack.enter_context(DRIVERS[name](place))
    if isinstance(ci, Docker):
        # A daemon is the machine's; who it logs in as is the folder of the command.
        return Robots(ci, replace(ci, environ={**ci.environ, "DOCKER_CONFIG": str(place / "node")}))
    other = folder / f"{name}-node"
    other.mkdir()
    return Robots(ci, stack.enter_context(DRIVERS[name](other)))


def _check(holds: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise SessionError(what)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ccr-", ignore_cleanup_errors=True) as folder:
        try:
            with new_session(Path(folder), _numbered()) as session:
                session.run()
        except Unavailable as reason:
            print(f"this machine cannot: {reason}", file=sys.stderr)
            return 1
        except (SessionError, ClientError) as error:
            print(f"NOT SO: {error}", file=sys.stderr)
            return 1
    return 0


def _numbered() -> Say:
    """Steps with their number; what belongs to a step is indented."""
    number = 0

    def say(text: str) -> None:
        nonlocal number
        number += not text.startswith(" ")
        print(f"{number:3}  {text}" if not text.startswith(" ") else f"     {text}", flush=True)

    return say


if __name__ == "__main__":
    sys.exit(main())
