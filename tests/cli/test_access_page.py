"""docs/access.md says what the code does: roles, and what grants span."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from chalicelib.identity import tenancy
from chalicelib.identity.grants import Grant
from chalicelib.identity.roles import Role, permissions
from tests.support.process import ROOT

PAGE = (ROOT / "docs" / "access.md").read_text()


def rows(heading: str) -> Iterator[list[str]]:
    """The cells of the table below a heading."""
    below = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = [line for line in below.splitlines() if line.startswith("|")]
    yield from ([cell.strip() for cell in line.strip("|").split("|")] for line in (table[0], *table[2:]))


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


GRANTS = [(named(one)[0], named(spans), named(not_)) for one, spans, not_ in list(rows("Grants"))[1:]]


def test_the_table_of_roles_is_that_of_the_code() -> None:
    heading, *table = rows("Roles")
    roles = [Role(name) for name in heading[1:]]
    assert roles == list(Role)
    said = {
        role: {named(row[0])[0] for row in table if row[1 + at] == "yes"} for at, role in enumerate(roles)
    }
    assert said == {role: permissions(role) for role in Role}


@pytest.mark.parametrize(("pattern", "spanned", "others"), GRANTS, ids=[one[0] for one in GRANTS])
def test_a_grant_spans_what_the_page_says(pattern: str, spanned: list[str], others: list[str]) -> None:
    grant = Grant.parse(pattern, ["pull"])
    assert spanned
    assert others
    assert all(grant.allows("pull", name) for name in spanned)
    assert not any(grant.allows("pull", name) for name in others)


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"{tenancy.FREE_BYTES // 1024**3} GiB" in PAGE
    assert f"{tenancy.RESERVED_SECONDS // 86400} days" in PAGE
