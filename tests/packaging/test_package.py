"""The package of the functions: built twice, measured, and imported by the Python that Lambda has."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import platform
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from infra.packaging import contents
from infra.packaging.__main__ import BUILD
from infra.packaging.archive import write_zip
from infra.packaging.bytecode import interpreter
from infra.packaging.wheels import LOCK, PackagingError

ROOT = Path(__file__).parents[2]
UNZIPPED_LIMIT = 60_000_000
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", re.MULTILINE)
# What Chalice needs to package and deploy, which no function does.
OF_CHALICE = {"click", "inquirer", "pip", "pyyaml", "setuptools", "wheel", "botocore", "jmespath", "six"}
IMPORTED = """
import json, sys
sys.path.insert(0, sys.argv[1])
import app
deployment = app.deployment()
deployment._management
deployment.collector, deployment.sweeper, deployment.fsck
print(json.dumps({
    "outside": sorted(
        getattr(module, "__file__", None) or ""
        for name, module in list(sys.modules.items())
        if "site-packages" in (getattr(module, "__file__", None) or "")
    ),
    "compiled": app.__cached__,
}))
"""


def build(machine: str, into: Path) -> Path:
    try:
        interpreter()
    except PackagingError as error:
        pytest.skip(str(error))
    command = [sys.executable, "-m", "infra.packaging", "--machine", machine, "--into", str(into)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    name = "package.zip" if machine == "arm64" else f"package-{machine}.zip"
    assert hashlib.sha256((into / name).read_bytes()).hexdigest() in done.stdout
    return into / name


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("arm64", tmp_path_factory.mktemp("package"))


def test_the_same_input_makes_the_same_bytes(package: Path, tmp_path: Path) -> None:
    assert build("arm64", tmp_path).read_bytes() == package.read_bytes()


def test_it_is_small_enough_unzipped(package: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        assert sum(entry.file_size for entry in archive.infolist()) < UNZIPPED_LIMIT


def test_it_holds_the_code_the_bytecode_and_nothing_of_this_machine(package: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        names = archive.namelist()
        sources = {name for name in names if name.endswith(".py")}
        assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "chalicelib").rglob("*.py")} <= sources
        for source in sources:
            folder, _, name = source.rpartition("/")
            assert f"{folder}{'/' if folder else ''}__pycache__/{name[:-3]}.cpython-313.pyc" in names
        assert not [name for name in names if name.startswith(("ccr/", "infra/", "tests/", "pip/"))]
        assert all("x86_64" not in name for name in names)
        compiled = archive.read("__pycache__/app.cpython-313.pyc")
        assert compiled[4:8] == b"\x01\x00\x00\x00"  # by hash, unchecked: PEP 552
        assert b"/var/task/app.py" in compiled
        assert str(ROOT).encode() not in compiled


def test_it_imports_by_itself(tmp_path: Path) -> None:
    """The same package for the processor of this machine, with nothing else on the path."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        pytest.skip("the package for x86_64 runs on Linux on x86_64")
    with zipfile.ZipFile(build("x86_64", tmp_path)) as archive:
        archive.extractall(tmp_path / "task")
    environ = {"AWS_REGION": "us-east-1", "CCR_TOKEN_KEY": "ab" * 32}
    command = [interpreter(), "-I", "-S", "-c", IMPORTED, str(tmp_path / "task")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["outside"] == []
    assert told["compiled"].endswith("cpython-313.pyc")


def test_the_lock_is_what_the_requirements_say_and_all_that_they_need() -> None:
    locked = {_plain(name): version for name, version in PINNED.findall(LOCK.read_text())}
    asked = {
        _plain(name): version for name, version in PINNED.findall((ROOT / "requirements.txt").read_text())
    }
    assert asked.items() <= locked.items()
    missing = {need for name in locked for need in _needs(name)} - set(locked)
    assert missing <= OF_CHALICE


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _needs(name: str) -> Iterator[str]:
    """The requirements of an installed distribution that hold on Lambda."""
    for requirement in metadata.requires(name) or ():
        found = re.match(r"[A-Za-z0-9._-]+", requirement)
        if found and "extra ==" not in requirement and "python_version <" not in requirement:
            yield _plain(found[0])


def test_every_service_that_a_client_is_made_of_is_kept() -> None:
    text = (ROOT / "chalicelib/aws/clients.py").read_text()
    made = set(re.findall(r"\.client\(\s*\"([a-z0-9]+)\"", text)) | {"dynamodb"}
    assert {"s3", "lambda", "secretsmanager"} <= made <= contents.SERVICES


def test_a_zip_tells_no_time_and_no_order(tmp_path: Path) -> None:
    for folder, order in (("one", "abc"), ("two", "cab")):
        (tmp_path / folder).mkdir()
        for name in order:
            (tmp_path / folder / name).write_text(name)
        write_zip(tmp_path / folder, tmp_path / f"{folder}.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_what_is_built_is_not_committed() -> None:
    assert f"{BUILD.name}/" in (ROOT / ".gitignore").read_text().splitlines()
    assert importlib.util.find_spec("infra.packaging") is not None
