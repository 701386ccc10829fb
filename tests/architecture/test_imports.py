"""What may import what, and what starting a function costs in imports."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "chalicelib"
# Measured on 29 November 2026: 317 modules from outside the standard library and cryptography. A few are for
# updates; more than that is somebody's new import.
MODULES_LIMIT = 320
# Of Powertools, beyond what the wiring has: 41 measured, 11 ms of CPU (ADR 25).
WATCH_LIMIT = 46

LOADED = """
import json, sys
before = set(sys.modules)
import {module}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded_by(module: str) -> set[str]:
    """The modules that a fresh interpreter has after importing `module`."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(module=module)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    return set(json.loads(done.stdout))


def packages(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules} - sys.stdlib_module_names


@pytest.fixture(scope="module")
def wiring() -> set[str]:
    return loaded_by("chalicelib.wiring")


@pytest.mark.parametrize(
    "heavy",
    [
        "moto",
        "uvicorn",
        "uvloop",
        "httptools",
        "hypercorn",
        "pydantic",
        "requests",
        "aws_lambda_powertools",
        "chalice",
        "ccr",
        "chalicelib.gateway",
        "asyncio",
    ],
)
def test_the_registry_function_does_not_import_what_it_does_not_need(wiring: set[str], heavy: str) -> None:
    assert not {module for module in wiring if module == heavy or module.startswith(f"{heavy}.")}


def test_the_registry_function_imports_no_more_than_it_did(wiring: set[str]) -> None:
    counted = {
        module
        for module in wiring
        if module.partition(".")[0] not in sys.stdlib_module_names
        # What libraries take where they find it, and the package does not have.
        and not module.startswith(("cryptography", "_cffi", "_openssl", "backports", "zstandard"))
    }
    assert len(counted) <= MODULES_LIMIT


def test_the_log_of_a_function_brings_in_little(wiring: set[str]) -> None:
    """Powertools' Logger and its metrics; not its resolver, nor what that validates with."""
    more = loaded_by("chalicelib.wiring, chalicelib.observation.functions") - wiring
    assert not {module for module in more if module.startswith(("pydantic", "jmespath", "aws_xray_sdk"))}
    assert "aws_lambda_powertools.event_handler" not in more
    assert len(more) <= WATCH_LIMIT


@pytest.mark.parametrize("layer", ["spec", "config"])
def test_the_specification_needs_the_standard_library_alone(layer: str) -> None:
    modules = ", ".join(_modules(layer))
    assert packages(loaded_by(modules)) == {"chalicelib"}


def test_the_domain_needs_no_aws_and_no_http() -> None:
    modules = ", ".join([*_modules("registry"), *_modules("identity")])
    assert packages(loaded_by(modules)) <= {"chalicelib", "jwt", "cryptography", "_cffi_backend", "_openssl"}


def test_the_gateway_knows_nothing_of_aws() -> None:
    found = packages(loaded_by(", ".join(_modules("gateway"))))
    assert not found & {"boto3", "botocore", "pynamodb", "chalice", "moto"}


def _modules(layer: str) -> list[str]:
    path = PACKAGE / layer
    if not path.is_dir():
        return [f"chalicelib.{layer}"]
    return [
        f"chalicelib.{layer}.{file.stem}" for file in sorted(path.glob("*.py")) if file.stem != "__init__"
    ]


def _calls(tree: ast.AST) -> set[str]:
    """Names that are called, as they are written: `boto3.client`, `session.client`."""
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def _sources() -> list[Path]:
    return [*PACKAGE.rglob("*.py"), *(ROOT / "ccr").rglob("*.py"), ROOT / "app.py"]


def test_clients_are_made_in_one_place() -> None:
    makers = {
        path.relative_to(ROOT).as_posix()
        for path in _sources()
        if "ccr/cli/" not in path.as_posix()
        for call in _calls(ast.parse(path.read_text()))
        if call.endswith((".client", ".resource")) or call in {"boto3.Session", "Session", "Connection"}
    }
    assert makers <= {"chalicelib/aws/clients.py", *_engines()}
    assert "chalicelib/aws/clients.py" in makers


def _engines() -> set[str]:
    """They come before any deployment and speak to themselves alone."""
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / "ccr" / "engines").glob("*.py")}


def test_chalice_is_known_to_the_entry_point_alone() -> None:
    knowing = {
        path.relative_to(ROOT).as_posix()
        for path in _sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom) and "chalice" in _imported(node)
    }
    assert knowing == {"app.py"}


def _imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_every_module_says_what_room_it_is(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text()))
    assert said
    assert said.partition("\n")[0].endswith((".", ":"))


def test_no_folder_lies_outside_the_layers() -> None:
    """Else the import contracts would not see it."""
    contracts = (ROOT / "pyproject.toml").read_text()
    layers = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    layers |= {path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__"}
    assert {layer for layer in layers if f"chalicelib.{layer}" not in contracts} == set()
