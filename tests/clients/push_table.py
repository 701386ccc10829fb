"""Which client pushes how large a layer to which deployment: `python -m tests.clients.push_table`.

Each cell is a real push by a real client through `CCR_EMULATE=aws`. It passes, or is refused after so many
seconds with the message that the client showed. Ends with 1 when a cell is not as it should be.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests

from tests.clients.commands import ClientError, Unavailable
from tests.clients.drivers import DRIVERS
from tests.clients.layout import TAG, Layout, write_image
from tests.clients.round_trip import new_folder, table
from tests.support.process import ROOT, RegistryProcess, running_registry

KIBIBYTE: Final = 1024
MEBIBYTE: Final = 1024 * KIBIBYTE
GIBIBYTE: Final = 1024 * MEBIBYTE
DEPLOYMENTS: Final = {
    "function only": "function",
    "+ edge": "function,edge",
    "+ gateway": "function,gateway",
    "full": "function,edge,gateway",
}
SIZES: Final = {"1 KB": KIBIBYTE, "4 MB": 4 * MEBIBYTE, "5 MB": 5 * MEBIBYTE, "100 MB": 100 * MEBIBYTE}
LARGEST: Final = {"5 GB": 5 * GIBIBYTE - MEBIBYTE}
CCR: Final = "ccr push"
# Of the clients here: containerd's sends a blob in one PUT, the others stream it by PATCH.
SINGLE_PUT: Final = {"ctr"}
_TELLING: Final = re.compile(r"denied|413|larger|too large|refused|error", re.IGNORECASE)
FUNCTION_LIMIT: Final = 4_500_000


@dataclass(frozen=True)
class Cell:
    """One push; `said` is what the client showed of a refusal."""

    client: str
    deployment: str
    size: str
    passed: bool
    seconds: float
    said: str = ""

    @property
    def text(self) -> str:
        return f"passes ({self.seconds:.1f} s)" if self.passed else f"refused after {self.seconds:.1f} s"


def should_pass(client: str, deployment: str, size: int) -> bool:
    carriers = DEPLOYMENTS[deployment].split(",")
    by_edge = client in SINGLE_PUT and "edge" in carriers
    return client == CCR or size < FUNCTION_LIMIT or "gateway" in carriers or by_edge


def fill(clients: Sequence[str], sizes: dict[str, int], deployments: Sequence[str]) -> Iterator[Cell]:
    for deployment in deployments:
        carriers = DEPLOYMENTS[deployment]
        environ = {"CCR_EMULATE": "aws", "CCR_UPLOADS": carriers}
        with new_folder() as state, running_registry(state, environ=environ) as registry:
            _make_room(registry, len(clients) * sum(sizes.values()))
            for client in clients:
                yield from _row(client, deployment, sizes, registry)


def _make_room(registry: RegistryProcess, size: int) -> None:
    """What every client pushes is more than an account has free."""
    account = f"{registry.url}/api/v1/accounts/default"
    limit = {"limit_bytes": 2 * size + GIBIBYTE}
    login = (registry.username, registry.password)
    requests.patch(account, json=limit, auth=login, timeout=10).raise_for_status()


def _row(client: str, deployment: str, sizes: dict[str, int], registry: RegistryProcess) -> Iterator[Cell]:
    for name, size in sizes.items():
        with new_folder() as folder:
            try:
                image = write_image(folder / "image", [size])
                with _pusher(client, folder, image, registry) as push:
                    yield _pushed(Cell(client, deployment, name, passed=True, seconds=0), push)
            except Unavailable as reason:
                print(f"{client}: skipped: {reason}", file=sys.stderr)
                return


def _pushed(cell: Cell, push: Callable[[], object]) -> Cell:
    begin = time.monotonic()
    try:
        push()
    except ClientError as error:
        seconds = time.monotonic() - begin
        return Cell(cell.client, cell.deployment, cell.size, passed=False, seconds=seconds, said=_last(error))
    return Cell(cell.client, cell.deployment, cell.size, passed=True, seconds=time.monotonic() - begin)


def _last(error: ClientError) -> str:
    """The line that tells; capabilities in it are nobody's business."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [
        line for line in lines if re.search(r"denied|413|larger|too large|refused|error", line, re.IGNORECASE)
    ]
    return re.sub(r"/[us]/[^/]+/", "/u/.../", (told or lines or ["?"])[-1])[:300]


def _pusher(
    client: str, folder: Path, image: Layout, registry: RegistryProcess
) -> AbstractContextManager[Callable[[], object]]:
    """Ready to push: logged in, with the image loaded."""
    return _ccr(folder, image, registry) if client == CCR else _driven(client, folder, image, registry)


@contextmanager
def _driven(
    client: str, folder: Path, image: Layout, registry: RegistryProcess
) -> Iterator[Callable[[], object]]:
    reference = f"{registry.host}/dev/{client}:{TAG}"
    with DRIVERS[client](folder) as driver:
        driver.login(registry.host, registry.username, registry.password)

        driver.load(image, reference)
        yield lambda: driver.push(reference)
        driver.remove(reference)


@contextmanager
def _ccr(folder: Path, image: Layout, registry: RegistryProcess) -> Iterator[Callable[[], object]]:
    environ = {
        **os.environ,
        "CCR_URL": registry.url,
        "CCR_USERNAME": registry.username,
        "CCR_PASSWORD": registry.password,
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_STATE_HOME": str(folder / "state"),
    }

    def push() -> object:
        command = [sys.executable, "-m", "ccr", "push", str(image.folder), f"dev/ccr:{TAG}"]
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClientError(done.stderr)
        return done.stdout

    yield push


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", action="append", choices=[*DRIVERS, CCR], help="all unless said")
    parser.add_argument("--deployment", action="append", choices=DEPLOYMENTS, help="all unless said")
    parser.add_argument("--large", action="store_true", help="a layer of 5 GB too, which takes an hour")
    parser.add_argument("--size", action="append", choices=[*SIZES, *LARGEST], help="these columns alone")
    asked = parser.parse_args()
    sizes = SIZES | (LARGEST if asked.large else {})
    if asked.size:
        sizes = {one: (SIZES | LARGEST)[one] for one in asked.size}
    cells = []
    for cell in fill(asked.client or [*DRIVERS, CCR], sizes, asked.deployment or [*DEPLOYMENTS]):
        print(f"{cell.client:10} {cell.deployment:14} {cell.size:7} {cell.text}  {cell.said}", flush=True)
        cells.append(cell)
    rows = [("client", "deployment", *sizes)]
    for client in dict.fromkeys(cell.client for cell in cells):
        for deployment in asked.deployment or DEPLOYMENTS:
            of = {
                cell.size: cell.text
                for cell in cells
                if (cell.client, cell.deployment) == (client, deployment)
            }
            rows.append((client, deployment, *(of.get(size, "-") for size in sizes)))
    print()
    print(table(rows))
    wrong = [one for one in cells if one.passed != should_pass(one.client, one.deployment, sizes[one.size])]
    for one in wrong:
        print(f"UNEXPECTED: {one}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
