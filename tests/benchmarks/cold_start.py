"""What a start of the registry function costs in CPU: its import, and the import with the deployment made.

Run as `python -m tests.benchmarks.cold_start`; the best of several fresh interpreters, bytecode in place.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRIES = 7
TIMED = """
import time
begun = time.process_time()
import app
imported = time.process_time()
{then}
print((imported - begun) * 1000, (time.process_time() - begun) * 1000)
"""
ENVIRON = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "us-east-1",
    "CCR_TOKEN_KEY": "ab" * 32,
}


def cold_start() -> tuple[float, float]:
    """Milliseconds of CPU: importing `app`, and that with the deployment made, each the best of `TRIES`."""
    tries = [_one() for _ in range(TRIES)]
    return min(imported for imported, _ in tries), min(made for _, made in tries)


def _one() -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(then="app.deployment()")],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **ENVIRON},
        check=True,
        capture_output=True,
        text=True,
    )
    imported, made = done.stdout.split()
    return float(imported), float(made)


def main() -> None:
    imported, made = cold_start()
    print(f"import of app.py: {imported:.0f} ms CPU")
    print(f"with the deployment made: {made:.0f} ms CPU; SnapStart does both as a version is published")


if __name__ == "__main__":
    main()
