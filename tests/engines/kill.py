"""kill -9 of everything during pushes, again and again on one data folder; see `make kill-test`.

python -m tests.engines.kill --engines embedded --tries 20
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from tests.engines.history import History
from tests.engines.inspection import Report, inspect
from tests.engines.workload import Workload
from tests.support.process import RegistryProcess, running_registry

# The seconds of acknowledged writes that each engine set may lose.
MAY_LOSE = {"embedded": 2.0, "real": 0.0}
EVERYTHING = float("inf")


@dataclass
class Try:
    """One kill, and what was found after it; `stopped` is found after the plain stop that follows."""

    number: int
    seconds: float
    acknowledged: int
    killed: Report
    errors: list[str]
    stopped: Report = field(default_factory=Report)

    @property
    def violations(self) -> list[str]:
        return [*self.errors, *self.killed.violations, *self.stopped.violations]

    def __str__(self) -> str:
        found = self.killed
        oldest = f", the oldest {found.oldest_lost:.3f} s before the kill" if found.lost else ""
        return (
            f"try {self.number:2}  killed after {self.seconds:4.1f} s"
            f"  {self.acknowledged:4} writes acknowledged, {found.lost} lost{oldest}"
            f"  {found.tags} tags and {found.bytes >> 20} MiB pulled"
            f"  {'ok' if not self.violations else f'{len(self.violations)} VIOLATIONS'}"
        )


@dataclass
class KillTest:
    """Kills and stops in turn on one data folder, so that each meets what the earlier ones left."""

    data: Path
    engines: str
    seed: int
    longest: float
    may_lose: float
    history: History = field(default_factory=History)

    def run(self, count: int) -> Iterator[Try]:
        chance = random.Random(self.seed)
        done: Try | None = None
        for number in range(1, count + 1):
            seconds = chance.uniform(0.5, self.longest)
            with self._registry() as registry:
                if done is not None:
                    yield self._after_stop(registry, done)
                pushing = self._pushing(registry, f"kill/t{number}", seconds)
                at = pushing.kill()
            written = self.history.acknowledged()
            with self._registry() as registry:
                before = at - self.may_lose if self.may_lose else EVERYTHING
                killed = self._inspect(registry, before, at)
                done = Try(number, seconds, written, killed, pushing.errors)
                stopping = self._pushing(registry, f"stop/t{number}", min(1.0, seconds))
                stopping.finish()
                done.errors += stopping.errors
        if done is not None:
            with self._registry() as registry:
                yield self._after_stop(registry, done)

    def _registry(self) -> AbstractContextManager[RegistryProcess]:
        return running_registry(self.data, engines=self.engines)

    def _pushing(self, registry: RegistryProcess, prefix: str, seconds: float) -> Workload:
        work = Workload(registry, self.history, prefix, self.seed)
        work.start()
        time.sleep(seconds)
        return work

    def _after_stop(self, registry: RegistryProcess, done: Try) -> Try:
        done.stopped = self._inspect(registry, EVERYTHING, time.monotonic())
        return done

    def _inspect(self, registry: RegistryProcess, before: float, killed: float) -> Report:
        report = inspect(registry, self.history, before, killed)
        self.history.settle(report.found)
        return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", choices=sorted(MAY_LOSE), default="embedded")
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--longest", type=float, default=5.0, help="seconds of pushing before the kill")
    parser.add_argument(
        "--may-lose", type=float, help="seconds of acknowledged writes, instead of what is promised"
    )
    given = parser.parse_args()
    may_lose = MAY_LOSE[given.engines] if given.may_lose is None else given.may_lose
    data = Path(tempfile.mkdtemp(prefix=f"ccr-kill-{given.engines}-"))
    print(f"engines {given.engines}  seed {given.seed}  data {data}  may lose {may_lose} s", flush=True)
    done = []
    test = KillTest(data, given.engines, given.seed, given.longest, may_lose)
    for one in test.run(given.tries):
        done.append(one)
        print(one, *one.violations, sep="\n  ", flush=True)
    return _summary(done, data)


def _summary(done: list[Try], data: Path) -> int:
    violations = sum(len(one.violations) for one in done)
    written = sum(one.acknowledged for one in done)
    lost = sum(one.killed.lost for one in done)
    oldest = max((one.killed.oldest_lost for one in done), default=0.0)
    print(
        f"{len(done)} kills, {written} writes acknowledged before them, {lost} lost"
        f" (the oldest {oldest:.3f} s before its kill), {violations} violations"
    )
    if violations:
        print(f"what they left is in {data}")
        return 1
    shutil.rmtree(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
