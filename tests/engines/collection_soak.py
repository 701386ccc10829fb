"""Four collectors, eight pushers, two deleters as processes on real engines, with `kill -9` of any of them.

python -m tests.engines.collection_soak --seconds 600 --engines embedded

Time is shortened by settings: what nothing names goes after seconds. In the end nobody has lost anything.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chalicelib.registry import sweep, uploads
from chalicelib.registry.collection import Freed
from chalicelib.registry.stores import LIVE
from chalicelib.spec.digest import Digest
from chalicelib.spec.reference import Repository
from chalicelib.wiring import Deployment
from tests.engines.backends import EMBEDDED, REAL, Engines
from tests.engines.soak_worker import (
    ACCOUNT,
    COLLECTOR,
    DELETER,
    GRACE,
    PUSHER,
    REPOSITORIES,
    SESSION_SECONDS,
    URL_SECONDS,
    deployment_of,
    work,
)
from tests.stores.invariants import broken
from tests.stores.late import Late, pass_time

CREW = {COLLECTOR: 4, PUSHER: 8, DELETER: 2}
BACKENDS = {"embedded": EMBEDDED, "real": REAL}


@dataclass
class Findings:
    violations: list[str] = field(default_factory=list)
    freed: Freed = field(default_factory=Freed)
    done: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    tags: int = 0
    unfinished: int = 0

    def __str__(self) -> str:
        told = ", ".join(f"{count} {name}" for name, count in sorted(self.done.items()))
        refused = ", ".join(f"{count} {name}" for name, count in sorted(self.errors.items())) or "nothing"
        return (
            f"{self.kills} kills; acknowledged: {told}; refused: {refused}\n"
            f"freed: {self.freed}\n"
            f"{self.tags} acknowledged tags pulled with all their blobs; {len(self.violations)} violations"
        )


def _forking() -> Any:
    """Of a process that has imported all of it: a worker is there in no time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.engines.soak_worker"])
    return context


@dataclass
class Soak:
    """`folder` holds a log for each worker, which outlives it: a line before and after each change."""

    deployment: Deployment
    folder: Path
    seed: int
    findings: Findings = field(default_factory=Findings)
    running: dict[str, Any] = field(default_factory=dict)
    processes: Any = field(default_factory=_forking)

    def run(self, seconds: float) -> Findings:
        chance = random.Random(self.seed)
        names = [f"{kind}-{number}" for kind, count in CREW.items() for number in range(count)]
        for name in names:
            self._start(name)
        self._await(names)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(chance.uniform(0.2, 1.5))
            name = chance.choice(names)
            if self._ready(name).exists():
                self._replace(name)
        self._stop()
        self._read_logs()
        self._settle()
        self._check()
        return self.findings

    def _start(self, name: str) -> None:
        settings = self.deployment.settings
        told = name, self.folder, settings.s3_endpoint, settings.dynamodb_endpoint
        self._ready(name).unlink(missing_ok=True)
        self.running[name] = self.processes.Process(target=work, args=told, daemon=True)
        self.running[name].start()

    def _ready(self, name: str) -> Path:
        return self.folder / f"{name}.ready"

    def _await(self, names: list[str]) -> None:
        late = time.monotonic() + 120
        while not all(self._ready(name).exists() for name in names):
            assert time.monotonic() < late, "the workers do not start"
            time.sleep(0.1)

    def _replace(self, name: str) -> None:
        """In the midst of whatever it does. One that ended by itself has failed."""
        process = self.running[name]
        if not process.is_alive():
            self.findings.violations.append(f"{name} ended by itself: {self._last_words(name)}")
        process.kill()
        process.join()
        self.findings.kills += 1
        self._start(name)

    def _last_words(self, name: str) -> str:
        return (self.folder / f"{name}.err").read_text()[-2000:]

    def _stop(self) -> None:
        (self.folder / "stop").touch()
        for name, process in self.running.items():
            process.join(120)
            if process.exitcode != 0:
                self.findings.violations.append(f"{name} failed: {self._last_words(name)}")

    def _read_logs(self) -> None:
        for entry in self.entries():
            if entry["state"] == "done":
                self.findings.done[entry["verb"]] += 1
                if entry["verb"] == "collect":
                    self.findings.freed.add(Freed(**entry["freed"]))
            elif entry["state"] == "refused":
                self.findings.errors[entry["why"]] += 1

    def entries(self) -> Iterator[dict[str, Any]]:
        for log in sorted(self.folder.glob("*.log")):
            # A line that was cut off by the kill was not acknowledged.
            yield from (json.loads(line) for line in log.read_text().splitlines() if line.endswith("}"))

    def _settle(self) -> None:
        """Nobody is there any more: what was left half way goes once it is old enough."""
        pass_time(self.deployment, max(GRACE, SESSION_SECONDS, URL_SECONDS) + 6)
        for _ in range(6):
            self.findings.freed.add(self._collected())
            pass_time(self.deployment, URL_SECONDS + 1)
        report = self.deployment.sweeper.run(self.deployment.clock() + 3600)
        assert report.is_complete
        self.findings.violations += [f"{key} is missing in S3" for key in report.missing]
        pass_time(self.deployment, 1)
        self.findings.freed.add(self._collected())

    def _collected(self) -> Freed:
        report = self.deployment.collector.run(self.deployment.clock() + 3600)
        if report.failures or not report.is_complete:
            self.findings.violations.append(f"{report.failures} steps of a quiet collection failed")
        return report.total

    def _check(self) -> None:
        deployment, wrong = self.deployment, self.findings.violations
        wrong += broken(deployment, REPOSITORIES)
        table = deployment._tables.blobs
        stored = sum(int(row.size) for row in table.query(ACCOUNT, consistent_read=True))
        counted = deployment.quota.usage(ACCOUNT).bytes
        if stored != counted:
            wrong.append(f"usage is {counted}, stored are {stored} bytes")
        for repository in REPOSITORIES:
            for tag in deployment.services.manifests.tags.page(repository, "", 10_000):
                wrong += self._pull(repository, tag)
        for (name, tag), allowed in self._expected().items():
            row = deployment.services.manifests.tags.get(Repository(ACCOUNT, name), tag)
            found = row.digest if row else None
            if found not in allowed:
                wrong.append(f"{name}:{tag} names {found}, acknowledged was one of {allowed}")

    def _expected(self) -> dict[tuple[str, str], set[str | None]]:
        """What each tag may name: the last that was acknowledged, and what was begun after it.

        A pusher alone moves the tags of its repository, one at a time; what a deleter has begun to delete
        may be gone.
        """
        doomed = {entry["digest"] for entry in self.entries() if entry["verb"] == "delete"}
        allowed: dict[tuple[str, str], set[str | None]] = {}
        for entry in self.entries():
            if entry["verb"] != "push":
                continue
            key = entry["repository"], entry["tag"]
            if entry["state"] == "begun":
                allowed.setdefault(key, {None}).add(entry["digest"])
            elif entry["state"] == "done":
                allowed[key] = {entry["digest"]}
        for digests in allowed.values():
            if doomed & digests:
                digests.add(None)
        return allowed

    def _pull(self, repository: Repository, tag: str) -> list[str]:
        services = self.deployment.services
        stored = services.manifests.get(repository, tag)
        self.findings.tags += 1
        if stored.raw is None or Digest.of(stored.raw) != stored.digest:
            return [f"{repository.name}:{tag} is not the bytes of its digest"]
        row = services.manifests.rows.get(repository, stored.digest)
        wrong = [] if row and row.state == LIVE else [f"{repository.name}:{tag} cannot be pulled"]
        document = json.loads(stored.raw)
        for named in (document["config"], *document["layers"]):
            link = services.blobs.links.get(repository, named["digest"])
            content = services.blobs.objects.get(link.storage_key) if link else None
            if content is None or Digest.of(content) != named["digest"]:
                wrong.append(f"{repository.name}:{tag} has lost its blob {named['digest']}")
        return wrong


@contextmanager
def soaking(backend: str, folder: Path, seed: int) -> Iterator[Soak]:
    """On engines of its own, with credentials in the environment."""
    before = dict(os.environ)
    kept = sweep.OLD_SECONDS, uploads.SESSION_SECONDS, uploads.LEASE_SECONDS
    try:
        with ExitStack() as stack:
            os.environ.update(AWS_ACCESS_KEY_ID="keyofthetests", AWS_SECRET_ACCESS_KEY="secretofthetests")
            os.environ.pop("AWS_SESSION_TOKEN", None)
            prepared = Engines(folder, stack).deployment(BACKENDS[backend])
            logs = folder / "logs"
            logs.mkdir()
            settings = prepared.settings
            deployment = deployment_of(settings.s3_endpoint, settings.dynamodb_endpoint, Late())
            deployment.quota.usage(ACCOUNT)
            sweep.OLD_SECONDS = 0  # type: ignore[misc]
            yield Soak(deployment, logs, seed)
    finally:
        sweep.OLD_SECONDS, uploads.SESSION_SECONDS, uploads.LEASE_SECONDS = kept  # type: ignore[misc]
        os.environ.clear()
        os.environ.update(before)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engines", choices=sorted(BACKENDS), default="embedded")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ccr-soak-") as folder:
        print(f"engines {given.engines}  seed {given.seed}  for {given.seconds:.0f} s", flush=True)
        with soaking(given.engines, Path(folder), given.seed) as soak:
            findings = soak.run(given.seconds)
        print(findings, *findings.violations, sep="\n")
        return 1 if findings.violations else 0


if __name__ == "__main__":
    sys.exit(main())
