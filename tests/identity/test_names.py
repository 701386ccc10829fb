"""Names that look alike, hide something or are too long: none of them is a name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chalicelib.identity.names import check_credential_id, check_name, check_registry_name
from chalicelib.identity.refusals import Reason, RefusedError

WRONG_EVERYWHERE = [
    "",
    " ",
    "A",
    "aB",
    "-a",
    "a-",
    ".a",
    "a.",
    "a b",
    "a\n",
    "\na",
    "a\0",
    "a/b",
    "a\\b",
    "a:b",
    "a*",
    "*",
    "..",
    "a%2fb",
    "caf\u00e9",
    "\u0430dmin",
    "\uff41dmin",
    "a\u0301",
    "a\u200bb",
    "\u0131d",
    "a\u0661",
]


def project(name: str) -> str:
    return check_name("project", name)


@pytest.mark.parametrize("name", WRONG_EVERYWHERE)
@pytest.mark.parametrize("check", [project, check_registry_name, check_credential_id])
def test_what_could_be_taken_for_another_name_is_none(check: Callable[[str], str], name: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check(name)
    assert refused.value.reason is Reason.INVALID


@pytest.mark.parametrize(
    ("check", "longest", "good", "bad"),
    [
        (project, 63, ["a", "1", "a-b", "a--b"], ["a.b", "a_b", "a@b"]),
        (check_registry_name, 63, ["a", "1", "a-b", "a.b", "a_b", "a__b"], ["a..b", "a___b", "a@b", "a+b"]),
        (check_credential_id, 128, ["a", "1", "a.b", "a+b@c.d", "a_b-c"], ["a#b", "a,b", "a=b"]),
    ],
)
def test_names_have_their_letters_and_their_length(
    check: Callable[[str], str], longest: int, good: list[str], bad: list[str]
) -> None:
    for name in [*good, "a" * longest]:
        assert check(name) == name
    for name in [*bad, "a" * (longest + 1)]:
        with pytest.raises(RefusedError):
            check(name)
