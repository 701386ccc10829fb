"""Each condition of `chalicelib/aws` is needed: without any one of them the test named for it fails."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from chalicelib import aws
from chalicelib.wiring import Deployment
from tests.engines.backends import MOTO, Engines, deployed
from tests.properties.mutations import mutated
from tests.stores.mutations import HANDED_ON, MUTATIONS, Ground, StoreMutation
from tests.stores.rows import a_repository

NEEDED: Final = [one for one in MUTATIONS if not one.because]


@pytest.fixture(scope="module")
def on_moto(engines: Engines) -> Iterator[Deployment]:
    with deployed(MOTO, engines) as deployment:
        yield deployment


@pytest.mark.parametrize("mutation", NEEDED, ids=lambda one: one.name)
def test_without_a_condition_its_test_fails(
    on_moto: Deployment, monkeypatch: pytest.MonkeyPatch, mutation: StoreMutation
) -> None:
    assert mutation.seen, "it names no test"
    mutation.seen(Ground(on_moto, a_repository(), monkeypatch))
    owner_name, _, function = mutation.where.rpartition(".")
    owner: Any = getattr(mutation.module, owner_name) if owner_name else mutation.module
    with mutated(mutation.module, owner, function, mutation.old, mutation.new):
        try:
            mutation.seen(Ground(on_moto, a_repository(), monkeypatch))
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException:  # noqa: BLE001 - however it breaks
            return
    pytest.fail("nothing failed without it")


def test_every_function_that_writes_with_a_condition_is_among_them() -> None:
    found = set(conditional())
    named = {f"{one.module.__name__.rpartition('.')[2]}.{one.where.rpartition('.')[2]}" for one in MUTATIONS}
    assert found - named == HANDED_ON
    assert len(found) > 40


def conditional() -> Iterator[str]:
    """The functions of `chalicelib/aws` that make a condition: an argument, or text of DynamoDB's own."""
    for path in sorted(Path(aws.__path__[0]).glob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef) and any(map(_is_condition, ast.walk(function))):
                yield f"{path.stem}.{function.name}"


def _is_condition(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return node.value == "ConditionExpression"
    if not isinstance(node, ast.Call):
        return False
    if any(one.arg in {"condition", "where"} for one in node.keywords):
        return True
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    # As `transactions.py` writes its items, with the condition last.
    return len(node.args) >= {"Put": 2, "Delete": 2, "Update": 3}.get(name, 99)
