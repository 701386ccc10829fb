"""The table of endpoints and the table of errors against the specification, the code and the tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from chalicelib.endpoints.routes import ENDPOINTS
from chalicelib.spec.errors import ErrorCode

ROOT = Path(__file__).parents[2]

# spec.md#endpoints
SPECIFIED = {
    "end-1": ("GET", "/v2/"),
    "end-2": ("GET", "/v2/<name>/blobs/<digest>"),
    "end-3": ("GET", "/v2/<name>/manifests/<reference>"),
    "end-4a": ("POST", "/v2/<name>/blobs/uploads/"),
    "end-4b": ("POST", "/v2/<name>/blobs/uploads/"),
    "end-5": ("PATCH", "<upload>/blobs/uploads/<session>"),
    "end-6": ("PUT", "<upload>/blobs/uploads/<session>"),
    "end-7a": ("PUT", "/v2/<name>/manifests/<reference>"),
    "end-7b": ("PUT", "/v2/<name>/manifests/<reference>"),
    "end-8a": ("GET", "/v2/<name>/tags/list"),
    "end-8b": ("GET", "/v2/<name>/tags/list"),
    "end-9": ("DELETE", "/v2/<name>/manifests/<reference>"),
    "end-10": ("DELETE", "/v2/<name>/blobs/<digest>"),
    "end-11": ("POST", "/v2/<name>/blobs/uploads/"),
    "end-12a": ("GET", "/v2/<name>/referrers/<digest>"),
    "end-12b": ("GET", "/v2/<name>/referrers/<digest>"),
    "end-13": ("GET", "<upload>/blobs/uploads/<session>"),
    "end-14": ("DELETE", "<upload>/blobs/uploads/<session>"),
}


def test_every_endpoint_of_the_specification_is_a_row() -> None:
    rows = {id_: (row.methods[0], row.path) for row in ENDPOINTS for id_ in row.id.split(", ")}
    assert {id_: row for id_, row in rows.items() if id_.startswith("end-")} == SPECIFIED


def test_what_is_read_can_be_asked_by_head_too() -> None:
    lacking = {row.id for row in ENDPOINTS if "GET" in row.methods and "HEAD" not in row.methods}
    assert lacking == {"token"}


def test_no_two_rows_are_one_request() -> None:
    requests = [(method, row.path) for row in ENDPOINTS for method in row.methods]
    assert len(requests) == len(set(requests))


def test_only_a_login_goes_without_a_credential() -> None:
    assert {row.id for row in ENDPOINTS if row.action is None} == {"token"}


@pytest.mark.parametrize("id_", sorted(SPECIFIED))
def test_every_endpoint_is_cited_where_it_is_answered(id_: str) -> None:
    handlers = [path.read_text() for path in (ROOT / "chalicelib/endpoints").glob("*.py")]
    assert any(re.search(rf"\b{id_}\b", text) for text in handlers if "ENDPOINTS" not in text)


@pytest.mark.parametrize("code", [code.name for code in ErrorCode])
def test_every_code_is_raised_and_tested(code: str) -> None:
    """A code that nothing raises is a promise that nobody keeps."""
    assert code in _raised()
    tests = [path.read_text() for path in (ROOT / "tests/endpoints").glob("test_*.py")]
    assert any(f'"{code}"' in text for text in tests)


def test_no_code_is_made_up() -> None:
    assert _raised() <= {code.name for code in ErrorCode}


def _raised() -> set[str]:
    """Members of `ErrorCode` that the package names."""
    return {
        node.attr
        for path in (ROOT / "chalicelib").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "ErrorCode"
    }
