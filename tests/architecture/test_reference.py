"""What users can set, call and be told is in docs/reference.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ccr import local, reference
from ccr.cli import environment
from chalicelib import config

ROOT = Path(__file__).parents[2]


def test_the_reference_says_what_the_code_says() -> None:
    assert reference.PATH.read_text() == reference.render()


def test_every_setting_that_is_read_is_listed() -> None:
    sources = [path.read_text() for folder in ("chalicelib", "ccr") for path in (ROOT / folder).rglob("*.py")]
    read = set(re.findall(r'environ(?:\.get\(|, )"([A-Z0-9_]+)"', "\n".join(sources)))
    groups = (
        local.VARIABLES,
        config.VARIABLES,
        config.GATEWAY_VARIABLES,
        config.PROCESS_VARIABLES,
        environment.VARIABLES,
    )
    listed = {variable.name for group in groups for variable in group}
    assert read - {"HOME", "TMPDIR"} <= listed


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_local_link_of_the_documents_leads_somewhere(page: str) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text())
    assert all((ROOT / target).exists() for target in targets)


def test_every_folder_of_tests_is_described() -> None:
    described = (ROOT / "CONTRIBUTING.md").read_text()
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")} - {"support"}
    assert {folder for folder in folders if f"`tests/{folder}`" not in described} == set()
