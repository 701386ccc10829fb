"""Names and tags: the grammars of the specification, at their edges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository, check_name, check_tag, parse_reference


@pytest.mark.parametrize("name", ["a", "a/b", "a__b/c-d.e", "a---b", "0", "a/b/c/d/e/f/g/h", "a" * 255])
def test_names_of_the_grammar(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "A",
        "a/B",
        "..",
        "a/../b",
        "-a",
        "a-",
        "a___b",
        "a._b",
        "é",
        "a b",
        "a\n",
        "a" * 256,
    ],
)
def test_names_outside_the_grammar(name: str) -> None:
    with pytest.raises(RegistryError) as refused:
        check_name(name)
    assert (refused.value.code, refused.value.status) == (ErrorCode.NAME_INVALID, 400)


@pytest.mark.parametrize("tag", ["a", "_a", "1.2.3-rc_1", "A" * 128])
def test_tags_of_the_grammar(tag: str) -> None:
    assert parse_reference(tag) == tag


@pytest.mark.parametrize("tag", ["", ".a", "-a", "a/b", "a" * 129, "a\n", "é"])
def test_tags_outside_the_grammar(tag: str) -> None:
    with pytest.raises(RegistryError) as refused:
        check_tag(tag)
    assert refused.value.status == 400


def test_a_colon_makes_a_digest() -> None:
    digest = Digest.of(b"")
    assert isinstance(parse_reference(digest), Digest)
    with pytest.raises(RegistryError):
        parse_reference("latest:1")


def test_the_first_segment_is_the_registry() -> None:
    assert Repository("account", "prod/team/api").registry == "prod"


@given(st.text(max_size=300))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    refused = None
    try:
        check_name(text)
    except RegistryError as error:
        refused = error
    if refused is None:
        assert text.isascii()
        assert ".." not in text
    else:
        assert refused.code is ErrorCode.NAME_INVALID
