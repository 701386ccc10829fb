"""Changes on a real engine, while whoever tells of them and whoever is told are killed at random.

python -m tests.events_delivery.delivery --changes 1000
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from chalicelib.events.webhook_desk import Change
from chalicelib.identity.administrators import ADMINISTRATOR
from chalicelib.identity.credentials import Credential, administrator
from chalicelib.identity.roles import Role
from chalicelib.registry.changes import Actor
from chalicelib.registry.manifests import Push
from chalicelib.spec.cloud_events import EventType
from chalicelib.spec.digest import Digest
from chalicelib.spec.manifest import parse_manifest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.engines.backends import ACCESS_KEY, EMBEDDED, SECRET_KEY, Engines
from tests.events_delivery.receiver import REFUSED, receive
from tests.events_delivery.teller import deployment_of, tell
from tests.support.content import OCI_INDEX

ACCOUNT = "default"
REPOSITORIES = [Repository(ACCOUNT, f"told/app-{number}") for number in range(4)]
HOOKS = ("one", "two")
TELLER, RECEIVER = "teller", "receiver"
# What a change says of itself in its event.
Told = tuple[str, str]


@dataclass
class Findings:
    changes: int = 0
    received: int = 0
    again: int = 0
    kills: int = 0
    forged: int = 0
    seconds: float = 0
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.changes} changes, each told to {len(HOOKS)} webhooks: {self.received} deliveries, "
            f"{self.again} of them again; {self.kills} kills; {self.forged} forged ones refused; "
            f"{self.seconds:.0f} s; {len(self.violations)} violations"
        )


@dataclass
class Run:
    """`expected`: by lane, what was acknowledged, in that order."""

    deployment: Deployment
    folder: Path
    dynamodb: str
    s3: str
    port: int
    secrets: dict[str, str]
    chance: random.Random
    expected: dict[str, list[Told]] = field(default_factory=dict)
    processes: dict[str, Any] = field(default_factory=dict)

    def run(self, changes: int, kills: int, patience: float = 300) -> Findings:
        """With so many `kills`, and until all has arrived, or `patience` (seconds) is over."""
        findings, began = Findings(), time.monotonic()
        for name in (TELLER, RECEIVER):
            self.start(name)
        lanes = len(REPOSITORIES) + 1
        works = [_pushes(self, one, changes // lanes) for one in REPOSITORIES]
        works.append(_credentials(self, changes - changes // lanes * len(REPOSITORIES)))
        threads = [threading.Thread(target=list, args=(one,), daemon=True) for one in works]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) or (
            not self.is_complete(changes) and time.monotonic() - began < patience
        ):
            self.forge()
            if findings.kills < kills:
                self.await_deliveries()
                self.kill(self.chance.choice([TELLER, RECEIVER]))
                findings.kills += 1
            else:
                time.sleep(0.1)
        findings.changes = sum(map(len, self.expected.values()))
        findings.seconds = time.monotonic() - began
        self.judge(findings, changes)
        return findings

    def start(self, name: str) -> None:
        target: Callable[..., None] = tell
        arguments: tuple[Any, ...] = (self.folder, self.dynamodb, self.s3)
        if name == RECEIVER:
            target, arguments = receive, (self.port, self.folder, self.secrets)
        process = _forking().Process(target=target, args=arguments, daemon=True)
        process.start()
        self.processes[name] = process

    def kill(self, name: str) -> None:
        """With `kill -9`, and there is another one."""
        self.processes[name].kill()
        self.processes[name].join()
        self.start(name)

    def await_deliveries(self) -> None:
        """Who is killed before anything was begun proves nothing."""
        before, end = self.arrived(), time.monotonic() + 5
        while self.arrived() == before and time.monotonic() < end:
            time.sleep(0.002)
        time.sleep(self.chance.uniform(0, 0.1))

    def arrived(self) -> int:
        """Bytes."""
        return sum((self.folder / hook).stat().st_size for hook in HOOKS if (self.folder / hook).exists())

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.join()

    def forge(self) -> None:
        """As somebody who knows the URL and has seen a delivery, but has no secret."""
        body = json.dumps({"specversion": "1.0", "type": "ccr.manifest.pushed", "id": "forged"})
        headers = {"webhook-id": "forged", "webhook-timestamp": str(int(time.time()))}
        signed = {**headers, "webhook-signature": f"v1,{'A' * 43}="}
        for path in HOOKS:
            try:
                requests.post(f"http://127.0.0.1:{self.port}/{path}", body, headers=signed, timeout=2)
            except requests.RequestException:
                continue

    def log(self, name: str) -> list[dict[str, Any]]:
        try:
            lines = (self.folder / name).read_text().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines]

    def is_complete(self, changes: int) -> bool:
        return all(len({entry["id"] for entry in self.log(hook)}) >= changes for hook in HOOKS)

    def judge(self, findings: Findings, changes: int) -> None:
        if findings.changes != changes:
            findings.violations.append(f"{findings.changes} changes were made, not {changes}")
        findings.forged = len(self.log(REFUSED))
        for entry in self.log(REFUSED):
            if json.loads(entry["body"])["id"] != "forged":
                findings.violations.append(f"ours was refused: {entry}")
        for hook in HOOKS:
            entries = self.log(hook)
            findings.received += len(entries)
            first = list({entry["id"]: entry["event"] for entry in reversed(entries)}.values())[::-1]
            findings.again += len(entries) - len(first)
            by_lane: dict[str, list[Told]] = {}
            for event in first:
                by_lane.setdefault(event["partitionkey"], []).append(_told(event))
            for lane in self.expected.keys() | by_lane.keys():
                wanted, got = self.expected.get(lane, []), by_lane.get(lane, [])
                if wanted != got:
                    findings.violations.append(f"{hook}: {lane}: {_difference(wanted, got)}")


def _told(event: dict[str, Any]) -> Told:
    data = event["data"]
    return event["type"], data.get("digest") or data["credential"]


def _difference(wanted: list[Told], got: list[Told]) -> str:
    lost, forged = set(wanted) - set(got), set(got) - set(wanted)
    return f"of {len(wanted)} lost {sorted(lost)}, forged {sorted(forged)}; in order: {wanted == got}"


def _pushes(run: Run, repository: Repository, count: int) -> Iterator[None]:
    """New images, tags that move, tags and images that go: one event each."""
    manifests, lane = run.deployment.services.manifests, f"{ACCOUNT}/{repository.name}"
    told = run.expected.setdefault(lane, [])
    actor, number = Actor("somebody"), 0
    while len(told) < count:
        number += 1
        raw = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": [],
                "annotations": {"number": f"{repository.name} {number}"},
            }
        ).encode()
        digest, manifest = Digest.of(raw), parse_manifest(raw, OCI_INDEX)
        manifests.put(Push(repository, manifest, digest, ("latest",), actor))
        told.append((EventType.MANIFEST_PUSHED, digest))
        yield
        if len(told) < count and number % 2 == 0:
            manifests.put(Push(repository, manifest, digest, (f"v{number}",), actor))
            told.append((EventType.TAG_MOVED, digest))
            yield
        if len(told) < count and number % 3 == 0:
            manifests.untag(repository, "latest", actor)
            told.append((EventType.TAG_DELETED, digest))
            yield
        if len(told) < count and number % 5 == 0:
            manifests.delete(repository, digest, actor)
            told.append((EventType.MANIFEST_DELETED, digest))
            yield


def _credentials(run: Run, count: int) -> Iterator[None]:
    """What is about the account has a lane of its own."""
    desk, by = run.deployment.desk, _administrator(run.deployment)
    told, number = run.expected.setdefault(ACCOUNT, []), 0
    while len(told) < count:
        number += 1
        id_ = f"user-{number}"
        made, _ = desk.create_user(by, id_, {"*": Role.VIEWER})
        told.append((EventType.CREDENTIAL_CREATED, id_))
        yield
        if len(told) < count:
            desk.delete(by, made)
            told.append((EventType.CREDENTIAL_DELETED, id_))
            yield


def _administrator(deployment: Deployment) -> Credential:
    made = administrator(ADMINISTRATOR, ACCOUNT, os.urandom(12).hex())
    assert deployment.credentials.put(made)
    return made


def _forking() -> Any:
    """Of a process that has imported all of it: the next one is there in no time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.events_delivery.teller", "tests.events_delivery.receiver"])
    return context


@contextmanager
def delivering(folder: Path, seed: int) -> Iterator[Run]:
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        patch.delenv("AWS_SESSION_TOKEN", raising=False)
        engines = Engines(folder / "engines", stack)
        before = engines.deployment(EMBEDDED).settings
        deployment = deployment_of(before.dynamodb_endpoint, before.s3_endpoint)
        port, nobody = _free_port(), _free_port()
        secrets = {}
        for name in HOOKS:
            url = f"http://127.0.0.1:{port}/{name}"
            _, secrets[name] = deployment.webhook_desk.create(ACCOUNT, name, Change(url=url), "somebody")
        # Nobody listens there, and that is nobody else's loss.
        deployment.webhook_desk.create(ACCOUNT, "dead", Change(url=f"http://127.0.0.1:{nobody}/"), "somebody")
        run = Run(
            deployment=deployment,
            folder=folder,
            dynamodb=before.dynamodb_endpoint,
            s3=before.s3_endpoint,
            port=port,
            secrets=secrets,
            chance=random.Random(seed),
        )
        stack.callback(run.stop)
        yield run


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=130, help="of whoever tells or is told")
    parser.add_argument("--patience", type=float, default=900, help="seconds until what is missing is lost")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, delivering(Path(folder), asked.seed) as run:
        findings = run.run(asked.changes, asked.kills, asked.patience)
    print(findings)
    for violation in findings.violations:
        print(violation)
    return 1 if findings.violations else 0


if __name__ == "__main__":
    sys.exit(main())
