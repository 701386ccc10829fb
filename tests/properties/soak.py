"""Any number of steps of everything at once, on stores in memory, on moto or on engines.

    python -m tests.properties.soak --backend memory|moto|embedded|real --steps N [--seed S]

Ends with what was done, or with the shortest example that breaks something.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Final

from tests.engines.backends import EMBEDDED, MOTO, REAL, Engines, deployed
from tests.properties.everything_on_engines import Backend, on
from tests.properties.test_everything import EverythingMachine, run

MEMORY: Final = "memory"
BACKENDS: Final = {"moto": MOTO, "embedded": EMBEDDED, "real": REAL}
# Of one part: then another seed begins.
PART: Final = 10_000


def main() -> None:
    # What the collector tells of calls that were made to fail.
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--backend", choices=[MEMORY, *BACKENDS], default=MEMORY)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, help="the same steps again; else others each time")
    asked = parser.parse_args()
    began, made, part = monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        machine: type[EverythingMachine] = EverythingMachine
        if asked.backend != MEMORY:
            engines = Engines(Path(folder), stack)
            machine = on(Backend(stack.enter_context(deployed(BACKENDS[asked.backend], engines))))
        while made < asked.steps:
            seed = None if asked.seed is None else asked.seed + part
            made += run(machine, min(PART, asked.steps - made), seed)
            part += 1
            print(f"{made} steps on {asked.backend} in {monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
