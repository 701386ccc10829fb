"""`ccr push` of one large layer, beside `aws s3 cp` of the same file to the same SeaweedFS in the same run.

python -m tests.benchmarks.push [--mebibytes 5000] [--rounds 3] [--kill-at 60]

The time of `ccr push` is all of it: hashing, parts, completion, verification, manifest. All that it sends to
the registry is counted on the way. Then a push to a registry of its own is killed once that share of its
bytes is stored, and what a second one sends is counted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from ccr.state import load_secrets
from tests.benchmarks.relay import relay_before
from tests.benchmarks.subjects import AbsentError, peak_memory
from tests.clients.layout import write_image
from tests.support.process import ROOT, RegistryProcess, running_registry

MIB: Final = 1024 * 1024
_MB: Final = 1_000_000
AWSCLI: Final = "awscli==1.44.5"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.benchmarks.push")
    parser.add_argument("--mebibytes", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3, help="each first in every other one")
    parser.add_argument("--kill-at", type=int, default=60, help="percent of the layer")
    options = parser.parse_args()
    console = Console(width=130)
    size = options.mebibytes * MIB
    table = Table(title=f"one layer of {options.mebibytes} MiB")
    for heading in (
        "round",
        "aws s3 cp MB/s",
        "ccr push MB/s",
        "ratio",
        "to the registry, bytes",
        "server, MiB",
    ):
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory(prefix="ccr-bench-") as folder:
        image = write_image(Path(folder) / "image", [size])
        ratios = []
        for number in range(options.rounds):
            with tempfile.TemporaryDirectory(prefix="ccr-bench-") as data:
                found = one_round(Path(data), image.folder, is_aws_first=number % 2 == 0)
            beside, seconds = found.aws, found.ccr
            if beside:
                ratios.append(beside / seconds)
            table.add_row(
                str(number + 1),
                f"{size / beside / _MB:.0f}" if beside else found.absent,
                f"{size / seconds / _MB:.0f}",
                f"{beside / seconds:.2f}" if beside else "",
                str(found.received),
                str(found.memory // MIB),
            )
        console.print(table)
        if ratios:
            console.print(f"ccr push has {median(ratios):.2f} of the rate of aws s3 cp in the median round")
        with (
            tempfile.TemporaryDirectory(prefix="ccr-bench-") as data,
            running_registry(Path(data)) as registry,
        ):
            console.print(killed_and_resumed(registry, Path(data), image.folder, size, options.kill_at))
    return 0


@dataclass
class Round:
    """Seconds, and the bytes that the registry received; `absent`: why aws was not measured."""

    aws: float = 0.0
    ccr: float = 0.0
    received: int = 0
    memory: int = 0
    absent: str = ""


def one_round(data: Path, layout: Path, *, is_aws_first: bool) -> Round:
    """Both to one new registry, each after the disk has what the one before left to be written.

    A small push comes first: neither is to pay for the first requests of a process and of its engine.
    """
    found = Round()
    with running_registry(data) as registry:
        pushed(registry, write_image(data / "first", [8 * MIB]).folder, data / "home")
        largest = max((layout / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)

        def aws() -> None:
            try:
                found.aws = copied_by_aws(registry, data, largest)
            except AbsentError as error:
                found.absent = str(error)

        def ccr() -> None:
            found.ccr, found.received = pushed(registry, layout, data / "home")

        for measure in (aws, ccr) if is_aws_first else (ccr, aws):
            os.sync()
            measure()
        found.memory = peak_memory(registry.pid)
    return found


def copied_by_aws(registry: RegistryProcess, data: Path, path: Path) -> float:
    """Raises AbsentError."""
    program = shutil.which("aws")
    if program is None:
        raise AbsentError(f"aws is not installed: pipx install {AWSCLI}")
    own = load_secrets(data)
    environ = {
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": own.access_key,
        "AWS_SECRET_ACCESS_KEY": own.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = [program, "s3", "cp", "--only-show-errors", "--endpoint-url", endpoint_of(registry)]
    begin = time.perf_counter()
    subprocess.run([*command, str(path), "s3://ccr/bench/layer"], env=environ, check=True)
    return time.perf_counter() - begin


def endpoint_of(registry: RegistryProcess) -> str:
    """Of the S3 that the registry has started."""
    told = Path(f"/proc/{registry.pid}/task/{registry.pid}/children").read_text().split()
    for child in told:
        words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
        for word in words:
            if word.startswith("-s3.port="):
                return f"http://127.0.0.1:{word.partition('=')[2]}"
    raise AbsentError("the registry has no SeaweedFS of its own")


def command_of(registry: RegistryProcess, layout: Path, home: Path) -> tuple[list[str], Mapping[str, str]]:
    environ = {
        **os.environ,
        "CCR_URL": registry.url,
        "CCR_USERNAME": registry.username,
        "CCR_PASSWORD": registry.password,
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
    }
    return [sys.executable, "-m", "ccr", "push", str(layout), "dev/bench:1.0", "--output", "json"], environ


def pushed(registry: RegistryProcess, layout: Path, home: Path) -> tuple[float, int]:
    """How long it took, and how many bytes it sent to the registry."""
    address = urlsplit(registry.url)
    with relay_before(address.hostname or "", address.port or 80) as relay:
        command, environ = command_of(replace(registry, url=relay.url), layout, home)
        begin = time.perf_counter()
        subprocess.run(command, cwd=ROOT, env=environ, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - begin, relay.received


def killed_and_resumed(registry: RegistryProcess, data: Path, layout: Path, size: int, percent: int) -> str:
    """What the second run sent, beside what the first one had left to send."""
    command, environ = command_of(registry, layout, data)
    empty = stored(data)
    first = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL)
    while first.poll() is None and stored(data) - empty < size * percent // 100:
        time.sleep(0.05)
    first.kill()
    first.wait()
    arrived = stored(data) - empty
    second = subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, text=True)
    sent = json.loads(second.stdout)["sent_bytes"]
    return (
        f"killed with {arrived // MIB} of {size // MIB} MiB stored; the second run sent {sent // MIB} MiB: "
        f"{(arrived + sent) / size:.3f} of the layer in all"
    )


def stored(data: Path) -> int:
    """Bytes in the files of SeaweedFS."""
    return sum(path.stat().st_size for path in (data / "engines" / "objects").rglob("*.dat"))


if __name__ == "__main__":
    sys.exit(main())
